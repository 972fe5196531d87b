"""T1: a real server is killed with SIGKILL while it takes events: nothing lost, nothing doubled.

``python -m benchmarks.serving.kill`` is the same trial, with its own row of results.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.serving import kill
from recency.serving.engine import Engine
from recency.serving.snapshots.state_hash import state_hash

FAULTS = ("lost", "doubled", "misapplied", "gaps_in_seq", "refused", "answers_changed")


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_t01_kills_lose_and_double_nothing_and_change_no_answer(
    tmp_path: Path, kills: int, soak: bool, fault_row: Callable[..., None]
) -> None:
    if soak and kills > 1:
        kills = 25  # and as many at rest
    found = kill.killed(tmp_path, kills)
    assert found["acknowledged"] > 50
    for name in FAULTS:
        assert found[name] == 0, found
    assert hash_of(tmp_path / "shop") == hash_of(clean_copy(tmp_path / "shop", tmp_path / "clean"))
    if kills > 1:
        fault_row(
            test="T1",
            runs=int(found["kills"]),
            lost=int(found["lost"]),
            doubled=int(found["doubled"]),
            acknowledged=found["acknowledged"],
            restart_seconds_max=found["restart_seconds_max"],
        )


def clean_copy(shop: Path, folder: Path) -> Path:
    """Copy a model and its log, and nothing that the server made of them."""
    serve = folder / "serve"
    shutil.copytree(shop, folder, ignore=shutil.ignore_patterns("serve"))
    serve.mkdir()
    shutil.copy(shop / "serve" / "events.sqlite", serve)
    return folder


def hash_of(shop: Path) -> str:
    """Start on a folder, and hash what the model knows then."""
    engine = Engine.open(shop)
    try:
        return engine.call(state_hash).result(60)
    finally:
        engine.close()
