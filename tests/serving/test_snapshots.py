"""Snapshots: what is restored knows the same and answers the same; what is torn is passed over."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import recency
from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.data.catalogue import Catalogue
from recency.ensemble import Ensemble
from recency.errors import ConfigError, FormatError
from recency.loading import load
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.snapshots.knowledge import read_known
from recency.serving.snapshots.snapshot_taker import SnapshotConfig, SupersededError
from recency.serving.snapshots.snapshots import (
    Origin,
    keep_newest,
    read_newest,
    remove_before,
    restore,
    write,
)
from recency.serving.snapshots.state_hash import state_hash
from recency.serving.users.erasure import erase_user
from recency.storage import MANIFEST
from recency.training.config import TrainConfig

NOW = START + 60 * DAY
USERS = [f"u{n}" for n in range(25)]


def event(n: int) -> dict[str, Any]:
    """One of many events: users and items join, every fifth comes late, some at one instant."""
    late = 900 * (n % 5 == 4)
    return {
        "event_id": f"e{n}",
        "user_id": f"u{n * 7 % 25}",
        "item_id": f"i{n * 3 % 37}",
        "timestamp": START + 31 * DAY + (n - late) // 2 * 1_000_000,
    }


def events(first: int, last: int) -> list[dict[str, Any]]:
    return [event(n) for n in range(first, last)]


def apart(one: Any, other: Any) -> float:
    """Give the largest difference of scores of the same items for all users."""
    items = [f"i{n}" for n in range(20)]
    return float(np.abs(one.score(USERS, items, at=NOW) - other.score(USERS, items, at=NOW)).max())


@pytest.fixture(scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 30, 20, 300, dim=8)


@pytest.fixture(scope="module")
def _ensemble(tmp_path_factory: pytest.TempPathFactory, _model: Path) -> Path:
    history = load(_model).live.timelines.histories()
    rows = [
        {"user_id": f"u{user}", "item_id": f"i{item}", "timestamp": time_}
        for user, item, time_ in zip(
            history.user_of.tolist(), history.items.tolist(), history.times.tolist(), strict=True
        )
    ]
    frame = pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    once = TrainConfig(epochs=1, device="cpu")
    members = [
        SequenceRecommender(recency.GRU(dim=8), training=once),
        SequenceRecommender(recency.Tide(dim=8), training=once, experts=None),
    ]
    folder = tmp_path_factory.mktemp("model") / "mixed"
    Ensemble(members).fit(recency.read_log(frame)).save(folder)
    return folder


@pytest.fixture(params=["one", "mixed"])
def folder(request: pytest.FixtureRequest, _model: Path) -> Path:
    """A model folder: one model, or an ensemble."""
    return _model if request.param == "one" else request.getfixturevalue("_ensemble")


def taken(folder: Path, place: Path, until: int) -> tuple[Any, Origin]:
    """Load a model, show it events, ask in between, and take a snapshot."""
    model = load(folder)
    origin = Origin.of(model, "log")
    for first in range(0, until, 50):
        model.observe(events(first, min(first + 50, until)))
        model.recommend(USERS[first // 50 :: 2], 5)
    write(place, model, lambda: until, origin)
    return model, origin


def test_a_restored_model_knows_the_same_and_answers_the_same(folder: Path, tmp_path: Path) -> None:
    model, origin = taken(folder, tmp_path, 150)
    twin = load(folder)
    assert restore(tmp_path, twin, origin) == 150
    assert state_hash(twin) == state_hash(model)
    assert apart(twin, model) < 1e-5
    n_kept = [len(one.states) for one in twin.live.models]
    assert n_kept == [len(one.states) for one in model.live.models] and min(n_kept) > 10
    for one in (model, twin):
        one.observe(events(150, 260))
    plain = load(folder)
    plain.observe(events(0, 260))
    assert state_hash(twin) == state_hash(model) == state_hash(plain)
    assert apart(twin, model) < 1e-5 and apart(twin, plain) < 1e-5
    assert twin.recommend(["u24"], 5, at=NOW).items == plain.recommend(["u24"], 5, at=NOW).items


def test_the_catalogue_is_in_it(_model: Path, tmp_path: Path) -> None:
    model = load(_model)
    origin = Origin.of(model, "log")
    model.catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": ["i1"], "title": ["One"]}))
    assert state_hash(model) != state_hash(load(_model))
    write(tmp_path, model, lambda: 3, origin)
    twin = load(_model)
    assert restore(tmp_path, twin, origin) == 3
    assert twin.catalogue is not None and twin.catalogue.describe("i1")["title"] == "One"
    assert state_hash(twin) == state_hash(model)


def test_a_late_event_while_states_are_copied_voids_the_copy(_model: Path, tmp_path: Path) -> None:
    model = load(_model)
    origin = Origin.of(model, "log")
    model.observe(events(0, 100))
    model.recommend(USERS, 5)
    late = {"user_id": "u3", "item_id": "i5", "timestamp": START + 3 * DAY}

    def run(function: Callable[[], Any]) -> Any:
        """After each job of the model's thread another event comes."""
        found = function()
        if not came:
            return found
        model.observe([came.pop()])
        model.recommend(["u3"], 5)  # and is read: the state is a newer one now
        return found

    came = [late, {"user_id": "u4", "item_id": "i6", "timestamp": NOW - DAY}]
    write(tmp_path, model, lambda: 102, origin, run)
    twin = load(_model)
    assert restore(tmp_path, twin, origin) == 102
    assert state_hash(twin) == state_hash(model)
    assert apart(twin, model) < 1e-5


def test_copying_lets_tails_join_the_flat_arrays(_model: Path, tmp_path: Path) -> None:
    model, _ = taken(_model, tmp_path, 150)
    assert len(model.live.timelines.freeze().arrived) == 0
    before = state_hash(model)
    model.observe(events(150, 160))
    assert state_hash(model) != before and len(model.live.timelines.freeze().arrived) == 10


@pytest.mark.parametrize("harm", ["cut", "flip", "missing", "manifest"])
def test_a_damaged_snapshot_is_passed_over_for_the_older_one(
    _model: Path, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, origin = taken(_model, tmp_path, 100)
    older = state_hash(model)
    model.observe(events(100, 150))
    newest = write(tmp_path, model, lambda: 150, origin)
    victim = next(newest.glob("histories-*"))
    if harm == "cut":
        victim.write_bytes(victim.read_bytes()[:-7])
    elif harm == "flip":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif harm == "missing":
        victim.unlink()
    else:
        (newest / MANIFEST).write_text('{"format": 1, "conte')
    twin = load(_model)
    with caplog.at_level(logging.WARNING):
        assert restore(tmp_path, twin, origin) == 100
    assert state_hash(twin) == older
    assert f"the snapshot {newest.name} is passed over" in caplog.text
    assert "damaged" in caplog.text and "event log are used instead" in caplog.text


def test_without_a_valid_one_the_model_is_as_its_folder(
    _model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, origin = taken(_model, tmp_path, 100)
    plain = load(_model)
    expected = state_hash(plain)
    assert restore(tmp_path / "none", plain, origin) == 0
    assert restore(tmp_path, plain, origin, last_seq=99) == 0
    assert "it holds the log up to 100, which ends at 99 here" in caplog.text
    other = Origin.of(plain, "another log")
    assert restore(tmp_path, plain, other) == 0
    assert "it was taken of another event log or model folder" in caplog.text
    for path in tmp_path.glob(f"*/{MANIFEST}"):
        raw = json.loads(path.read_text())
        raw["content"]["snapshot"] = 99
        path.write_text(json.dumps(raw))
    assert restore(tmp_path, plain, origin) == 0
    assert "expected a snapshot of format 1, found 99" in caplog.text
    assert state_hash(plain) == expected


def test_snapshots_whose_rows_are_not_the_models_are_refused(_model: Path, tmp_path: Path) -> None:
    _, origin = taken(_model, tmp_path, 100)
    found = next(read_newest(tmp_path, origin))
    other = load(untrained_shop(tmp_path / "other", 31, 20, 300, dim=8, seed=5))
    with pytest.raises(FormatError, match="the items of the snapshot .* are not the model's"):
        read_known(found.manifest, other)


def test_only_the_newest_are_kept_and_half_written_ones_removed(
    _model: Path, tmp_path: Path
) -> None:
    model, origin = taken(_model, tmp_path, 50)
    for seq in (60, 70, 80):
        write(tmp_path, model, partial(int, seq), origin)
    (tmp_path / ".taking-0badcafe").mkdir()
    for n, name in enumerate(("older-000000000900", "newer-000000000095", "newer-000000000085")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (n, n))  # in the order in which they were taken
    keep_newest(tmp_path, origin.model_version, 2)
    names = [f"{origin.model_version}-{seq:012d}" for seq in (70, 80)]
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {*names, "newer-000000000085"}
    remove_before(tmp_path, 80)
    assert {path.name for path in tmp_path.iterdir()} == kept - {names[0]}


def test_a_failure_leaves_nothing_behind(_model: Path, tmp_path: Path) -> None:
    model = load(_model)

    def fail() -> int:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write(tmp_path, model, fail, Origin.of(model, "log"))
    assert list(tmp_path.iterdir()) == []


def test_settings_are_checked_together() -> None:
    with pytest.raises(ConfigError) as error:
        SnapshotConfig(every_events=0, keep=-1)
    assert "every_events=0" in str(error.value) and "keep=-1" in str(error.value)


# --- in the engine ---------------------------------------------------------------------------


@pytest.fixture
def opened(_model: Path, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Opens engines on one shop, one at a time."""
    shop = Path(shutil.copytree(_model, tmp_path / "shop"))
    engines: list[Engine] = []

    def make(**settings: Any) -> Engine:
        if engines:
            engines.pop().close()
        engines.append(Engine.open(shop, clock=lambda: NOW, **settings))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def known(engine: Engine) -> str:
    return str(engine.call(state_hash).result())


def test_a_start_reads_the_snapshot_and_the_tail(opened: Callable[..., Engine]) -> None:
    engine = opened()
    engine.ingest(events(0, 120)).result()
    engine.call(lambda model: model.recommend(USERS, 5)).result()
    assert engine.snapshots is not None and engine.snapshots.seq == 0
    engine.snapshots.take()
    assert engine.snapshots.seq == 120
    engine.ingest(events(120, 150)).result()
    expected = known(engine)
    engine = opened()
    assert engine.follower.n_replayed == 30 and known(engine) == expected
    assert engine.snapshots is not None and engine.snapshots.seq == 120


def test_one_is_taken_when_due_and_at_a_stop_with_much_that_is_new(
    opened: Callable[..., Engine],
) -> None:
    engine = opened(snapshots=SnapshotConfig(every_events=100, at_stop=20))
    engine.ingest(events(0, 50)).result()
    assert engine.snapshots is not None and engine.snapshots.take_if_due() is None
    engine.ingest(events(50, 110)).result()
    deadline = time.monotonic() + 10
    while engine.snapshots.seq < 110 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert engine.snapshots.seq == 110
    engine.ingest(events(110, 140)).result()
    expected = known(engine)
    engine = opened()
    assert engine.follower.n_replayed == 0 and known(engine) == expected


def test_the_longer_one_took_the_longer_is_the_rest(opened: Callable[..., Engine]) -> None:
    config = SnapshotConfig(every_events=10, at_stop=1_000, rest=1e6)
    engine = opened(snapshots=config)
    assert engine.snapshots is not None
    engine.snapshots.take()
    engine.ingest(events(0, 50)).result()
    assert engine.snapshots.take_if_due() is None
    engine.snapshots.seconds = 0.0  # as if it had taken no time
    engine.snapshots.take_if_due()
    deadline = time.monotonic() + 10
    while engine.snapshots.seq < 50 and time.monotonic() < deadline:  # its thread may be first
        time.sleep(0.02)
    assert engine.snapshots.seq == 50


def test_questions_are_answered_while_one_is_taken(opened: Callable[..., Engine]) -> None:
    engine = opened()
    engine.ingest(events(0, 200)).result()
    done = threading.Event()

    def take() -> None:
        assert engine.snapshots is not None
        for _ in range(3):
            engine.snapshots.take()
        done.set()

    thread = threading.Thread(target=take)
    thread.start()
    n, first = 0, 200
    while not done.is_set():
        engine.ingest(events(first, first + 1)).result()
        engine.call(lambda model: model.recommend(["u1"], 5)).result(5)
        n, first = n + 1, first + 1
    thread.join()
    assert n > 3
    expected = known(engine)
    assert known(opened()) == expected


def test_nothing_is_taken_of_who_answers_no_more(
    opened: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened()
    engine.ingest(events(0, 20)).result()
    snapshots = engine.snapshots
    assert snapshots is not None
    seat, seats = snapshots._champion(), []

    def champion() -> Any:
        seats.append(seat)
        return seat if len(seats) == 1 else object()  # promoted right after the begin

    monkeypatch.setattr(snapshots, "_champion", champion)
    with pytest.raises(SupersededError):
        snapshots.take()
    monkeypatch.undo()
    assert snapshots.take().name.endswith(f"{20:012d}")


def test_an_erasure_removes_what_was_taken_before(opened: Callable[..., Engine]) -> None:
    engine = opened()
    engine.ingest(events(0, 30)).result()
    assert engine.snapshots is not None
    path = engine.snapshots.take()
    erase_user(engine, "u7")
    assert not path.exists()
    assert engine.snapshots.take().is_dir()
    expected = known(engine)
    assert known(opened()) == expected
