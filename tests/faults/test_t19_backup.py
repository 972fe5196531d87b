"""T19: backups of a busy server restore to the same hash; formats of other versions, both ways."""

import json
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.errors import FormatError
from recency.loading import load
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.snapshots.backup import back_up, restore_backup
from recency.serving.snapshots.snapshot_taker import SnapshotConfig
from recency.serving.snapshots.state_hash import state_hash
from recency.storage import MANIFEST

NOW = START + 60 * DAY
CLIENTS = 2


@pytest.fixture(scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 40, 30, 400, dim=8)


@pytest.fixture
def shop(_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_model, tmp_path / "shop"))


def events(client: int, first: int, n: int) -> list[dict[str, Any]]:
    """Some late, some at one instant, users and items that join."""
    return [
        {
            "event_id": f"{client}-{k}",
            "user_id": f"u{(k * 7 + client) % 50}",
            "item_id": f"i{k * 3 % 60}",
            "timestamp": START + 31 * DAY + (k - 400 * (k % 5 == 4)) // 2 * 1_000_000,
        }
        for k in range(first, first + n)
    ]


def known(folder: Path) -> str:
    engine = Engine.open(folder, clock=lambda: NOW, snapshots=None)
    try:
        return str(engine.call(state_hash).result())
    finally:
        engine.close()


def replayed(model: Path, log: Path, until: int) -> str:
    """Hash what a model knows that was shown a log's entries one page after the other."""
    recommender, after = load(model), 0
    with EventStore(log) as store:
        while page := store.read(after, 500):
            rows = [
                {"user_id": one.user_id, "item_id": one.item_id, "timestamp": one.time}
                for seq, one in page
                if seq <= until
            ]
            recommender.observe(rows)
            after = page[-1][0]
    return state_hash(recommender)


def test_backups_taken_while_events_come_in_restore_to_the_same_hash(
    shop: Path, _model: Path, tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    n_backups = 20 if soak else 3
    config = SnapshotConfig(every_events=2_000 if soak else 150)
    engine = Engine.open(shop, clock=lambda: NOW, snapshots=config)
    stop, sent = threading.Event(), [0] * CLIENTS

    def send(client: int) -> None:
        while not stop.is_set():
            engine.ingest(events(client, sent[client], 20)).result()
            sent[client] += 20
            engine.call(lambda model: model.recommend(["u1", "u7"], 5)).result()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        backups = []
        for n in range(n_backups):
            while sum(sent) < 400 * (n + 1):
                threading.Event().wait(0.01)
            backups.append(back_up(shop, tmp_path / f"backup-{n}"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert engine.snapshots is not None
    engine.snapshots.take()
    at_rest = back_up(shop, tmp_path / "at-rest")
    expected = str(engine.call(state_hash).result())
    engine.close()
    assert at_rest.seq == sum(sent)
    restore_backup(at_rest.folder, tmp_path / "rest")
    assert known(tmp_path / "rest") == expected
    assert at_rest.snapshot > 0  # else nothing of this was tried
    lost = 0
    for n, backup in enumerate(backups):
        assert 0 < backup.seq <= sum(sent) and backup.snapshot <= backup.seq
        restored = tmp_path / f"restored-{n}"
        restore_backup(backup.folder, restored)
        lost += known(restored) != replayed(_model, shop / "serve" / "events.sqlite", backup.seq)
    assert lost == 0
    fault_row("T19", runs=n_backups, lost=lost, doubled=0, events=sum(sent))


def served(shop: Path) -> str:
    """Serve for a while, with a snapshot in the middle; give the hash of what is known then."""
    engine = Engine.open(shop, clock=lambda: NOW, snapshots=SnapshotConfig(at_stop=10_000))
    engine.ingest(events(0, 0, 200)).result()
    assert engine.snapshots is not None
    engine.snapshots.take()
    engine.ingest(events(0, 200, 50)).result()
    expected = str(engine.call(state_hash).result())
    engine.close()
    return expected


@pytest.mark.parametrize("snapshot_format", [0, 2])
def test_snapshots_of_another_version_cost_time_but_no_event(
    shop: Path, snapshot_format: int, caplog: pytest.LogCaptureFixture
) -> None:
    expected = served(shop)
    for path in shop.glob(f"serve/snapshots/*/{MANIFEST}"):
        raw = json.loads(path.read_text())
        raw["content"]["snapshot"] = snapshot_format
        path.write_text(json.dumps(raw))
    with caplog.at_level(logging.WARNING):
        assert known(shop) == expected
    assert f"expected a snapshot of format 1, found {snapshot_format}" in caplog.text


def test_a_folder_from_before_there_were_snapshots_opens_and_goes_back(shop: Path) -> None:
    expected = served(shop)
    shutil.rmtree(shop / "serve" / "snapshots")  # as the version before left it
    assert known(shop) == expected
    served_again = Engine.open(shop, clock=lambda: NOW)
    assert served_again.snapshots is not None
    served_again.snapshots.take()
    served_again.close()
    # What the version before reads of the folder is as it was: it knows nothing of snapshots.
    recommender = load(shop)
    assert recommender.live.timelines.n_events == 400


def test_newer_formats_are_refused_with_what_to_do(shop: Path) -> None:
    served(shop)
    log = shop / "serve" / "events.sqlite"
    with sqlite3.connect(log) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FormatError, match="found version 99: .* Open it with the version"):
        Engine.open(shop)
    manifest = shop / MANIFEST
    raw = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(raw | {"format": 99}))
    with pytest.raises(FormatError, match="has format 99, .* reads up to 1; upgrade Recency"):
        load(shop)
