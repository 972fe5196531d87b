"""The modes of durability, and the way up from an older file."""

import sqlite3
import time
from pathlib import Path

import pytest

from recency.errors import ConfigError, FormatError
from recency.serving.log.durability import Durability
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event, ItemChange

NOW = 1_767_225_600_000_000
VERSION_1 = """
BEGIN;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, user_id NOT NULL, item_id NOT NULL,
    time INTEGER NOT NULL, event_type TEXT, value REAL, session_id, context TEXT
);
CREATE TABLE items (
    item_id PRIMARY KEY NOT NULL, first_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
PRAGMA application_id = 0x52434E59;
PRAGMA user_version = 1;
INSERT INTO events VALUES (1, 'e1', 'u1', 'i1', 1767225600000001, 'view', 0.5, 's', '{"a":1}');
INSERT INTO events VALUES (2, 'e2', 42, 'i2', 1767225600000002, NULL, NULL, NULL, NULL);
INSERT INTO items VALUES ('i1', 3, 3, '{}');
INSERT INTO notes VALUES ('first met abc as of 1', '2');
COMMIT;
"""


def event(n: int) -> Event:
    return Event(f"e{n}", f"u{n}", f"i{n}", NOW + n)


@pytest.mark.parametrize(
    "text,mode,window,synchronous",
    [
        ("sync", "sync", 0.0, "FULL"),
        ("interval:50ms", "interval", 0.05, "NORMAL"),
        ("interval:2s", "interval", 2.0, "NORMAL"),
        ("interval:0.5s", "interval", 0.5, "NORMAL"),
        ("memory", "memory", None, "NORMAL"),
    ],
)
def test_a_mode_says_what_may_be_lost(text, mode, window, synchronous):
    found = Durability.parse(text)
    assert (found.mode, found.loss_window_seconds, found.synchronous) == (mode, window, synchronous)
    assert Durability.parse(str(found)) == found


@pytest.mark.parametrize("text", ["", "Sync", "interval", "interval:50", "interval:0ms", "off",
                                  "interval:61s", "interval:-1s", "interval:1min"])  # fmt: skip
def test_other_modes_are_refused(text, tmp_path):
    with pytest.raises(ConfigError) as caught:
        EventStore(tmp_path / "events.sqlite", durability=text)
    assert str(caught.value) == (
        f"expected durability as 'sync', 'interval:50ms' (1ms to 60s) or 'memory', found {text!r}."
    )
    assert not (tmp_path / "events.sqlite").exists()


def test_the_default_waits_for_the_disk(tmp_path):
    with EventStore(tmp_path / "events.sqlite") as store:
        assert store.durability == Durability("sync")
        assert store.durability.loss_window_seconds == 0.0


@pytest.mark.parametrize("durability", ["interval:50ms", "memory"])
def test_weaker_modes_keep_events_over_a_restart_and_sync_where_they_say(tmp_path, durability):
    path = tmp_path / "events.sqlite"
    with EventStore(path, durability=durability) as store:
        writer = store._writer
        assert writer._connection.execute("PRAGMA synchronous").fetchone() == (1,)  # NORMAL
        for n in range(5):
            store.append([event(n)]).result(timeout=30)
        if durability.startswith("interval"):
            assert writer._unsynced is not None
            patience = time.monotonic() + 30
            while writer._unsynced is not None:  # without another event
                assert time.monotonic() < patience
                time.sleep(0.005)
            assert store.note("synced") == ""
        else:
            assert writer._unsynced is None
        assert writer._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    with EventStore(path) as store:
        assert store.count_events() == 5


def test_a_steady_stream_is_synced_by_its_own_commits(tmp_path):
    with EventStore(tmp_path / "events.sqlite", durability="interval:20ms") as store:
        oldest = 0.0
        end = time.monotonic() + 0.3
        n = 0
        while time.monotonic() < end:
            store.append([event(n)]).result(timeout=30)
            n += 1
            since = store._writer._unsynced
            oldest = max(oldest, 0.0 if since is None else time.monotonic() - since)
        assert n > 10 and oldest > 0
        assert store.count_events() == n


def version_1(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1)
    connection.close()
    return path


def test_a_file_of_version_1_is_brought_up_in_place(tmp_path, caplog):
    path = version_1(tmp_path / "events.sqlite")
    with EventStore(path) as store:
        assert f"{path} was brought from version 1 to 3" in caplog.text
        assert store.read() == [
            (1, Event("e1", "u1", "i1", NOW + 1, "view", 0.5, "s", '{"a":1}')),
            (2, Event("e2", 42, "i2", NOW + 2)),
        ]
        assert store.read_items() == [(3, ItemChange("i1", "{}"))]
        assert store.note("first met abc as of 1") == "2"
        assert store.last_seq == 3 and store.read_changes() == []
        assert len(store.identities.salt) == 64
        assert [one.seq for one in store.append([event(1), event(9)]).result()] == [None, 4]
        salt = store.identities.salt
    caplog.clear()
    with EventStore(path) as store:
        assert store.identities.salt == salt
        assert store.count_events() == 3
    assert "was brought" not in caplog.text


def test_an_upgrade_that_fails_leaves_version_1(tmp_path, monkeypatch):
    from recency.serving.log import log_schema

    path = version_1(tmp_path / "events.sqlite")
    monkeypatch.setattr(log_schema, "_FROM_1", log_schema._FROM_1 + "SELECT broken;")
    with pytest.raises(Exception, match="broken"):
        EventStore(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "user_changes" not in tables
    connection.close()
    monkeypatch.undo()
    with EventStore(path) as store:
        assert store.count_events() == 2


def test_the_version_before_refuses_a_file_of_this_one(tmp_path):
    """What version 1 checks: it says so, and changes nothing."""
    path = tmp_path / "events.sqlite"
    EventStore(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    with pytest.raises(FormatError, match="version 3 or older, found version 4"):
        EventStore(path)


def test_deleted_content_is_overwritten_from_the_first_day(tmp_path):
    with EventStore(tmp_path / "events.sqlite") as store:
        connection = store._writer._connection
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
