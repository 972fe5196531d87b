"""T13: a user is erased; no file names it, no restart and no old copy brings it back."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.errors import DataError, RecencyError, StoreError
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.users.erasure import carry_erasures, erase_user, export_user, n_pending
from recency.serving.users.merging import merge_users

NOW = START + 40 * DAY
GONE, ANON = "gone-8f41c0", "anon-77d2e9"  # found by their bytes wherever they lie
FITTED = "u7"  # of the log that the model was fitted on


@pytest.fixture(scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 30, 20, 300, dim=8)


@pytest.fixture
def shop(_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_model, tmp_path / "shop"))


@pytest.fixture
def opened(shop: Path) -> Iterator[Callable[..., Engine]]:
    """Opens engines on the shop, one at a time."""
    engines: list[Engine] = []

    def make(folder: Path = shop) -> Engine:
        if engines:
            engines.pop().close()
        engines.append(Engine.open(folder, clock=lambda: NOW))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def event(n: int, user: str, **more: Any) -> dict[str, Any]:
    at = START + 31 * DAY + n * 1_000_000
    row = {"event_id": f"e{n}", "user_id": user, "item_id": f"i{n % 40}", "timestamp": at}
    return row | more


def send(engine: Engine, n: int = 400) -> None:
    """Events of many, among them the user's and its anonymous id's, in groups of five."""
    users = [GONE, "u1", ANON, "u2", "u3"]
    for first in range(0, n, 5):
        rows = [event(first + k, user) for k, user in enumerate(users)]
        rows[0] |= {"context": {"note": GONE}, "impression": ["i1", "i2"]}
        assert {one.status for one in engine.ingest(rows).result(timeout=30)} == {"accepted"}
    merge_users(engine, ANON, GONE)


def naming(folder: Path, *ids: str) -> list[str]:
    """List the files that hold one of some ids."""
    return [
        f"{path.name}: {one}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for one in ids
        if one.encode() in path.read_bytes()
    ]


def answers(engine: Engine, users: list[str]) -> dict[str, dict[Any, float]]:
    found = engine.call(lambda model: model.recommend(users, len(model.items), at=NOW)).result(60)
    return {
        user: dict(zip(items, scores, strict=True))
        for user, items, scores in zip(users, found.items, found.scores, strict=True)
    }


def assert_erased(engine: Engine, *ids: str) -> None:
    """Nothing is known of them, and nothing that comes late is taken."""
    for one in ids:
        assert one not in engine.call(lambda model: model.users.ids.to_list()).result(60)
        assert export_user(engine, one) == []
        (late,) = engine.ingest([event(99_999, one, event_id=f"late-{one}")]).result(30)
        assert (late.status, late.seq) == ("rejected", None)
        assert late.error == f"user {one!r} was erased: nothing more is kept under this id."


def test_t13_no_file_no_restart_and_no_old_copy_knows_an_erased_user(
    shop, opened, tmp_path, fault_row
):
    engine = opened()
    send(engine)
    assert naming(shop, GONE, ANON)
    backup = tmp_path / "backup"
    engine.store.fold()
    shutil.copytree(shop, backup)  # an old copy, from before the erasure
    done = erase_user(engine, GONE)
    assert (done.user_id, done.n_events, done.already, done.pending) == (GONE, 160, False, False)
    assert naming(shop, GONE, ANON) == []  # while it runs
    assert_erased(engine, GONE, ANON)
    others = answers(engine, ["u1", "u2", "u3", GONE])

    again = erase_user(engine, GONE)
    assert (again.seq, again.n_events, again.already) == (done.seq, 0, True)

    engine = opened()  # a restart replays the log
    assert naming(shop, GONE, ANON) == []
    assert_erased(engine, GONE, ANON)
    assert_alike(answers(engine, ["u1", "u2", "u3", GONE]), others)

    shutil.rmtree(tmp_path / "older", ignore_errors=True)
    older = Path(shutil.copytree(backup, tmp_path / "older"))
    with (
        EventStore(tmp_path / "older" / "serve" / "events.sqlite") as restored,
        pytest.raises(DataError, match="found a log of its own"),
        EventStore(tmp_path / "another.sqlite") as another,
    ):
        carry_erasures(another.path, restored)
    with EventStore(older / "serve" / "events.sqlite") as restored:
        with pytest.raises(StoreError, match="unable to open database file"):
            carry_erasures(tmp_path / "no such.sqlite", restored)
        assert carry_erasures(engine.store.path, restored) == 2  # while the server runs
        assert carry_erasures(engine.store.path, restored) == 0
    assert naming(older, GONE, ANON) == []
    engine = opened(older)
    assert_erased(engine, GONE, ANON)
    assert_alike(answers(engine, ["u1", "u2", "u3", GONE]), others)
    fault_row(test="T13", runs=1, lost=0, doubled=0)


def assert_alike(found: dict[str, dict[Any, float]], expected: dict[str, dict[Any, float]]) -> None:
    for user, scores in expected.items():
        assert found[user].keys() == scores.keys()
        assert all(found[user][item] == pytest.approx(scores[item], abs=1e-5) for item in scores)


def test_t13_a_user_of_the_fitted_log_leaves_the_models_folder(shop, opened):
    engine = opened()
    send(engine, 50)
    before = json.loads((shop / "manifest.json").read_text())
    n_known = engine.call(lambda model: model.history(FITTED).height).result(60)
    rows = export_user(engine, FITTED)
    assert [row["kind"] for row in rows] == ["fitted"] * n_known and n_known > 0
    n_before = engine.n_users
    assert erase_user(engine, FITTED).pending is False
    after = json.loads((shop / "manifest.json").read_text())
    assert after["content"] == before["content"]  # the weights and their name stay
    changed = {name for name in before["files"] if before["files"][name] != after["files"][name]}
    assert changed == {"users.parquet", "histories.safetensors"}
    assert not (shop / before["files"]["users.parquet"]["file"]).exists()
    version, n_users = engine.model_version, engine.n_users
    assert n_users == n_before - 1 and len(users_in(shop)) == 20  # its row stays, uncounted
    engine = opened()
    assert engine.n_users == n_users
    assert engine.model_version == version
    assert_erased(engine, FITTED)


def test_t13_a_model_folder_put_back_from_a_copy_is_cleaned_by_the_log(shop, opened, tmp_path):
    copy = Path(shutil.copytree(shop, tmp_path / "copy"))
    engine = opened()
    send(engine, 50)
    erase_user(engine, FITTED)
    engine.close()
    for path in copy.iterdir():  # the old model over the new one; the log is of today
        if path.is_file():
            shutil.copy(path, shop / path.name)
    engine = opened()
    assert_erased(engine, FITTED)
    assert FITTED not in users_in(shop) and engine.follower.n_erased == 1
    assert opened().follower.n_erased == 0


def test_t13_a_version_published_from_before_the_erasure_is_cleaned_when_it_is_loaded(
    shop, opened, tmp_path
):
    other = untrained_shop(tmp_path / "other", 30, 20, 300, dim=8, seed=1)
    engine = opened()
    send(engine, 50)
    erase_user(engine, FITTED)
    name = engine.registry.publish(other)
    assert FITTED in users_in(shop / "serve" / "models" / name)
    engine.promote(name, force=True).result(60)
    assert engine.model_version == name
    assert_erased(engine, FITTED)
    assert FITTED not in users_in(shop / "serve" / "models" / name)


def test_t13_a_death_between_the_log_and_the_files_is_made_up_for(shop, opened, monkeypatch):
    engine = opened()
    send(engine, 50)

    def die(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recency.serving.users.erasure.erase_from_model", die)
        done = erase_user(engine, FITTED)
        assert done.pending is True and n_pending(engine.store) == 1
        assert_erased(engine, FITTED)  # the promise to the user holds at once
    engine = opened()
    assert n_pending(engine.store) == 0
    assert FITTED not in users_in(shop)


def users_in(folder: Path) -> list[Any]:
    from recency.model_folder import read_vocabs
    from recency.storage import read_manifest

    return read_vocabs(read_manifest(folder)).users.ids.to_list()


def test_t13_another_reader_of_the_log_delays_the_cleaning_and_is_told(shop, opened, monkeypatch):
    engine = opened()
    send(engine, 50)
    reader = sqlite3.connect(shop / "serve" / "events.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    monkeypatch.setattr("recency.serving.log.log_schema.PATIENCE", 0.1)
    assert erase_user(engine, GONE).pending is True
    assert_erased(engine, GONE)
    reader.execute("ROLLBACK")
    reader.close()
    assert erase_user(engine, GONE).pending is False
    assert naming(shop, GONE, ANON) == []


def test_t13_users_are_erased_while_events_of_all_come_in(shop, opened):
    engine = opened()
    users = [f"w{n}-5e2c" for n in range(6)]
    stop, faults, sent = threading.Event(), [], [0]

    def ingest(sender: int) -> None:
        n = 0
        while not stop.is_set():
            rows = [event(n + k, one, event_id=f"{sender}-{n + k}") for k, one in enumerate(users)]
            try:
                outcomes = engine.ingest(rows).result(30)
            except RecencyError as error:
                faults.append(error)
                return
            sent[0] += sum(one.status == "accepted" for one in outcomes)
            n += len(users)

    senders = [threading.Thread(target=ingest, args=(n,)) for n in range(3)]
    for thread in senders:
        thread.start()
    n_deleted = 0
    for one in users[:3]:
        while not engine.store.events_of([one]):
            pass
        done = erase_user(engine, one)
        n_deleted += done.n_events
        assert not done.pending and naming(shop, one) == []
    stop.set()
    for thread in senders:
        thread.join()
    assert not faults and sent[0] - n_deleted == engine.store.count_events()
    assert naming(shop, *users[:3]) == [] and engine.store.events_of(users[3:])
    for one in users[:3]:
        assert_erased(engine, one)


def test_t13_the_log_keeps_a_digest_and_no_id(shop, opened):
    engine = opened()
    send(engine, 50)
    done = erase_user(engine, GONE)
    changes = engine.store.read_changes()
    assert [(seq, one.kind, one.user_id, one.anonymous_id) for seq, one in changes] == [
        (done.seq, "erase", None, None),
        (done.seq + 1, "erase", None, None),
    ]
    assert {one.digest for _, one in changes} == engine.store.identities.tombstones.keys()
    assert engine.store.last_seq == done.seq + 1
    (next_one,) = engine.ingest([event(7777, "u1")]).result(30)
    assert next_one.seq == done.seq + 2


def test_t13_export_shows_what_will_be_erased(opened):
    engine = opened()
    send(engine, 10)
    rows = export_user(engine, ANON)  # of a merged id, the whole user is shown
    assert [row["kind"] for row in rows] == ["event"] * 4 + ["merge"]
    assert rows[0] == {
        "kind": "event",
        "seq": 1,
        "event_id": "e0",
        "user_id": GONE,
        "item_id": "i0",
        "timestamp": "2026-02-01T00:00:00Z",
        "context": {"note": GONE},
        "impression": ["i1", "i2"],
    }
    assert rows[-1] == {"kind": "merge", "seq": 11, "anonymous_id": ANON}
