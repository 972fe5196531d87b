"""Profiles over HTTP: kept for good, known to the next answer, and gone with their user."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data.log import TIME, Log
from recency.errors import DataError
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.log.log_schema import SCHEMA_VERSION
from recency.serving.snapshots.snapshot_taker import SnapshotConfig
from recency.serving.snapshots.state_hash import state_hash
from recency.training.config import TrainConfig

HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
NOW = START + 100 * HOUR
COUNTRIES = ("at", "be", "ch")


def country_log(n_users: int = 60) -> Log:
    """Everybody takes items of the own country: at-0 to at-3."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"{COUNTRIES[user % 3]}-{one}", START + user + n * HOUR)
        for user in range(n_users)
        for n, one in enumerate(rng.integers(0, 4, 4))
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME)))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    people = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(60)],
            "country": [COUNTRIES[n % 3] for n in range(60)],
            "grade": [n % 3 for n in range(60)],
            "age": [20.5 + n % 40 for n in range(60)],
        }
    )
    model = SequenceRecommender(
        rc.GRU(8),
        training=TrainConfig(epochs=2, valid_share=0.0),
        profiles=rc.ProfileConfig(shrinkage=1.0),
        experts=None,
    )
    folder = tmp_path_factory.mktemp("profiles") / "model"
    model.fit(country_log(), users=people).save(folder)
    return folder


Opened = Callable[..., Engine]


@pytest.fixture
def opened(fitted: Path, tmp_path: Path) -> Iterator[Opened]:
    """Opens the model; again, after a stop or beside a copy."""
    SequenceRecommender.load(fitted).save(tmp_path / "shop")
    engines: list[Engine] = []

    def make(**settings: Any) -> Engine:
        engines.append(Engine.open(tmp_path / "shop", clock=lambda: NOW, **settings))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def countries(client: Any, user: str) -> set[str]:
    found = client.get(f"/v1/users/{user}/recommendations?k=3").json()["items"]
    return {one["item_id"][:2] for one in found}


def test_somebody_new_gets_what_is_popular_in_the_own_country(opened, make_client):
    client = make_client(opened())
    for country in COUNTRIES:
        said = {"country": country, "age": 31, "shoe_size": 42, "nothing": None}
        answer = client.put("/v1/users/newcomer", json=said).json()
        assert (answer["user_id"], answer["read"]) == ("newcomer", ["country", "age"])
        assert answer["left"] == ["shoe_size"] and answer["seq"] == answer["as_of"]["seq"]
        assert countries(client, "newcomer") == {country}
    shown = client.get("/v1/users/newcomer").json()
    assert shown["profile"] == {"country": "ch", "age": 31, "shoe_size": 42}
    assert (shown["n_events"], shown["idle_seconds"]) == (0, None)
    assert client.get("/v1/users/u1").json()["profile"] is None  # of the fit, not of the service
    assert client.put("/v1/users/newcomer", json={}).json()["read"] == []
    assert client.get("/v1/users/newcomer").json()["profile"] == {}


def test_values_are_read_as_they_were_fitted(opened, make_client):
    client = make_client(opened())
    for said, read in (({"grade": 1}, ["grade"]), ({"grade": 1.0}, ["grade"]),
                       ({"grade": "1"}, ["grade"]), ({"grade": 9}, []), ({"grade": True}, []),
                       ({"age": "old"}, []), ({"country": "xx"}, [])):  # fmt: skip
        answer = client.put("/v1/users/newcomer", json=said).json()
        assert answer["read"] == read and [*answer["read"], *answer["left"]] == list(said)


def test_what_was_said_outlives_a_kill_a_snapshot_and_a_merge(opened, make_client):
    settings = SnapshotConfig(every_events=1, at_stop=1)
    engine = opened(snapshots=settings)
    client = make_client(engine)
    client.put("/v1/users/newcomer", json={"country": "be"})
    client.put("/v1/users/guest", json={"country": "ch"})
    event = {"user_id": "u1", "item_id": "be-1", "event_id": "e", "timestamp": START + 6 * HOUR}
    assert client.post("/v1/events", json=event).json()["accepted"] == 1
    engine.close()  # takes a snapshot
    assert engine.snapshots is not None and engine.snapshots.seq == 3
    engine = opened(snapshots=settings)
    assert engine.follower.n_replayed == 0
    client = make_client(engine)
    client.post("/v1/users/newcomer/merge", json={"anonymous_id": "guest"})
    assert client.get("/v1/users/newcomer").json()["profile"] == {"country": "be"}
    client.put("/v1/users/guest", json={"country": "at"})  # the user's from now on
    client.put("/v1/users/late", json={"country": "ch"})
    before = {one: client.get(f"/v1/users/{one}/recommendations").json()["items"]
              for one in ("newcomer", "late", "u1")}  # fmt: skip
    known = engine.call(state_hash).result()
    engine.close()
    for taken in (SnapshotConfig(every_events=1), None):  # by the snapshot, by the whole log
        again = opened(snapshots=taken)
        client = make_client(again)
        assert countries(client, "newcomer") == {"at"} and countries(client, "late") == {"ch"}
        for one, items in before.items():
            found = client.get(f"/v1/users/{one}/recommendations").json()["items"]
            assert [item["item_id"] for item in found] == [item["item_id"] for item in items]
        assert again.call(state_hash).result() == known
        again.close()


def test_an_erased_user_leaves_no_profile(opened, make_client, tmp_path):
    engine = opened()
    client = make_client(engine)
    client.put("/v1/users/secretive", json={"country": "be", "hobby": "lockpicking"})
    client.put("/v1/users/u7", json={"country": "ch", "hobby": "lockpicking"})
    rows = client.get("/v1/users/secretive/export").text
    assert rows == '{"kind":"profile","attributes":{"country":"be","hobby":"lockpicking"}}\n'
    for one in ("secretive", "u7"):
        assert client.request("DELETE", f"/v1/users/{one}").json()["pending"] is False
        assert client.get(f"/v1/users/{one}/export").text == ""
        refused = client.put(f"/v1/users/{one}", json={"country": "be"})
        assert refused.status_code == 422
        assert refused.json()["detail"] == (
            f"user {one!r} was erased: nothing more is kept under this id."
        )
    engine.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"lockpicking" not in file.read_bytes(), file
    codes = next((tmp_path / "shop").rglob("profiles*.parquet"))
    left = pl.read_parquet(codes)["user_id"].to_list()
    assert "u6" in left and not {"u7", "secretive"} & set(left)
    assert "u7" not in SequenceRecommender.load(tmp_path / "shop").users


def test_what_is_no_profile_is_refused_with_all_faults(opened, make_client):
    client = make_client(opened())

    def refused(body: Any) -> str:
        answer = client.put("/v1/users/newcomer", json=body)
        assert answer.status_code == 422
        return str(answer.json()["detail"])

    assert refused([1]) == "expected a JSON object, found a list."
    said = refused({"tags": ["a"], "country": {"a": 1}, "bio": "x" * 1001, "ok": 1})
    for part in ("tags: expected a text, a number or a flag, found a list.", "country: expected",
                 "bio: expected at most 1,000 characters."):  # fmt: skip
        assert part in said
    assert "expected at most 100 attributes, found 101." in refused(
        {f"a{n}": n for n in range(101)}
    )
    assert client.get("/v1/users/newcomer").status_code == 404  # nothing was kept


def test_a_model_that_reads_no_profiles_keeps_them_for_one_that_does(client):
    answer = client.put("/v1/users/u1", json={"country": "at"}).json()
    assert (answer["read"], answer["left"]) == ([], ["country"])
    assert client.get("/v1/users/u1").json()["profile"] == {"country": "at"}


def test_a_log_of_version_2_is_brought_up(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        store.merge("a", "u").result(timeout=30)
        salt = store.identities.salt
    connection = sqlite3.connect(path)
    connection.executescript(
        "DROP INDEX profiles; ALTER TABLE user_changes DROP COLUMN document; "
        "PRAGMA user_version = 2;"
    )
    connection.close()
    with EventStore(path) as store:
        assert store.identities.of("a") == "u" and store.identities.salt == salt
        store.describe_user("a", "{}").result(timeout=30)
        assert store.profile_of("u") == "{}" and store.profile_of("a") is None
        store.erase("u").result(timeout=30)
        with pytest.raises(DataError, match="was erased"):
            store.describe_user("u", "{}").result(timeout=30)
    version = sqlite3.connect(path).execute("PRAGMA user_version").fetchone()
    assert version == (SCHEMA_VERSION,)
