"""Write measured rows to ``benchmarks/results/<table>.json``, the only way a figure gets in here.

A row says what was measured, on which data, under which protocol, by which command, at which
commit, on which machine and when. A row that answers the same question (same data, protocol, model,
request time and seed) replaces the older one. A tree with uncommitted changes is refused, because
its commit would not say what ran; ``dirty=True`` records the row as such.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
Row = dict[str, Any]

IDENTITY = ("table", "data", "protocol", "model", "request_time", "seed")
MEASURED = ("metrics", "n_targets", "train_seconds", "peak_mb")
ORIGIN = ("command", "commit", "machine", "date")
KEYS = (*IDENTITY, *MEASURED, *ORIGIN)

# What the benchmarks themselves write may differ from the commit.
_WRITTEN_HERE = (":!benchmarks/results", ":!docs/results.md", ":!docs/images", ":!README.md")


def record(
    table: str, rows: Sequence[Mapping[str, Any]], *, afresh: bool = False, dirty: bool = False
) -> Path:
    """Add rows to a table of results, with where they come from.

    Args:
        table: Name of the file under ``benchmarks/results``.
        rows: Any of `KEYS`; the origin is filled in where a row does not bring its own, and what
            else is left out becomes null.
        afresh: Drop every older row of the same data first.
        dirty: Accept uncommitted changes; the commit is then marked ``+dirty``.

    Returns:
        The file written.

    Raises:
        SystemExit: uncommitted changes and not ``dirty``, or a key that no row may have.
    """
    origin = {
        "command": command(),
        "commit": commit(dirty=dirty),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
    }
    path = RESULTS / f"{table}.json"
    gone = {row["data"] for row in rows} if afresh else set()
    known = {_identity(row): row for row in load(table) if row["data"] not in gone}
    for given in rows:
        if unknown := sorted(set(given) - set(KEYS)):
            raise SystemExit(f"a row has the keys {', '.join(KEYS)}; found {', '.join(unknown)}.")
        row = {key: None for key in KEYS} | origin | dict(given) | {"table": table}
        known[_identity(row)] = row
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(list(known.values()), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def load(table: str) -> list[Row]:
    """Read the rows of a table; none where it was never written."""
    path = RESULTS / f"{table}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def command() -> str:
    """Give the command that runs now; a path outside the repository becomes ``DATA/name``."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    arguments = [_shown(one) if "/" in one else one for one in sys.argv[1:] if one != "--dirty"]
    return shlex.join(["python", *(["-m"] if spec else []), name, *arguments])


def commit(*, dirty: bool = False) -> str:
    """Give the commit of the tree, ``+dirty`` where it has changes and that was allowed."""
    changes = _git("status", "--porcelain", "--", ".", *_WRITTEN_HERE)
    if changes and not dirty:
        raise SystemExit(
            f"expected a committed tree, found changes in {len(changes.splitlines())} files:\n"
            f"{changes}\n"
            f"Commit them, or pass --dirty to have the rows marked."
        )
    head = _git("rev-parse", "--short=12", "HEAD") or "none"
    return head + ("+dirty" if changes else "")


def machine() -> str:
    """Describe the machine: processor, cores, memory, and the versions that matter to speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {cores} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def peak_mb() -> float:
    """Give the most memory that this process ever held, in MiB (resident)."""
    # Not ru_maxrss: a child inherits its parent's through fork and exec.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise OSError("expected VmHWM in /proc/self/status; peaks are measured on Linux only.")


def _shown(argument: str) -> str:
    path = Path(argument).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path("DATA", path.name))


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in IDENTITY)


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
