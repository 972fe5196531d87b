"""A large log is checked for damage while it is in use, a small one before."""

import logging
import sqlite3
from pathlib import Path

import pytest

from recency.errors import FormatError
from recency.serving.log import log_check, log_schema
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.log.log_check import LogCheck


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A log with a page in the middle that is rubbish."""
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        store.append([Event(f"e{n}", "u", "i", n, context="x" * 200) for n in range(400)]).result()
    content = bytearray(path.read_bytes())
    content[9 * 4096 : 10 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    return path


def test_a_small_one_is_refused_at_the_start(damaged: Path) -> None:
    with pytest.raises(FormatError, match="is damaged"):
        EventStore(damaged)


def test_a_large_one_opens_at_once_and_its_damage_is_told(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_check, "CHECKED_AT_START", 1)
    monkeypatch.setattr(log_schema, "CHECKED_AT_START", 1)
    with caplog.at_level(logging.ERROR), EventStore(damaged) as store:
        store._check.join(10)
        assert store._check.fault is not None
    assert f"the event log {damaged} is damaged" in caplog.text
    assert "put back a copy that is sound" in caplog.text


def test_a_sound_one_has_no_fault_and_the_check_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    EventStore(path).close()
    check = LogCheck(path)
    check.run()
    assert check.fault is None
    stopped = LogCheck(path)
    stopped.close()
    stopped.start()
    stopped.join(10)
    assert stopped.fault is None and not stopped.is_alive()


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"rubbish" * 1000)
    check = LogCheck(path)
    check.run()
    assert check.fault == "file is not a database"
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT * FROM events")
