"""Run folders: enough to see a run, and to run it again.

    runs/a/
      run.toml         every setting and the cut; ``recency fit FILE --config runs/a/run.toml``
      run.json         the same with versions, machine, the digest of all events learned from, the
                       commit of the project it ran in, and how it ended
      curves.parquet   every epoch of every stage
      curves.png       the same, drawn

A run folder is a tracker. Each file is replaced as a whole, so that a run that was killed leaves a
readable folder whose status is ``"running"``. The picture takes long to draw, and is drawn again
once it has cost no more than a twentieth of the learning, and at the end. Library code reads no
clock on the wall: what says when a run began comes from whoever began it.
"""

import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from recency import __version__
from recency.errors import ConfigError, FormatError
from recency.nn.encoders import ENCODERS
from recency.training.config import EpochRecord
from recency.training.tracking.curves import curves_picture, curves_table
from recency.training.tracking.facts import Facts, flat
from recency.training.tracking.run_toml import run_toml

FORMAT = 1
PICTURE_SHARE = 0.05  # of the seconds of learning
_GIT_SECONDS = 10.0

Sections = Mapping[str, Mapping[str, Any]]


class RunFolder:
    """Keep a run in a folder.

    Args:
        folder: Made if missing; one that holds another run is refused, the same run starts again.
        sections: Keys of ``run.toml`` that training does not know, such as how the file is read.
        about: What else ``run.json`` shall say: the command, when it began.

    Attributes:
        name: How messages call it.
        whole: True once a finished run is written in full.
    """

    def __init__(
        self, folder: str | Path, sections: Sections | None = None, about: Facts | None = None
    ) -> None:
        self.folder = Path(folder)
        self.name = f"run folder {self.folder}"
        self.whole = False
        self._sections = {} if sections is None else sections
        self._about = {} if about is None else about
        self._said: dict[str, Any] = {}
        self._epochs: list[tuple[EpochRecord, float]] = []
        self._undrawn = self._drawing = 0.0  # seconds

    def begin(self, facts: Facts) -> None:
        """Write what runs.

        Raises:
            ConfigError: the folder holds another run.
            FormatError: what it holds cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_another(facts)
        self._epochs, self.whole, self._undrawn, self._drawing = [], False, 0.0, 0.0
        project = project_of(Path.cwd())
        self._said = {
            "format": FORMAT,
            "status": "running",
            **self._about,
            "run": dict(facts),
            "versions": versions(),
            "threads": torch.get_num_threads(),
            **({} if project is None else {"project": project}),
        }
        for old in ("curves.parquet", "curves.png"):
            (self.folder / old).unlink(missing_ok=True)
        heading = _heading(facts)
        self._replace("run.toml", run_toml(self._toml(facts), heading).encode())
        self._write_json()

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Write the curves with one epoch more."""
        self._epochs.append((record, lr))
        table = io.BytesIO()
        curves_table(self._epochs).write_parquet(table)
        self._replace("curves.parquet", table.getvalue())
        self._undrawn += record.seconds
        if self._drawing <= PICTURE_SHARE * self._undrawn:
            self._draw()

    def end(self, facts: Facts) -> None:
        """Write how it ended, and the picture of all epochs."""
        if self._epochs:
            self._draw()
        self._said = {**self._said, "status": facts["status"], "result": dict(facts)}
        self._write_json()
        self.whole = facts["status"] == "finished"

    def _refuse_another(self, facts: Facts) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            return
        try:
            known = _identity(json.loads(path.read_text(encoding="utf-8"))["run"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FormatError(
                f"{path} is no readable account of a run; name another run folder, or delete "
                f"this one."
            ) from None
        asked = _identity(json.loads(json.dumps(dict(facts))))
        if differing := sorted(
            one for one in known.keys() | asked.keys() if known.get(one) != asked.get(one)
        ):
            raise ConfigError(
                f"the run folder {self.folder} holds another run: {', '.join(differing)} differ; "
                f"name another run folder, or delete this one."
            )

    def _toml(self, facts: Facts) -> dict[str, Mapping[str, Any]]:
        encoder = {key: value for key, value in facts["encoder"].items() if key != "name"}
        told: dict[str, Mapping[str, Any]] = {
            "data": {},
            "split": {"until": facts["data"]["cut"]},
            "model": {
                "encoder": facts["encoder"]["name"],
                "experts": facts["experts"] is not None,
                "request_time": facts["request_time"],
                "seed": facts["seed"],
            },
            "encoder": encoder,
            "inputs": facts["inputs"],
            "experts": facts["experts"] or {},
            "training": facts["training"],
        }
        return told | {name: {**told.get(name, {}), **of} for name, of in self._sections.items()}

    def _draw(self) -> None:
        began = time.perf_counter()
        run = self._said["run"]
        data, encoder = run["data"], run["encoder"]
        wide = f", {encoder['dim']} wide" if "dim" in encoder else ""
        caption = (
            f"{data['n_events']:,} events of {data['n_users']:,} users and {data['n_items']:,} "
            f"items before {data['cut'][:19]}Z, seed {run['seed']}"
        )
        made = ENCODERS.get(encoder["name"])
        title = (encoder["name"] if made is None else made.__name__) + wide
        self._replace("curves.png", curves_picture(self._epochs, title, caption))
        self._undrawn, self._drawing = 0.0, time.perf_counter() - began

    def _write_json(self) -> None:
        text = json.dumps(self._said, indent=2, ensure_ascii=False) + "\n"
        self._replace("run.json", text.encode())

    def _replace(self, name: str, content: bytes) -> None:
        draft = self.folder / f"{name}.partial"
        try:
            with draft.open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(draft, self.folder / name)
        finally:
            draft.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Name the versions that decide what a run ends with."""
    return {
        "recency": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "polars": pl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def project_of(folder: Path) -> dict[str, Any] | None:
    """Tell the commit of the repository that a folder lies in.

    Returns:
        ``commit``, and ``dirty``: whether a file that git knows differs from it; None without git,
        without a repository, or before its first commit.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    """Ask git something; it shall not even refresh its index."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _identity(run: Facts) -> dict[str, Any]:
    """Give what makes a run this one, flat."""
    parts = (
        "encoder", "inputs", "experts", "request_time", "training", "seed", "since",
        "first_weights",
    )  # fmt: skip
    return flat({part: run[part] for part in parts} | {"events": run["data"]["digest"]})


def _heading(facts: Facts) -> str:
    name, data = facts["encoder"]["name"], facts["data"]
    lines = [
        "Repeat this run: recency fit FILE --out MODEL --config run.toml",
        f"Learned from {data['n_events']:,} events, SHA-256 {data['digest']}.",
    ]
    if name not in ENCODERS:
        lines.append(f"The encoder {name} is none of Recency's: it is passed as an object.")
    return "\n".join(lines)
