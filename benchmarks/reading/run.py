"""From a file of events to histories: Recency against the pandas way in RecBole.

    python -m benchmarks.reading.run DATA/globo-news [--dirty]

DATA/globo-news holds ``events.parquet``. The same events are written as one of RecBole's atomic
files, which both sides read; Recency also reads the Parquet. Each run is a process of its own, so
that its peak of memory is its own; imports are not timed. RecBole lives in ``.venvs/recbole`` (make
peers); without it, its row is left out. What the two make differs: Recency groups the events once
and pads no batch before it is asked for, RecBole writes every prefix of every history into a padded
table. How we compare with its reading alone is therefore given too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from benchmarks.record import ROOT, Row, record

RECBOLE = ROOT / ".venvs" / "recbole" / "bin" / "python"
REPEATS = 5
Run = dict[str, Any]


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="a folder with events.parquet")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    source = arguments.folder / "events.parquet"
    if not source.exists():
        print(f"skipped: there is no {source}")
        return
    with tempfile.TemporaryDirectory() as folder:
        atomic = write_atomic_file(source, Path(folder))
        rows = measure(source, atomic, name=arguments.folder.name)
    for row in rows:
        print(f"{row['model']}: {row['metrics']}, peak {row['peak_mb']} MiB")
    print(record("reading", rows, dirty=arguments.dirty))


def write_atomic_file(source: Path, folder: Path) -> Path:
    """Write the events as ``folder/events/events.inter``, where RecBole expects them."""
    events = pl.read_parquet(source, columns=["user_id", "item_id", "timestamp"])
    path = folder / "events" / "events.inter"
    path.parent.mkdir()
    events.columns = ["user_id:token", "item_id:token", "timestamp:float"]
    events.write_csv(path, separator="\t")
    return path


def measure(source: Path, atomic: Path, name: str) -> list[Row]:
    """Run both sides and put their rows together."""
    ours = [sys.executable, "-m", "benchmarks.reading.recency_way"]
    rows = [
        row(name, "Recency, atomic file", repeat([*ours, str(atomic)])),
        row(name, "Recency, Parquet", repeat([*ours, str(source)])),
    ]
    if not RECBOLE.exists():
        print(f"RecBole is left out: there is no {RECBOLE}; run `make peers`")
        return rows
    script = Path(__file__).parent / "recbole_way.py"
    theirs = run([str(RECBOLE), str(script), str(atomic.parent.parent), "events"])
    peer = row(name, f"RecBole {theirs['version']}, atomic file", [theirs])
    for ours_row in rows:
        ours_row["metrics"]["times faster than RecBole"] = round(
            peer["metrics"]["seconds"] / ours_row["metrics"]["seconds"], 1
        )
        ours_row["metrics"]["times faster than its reading alone"] = round(
            peer["metrics"]["read seconds"] / ours_row["metrics"]["seconds"], 1
        )
    return [*rows, peer]


def repeat(command: list[str]) -> list[Run]:
    """Run a command several times, after one run that warms the file cache."""
    run(command)
    return [run(command) for _ in range(REPEATS)]


def run(command: list[str]) -> Run:
    """Run one side in a process of its own and read the JSON line that it ends with."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    answer: Run = json.loads(done.stdout.splitlines()[-1])
    return answer


def row(data: str, model: str, runs: list[Run]) -> Row:
    """Make the median run's row; the peak is the highest of all runs."""
    return {
        "data": data,
        "protocol": "file to histories",
        "model": model,
        "metrics": {
            "seconds": round(median(one["seconds"] for one in runs), 2),
            "read seconds": round(median(one["read_seconds"] for one in runs), 2),
            "runs": len(runs),
        },
        "peak_mb": max(one["peak_mb"] for one in runs),
    }


if __name__ == "__main__":
    main()
