"""Peers of the heads, each run in the environment ``.venvs/heads`` with its own pinned versions.

    surprise    SVD++ of scikit-surprise, for ratings
    lifetimes   BG/NBD of Lifetimes, for purchases

A peer's script reads one file of arrays and writes one; it never sees what it is asked to foretell.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers.peer import ENVIRONMENTS, ROOT, surroundings

PYTHON = ENVIRONMENTS / "heads" / "bin" / "python"
Arrays = dict[str, npt.NDArray[Any]]


def there() -> bool:
    """Tell whether the environment is built; say so where it is not."""
    if not PYTHON.exists():
        print("peers are left out: run `make peers`")
    return PYTHON.exists()


def run(module: str, arrays: Arrays, settings: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Run a peer's script.

    Args:
        module: In this package, such as ``surprise_way``.
        arrays: What it gets.
        settings: Of its model.

    Returns:
        What it wrote, and what it says of itself: version and seconds of learning.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.savez(folder / "given.npz", **arrays)  # type: ignore[arg-type]  # arrays by name
        done = subprocess.run(
            [str(PYTHON), "-m", f"benchmarks.heads.{module}", place, json.dumps(settings)],
            cwd=ROOT,
            env=os.environ | surroundings(1) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{module} failed:\n{done.stderr[-2_000:]}")
        with np.load(folder / "found.npz") as found:
            return dict(found), json.loads((folder / "about.json").read_text(encoding="utf-8"))
