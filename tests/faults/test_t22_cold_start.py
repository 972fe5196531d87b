"""T22: a server with a long log is soon ready: from its newest snapshot and the tail of the log."""

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.serving.cold_start import Size, make, start
from recency.serving.engine import Engine
from recency.serving.snapshots.state_hash import state_hash

READY_SECONDS = 10.0
MOST_BYTES_A_USER = 4_096
SMALL = Size(events=20_000, tail=2_000, users=2_000, items=500)


def known(folder: Path) -> tuple[str, int]:
    engine = Engine.open(folder, snapshots=None)
    try:
        return str(engine.call(state_hash).result()), engine.follower.n_replayed
    finally:
        engine.close()


def test_a_long_log_does_not_make_a_start_slow(
    tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    size, folder = Size() if soak else SMALL, tmp_path / "shop"
    made = make(folder, size)
    assert made.bytes_a_user <= MOST_BYTES_A_USER
    found = start(folder)
    assert found["replayed"] == size.tail  # all the rest comes from the snapshot
    assert found["ready_seconds"] <= READY_SECONDS
    assert found["peak_mb"] < (8_000 if soak else 1_000)
    if not soak:
        with_snapshot, _ = known(folder)
        shutil.rmtree(folder / "serve" / "snapshots")
        assert known(folder) == (with_snapshot, size.events)
    seconds, peak = found["ready_seconds"], found["peak_mb"]
    fault_row("T22", runs=1, lost=0, doubled=0, ready_seconds=seconds, peak_mb=peak)
