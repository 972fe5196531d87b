"""The event store: what is acknowledged is there, once, in order, whatever happens to the disk."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.errors import FormatError, StoreError
from recency.serving.log import group_commit
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event, ItemChange
from recency.serving.log.group_commit import GroupCommit
from recency.serving.refusals import OverloadedError, StoppedError, StoreFullError

NOW = 1_767_225_600_000_000


def event(n: int, **changes: object) -> Event:
    fields = {"event_id": f"e{n}", "user_id": f"u{n % 3}", "item_id": n, "time": NOW + n}
    return Event(**(fields | changes))  # type: ignore[arg-type]  # a mixed dictionary


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "events.sqlite") as store:
        yield store


def writer(store: EventStore) -> GroupCommit:
    return store._writer


def test_events_come_back_as_they_were_and_in_order(store):
    events = [
        event(1, user_id=42, item_id="a/b", event_type="buy", value=0.1 + 0.2),
        event(2, user_id="42", item_id=-(2**63), session_id=7, context='{"shop":"x"}'),
        event(3, user_id="ünï ☃ \u202e", item_id=2**63 - 1, session_id="s", value=-0.0),
    ]
    outcomes = store.append(events).result()
    assert [(one.event_id, one.status, one.seq) for one in outcomes] == [
        ("e1", "accepted", 1),
        ("e2", "accepted", 2),
        ("e3", "accepted", 3),
    ]
    assert store.read() == [(1, events[0]), (2, events[1]), (3, events[2])]
    assert [type(one.user_id) for _, one in store.read()] == [int, str, str]
    assert store.read(after_seq=1, limit=1) == [(2, events[1])]
    assert store.read(after_seq=3) == []
    assert store.count_events() == store.last_seq == 3


def test_a_repeat_is_a_duplicate_with_the_place_of_the_first(store):
    store.append([event(1), event(2)]).result()
    again = store.append([event(2), event(3), event(3), event(1, time=NOW + 99)]).result()
    assert [(one.status, one.seq) for one in again] == [
        ("duplicate", 2),
        ("accepted", 3),
        ("duplicate", 3),
        ("duplicate", 1),
    ]
    assert [seq for seq, _ in store.read()] == [1, 2, 3]
    assert store.read()[0][1].time == NOW + 1


def test_the_same_object_twice_is_one_event(store):
    one = event(1)
    assert [o.status for o in store.append([one, one]).result()] == ["accepted", "duplicate"]


def test_an_id_of_another_event_is_rejected_not_swallowed(store):
    store.append([event(1, event_type="view")]).result()
    (outcome,) = store.append([event(1, item_id="other", event_type="view")]).result()
    assert (outcome.status, outcome.seq) == ("rejected", None)
    assert outcome.error == (
        "event_id 'e1' belongs to another event: user 'u1', item 1, type 'view', value None "
        "(seq 1). Give each event an id of its own."
    )
    assert store.count_events() == 1


def test_an_empty_append_is_answered(store):
    assert store.append([]).result() == []


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=12))
def test_any_mixture_of_repeats_keeps_each_id_once_in_order_of_first_arrival(
    batches, tmp_path_factory
):
    path = tmp_path_factory.mktemp("store") / "events.sqlite"
    with EventStore(path) as store:
        replies = [store.append([event(n) for n in batch]) for batch in batches]
        outcomes = [reply.result() for reply in replies]
    sent = [n for batch in batches for n in batch]
    first = list(dict.fromkeys(sent))
    with EventStore(path) as store:
        assert [one.event_id for _, one in store.read()] == [f"e{n}" for n in first]
        assert [seq for seq, _ in store.read()] == list(range(1, len(first) + 1))
    flat = [one for batch in outcomes for one in batch]
    assert [one.seq for one in flat] == [first.index(n) + 1 for n in sent]
    assert sum(one.status == "accepted" for one in flat) == len(first)


def test_large_batches_cross_the_statements(store):
    n = 12_345
    outcomes = store.append([event(i) for i in range(n)]).result()
    assert [one.seq for one in outcomes] == list(range(1, n + 1))
    assert store.count_events() == n
    again = store.append([event(i) for i in range(n - 5, n + 5)]).result()
    assert [one.status for one in again] == ["duplicate"] * 5 + ["accepted"] * 5


def test_threads_and_coroutines_may_append_together(store):
    def append(first: int) -> None:
        for n in range(first, first + 50):
            assert store.append([event(n)]).result(timeout=30)[0].status == "accepted"

    async def append_all(first: int) -> None:
        replies = [store.append([event(n)]) for n in range(first, first + 50)]
        for reply in replies:
            assert (await reply)[0].status == "accepted"

    threads = [threading.Thread(target=append, args=(1000 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    asyncio.run(append_all(9000))
    for thread in threads:
        thread.join()
    assert store.count_events() == 250
    assert [seq for seq, _ in store.read()] == list(range(1, 251))


def test_what_waits_is_committed_together(store):
    sizes = []
    release = threading.Event()

    def deliver(group):
        sizes.append(len(group.appends))
        group.resolve()
        release.wait(30)

    store.deliver_to(deliver)
    first = store.append([event(0)])
    first.result(timeout=30)  # the writer now waits inside deliver
    rest = [store.append([event(n)]) for n in range(1, 41)]
    release.set()
    for reply in rest:
        reply.result(timeout=30)
    assert sizes == [1, 40]


def test_items_are_replaced_and_keep_their_first_place(store):
    store.put_items([ItemChange("a", '{"v":1}')]).result()
    store.append([event(1)]).result()
    store.put_items([ItemChange("b", "{}"), ItemChange("a", '{"v":2}')]).result()
    assert store.read_items() == [(1, ItemChange("a", '{"v":2}')), (3, ItemChange("b", "{}"))]
    assert store.read_items(after_seq=1) == [(3, ItemChange("b", "{}"))]
    assert store.last_seq == 4


def test_seq_goes_on_after_a_restart_even_when_the_last_entry_replaced_an_item(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        store.put_items([ItemChange("a", "{}")]).result()
        store.put_items([ItemChange("a", "{}")]).result()
    with EventStore(path) as store:
        assert store.last_seq == 2
        assert store.append([event(1)]).result()[0].seq == 3


def test_notes_are_kept(tmp_path):
    with EventStore(tmp_path / "events.sqlite") as store:
        assert store.note("base") is None
        store.write_note("base", "1")
        store.write_note("base", "2")
    with EventStore(tmp_path / "events.sqlite") as store:
        assert store.note("base") == "2"


def test_the_file_is_synced_before_the_answer(store):
    """The settings that make an answer mean something; a change of them must not go unnoticed."""
    connection = writer(store)._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- the disk fails ------------------------------------------------------------------------------


def fill(store: EventStore) -> None:
    """Let the database grow no further."""
    connection = writer(store)._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()


def test_a_full_disk_is_told_and_loses_nothing(store):
    store.append([event(n) for n in range(10)]).result()
    fill(store)
    with pytest.raises(StoreFullError) as caught:
        store.append([event(n) for n in range(10, 2000)]).result()
    assert str(caught.value) == (
        f"the disk that holds {store.path} is full; nothing of this call is kept. Free some "
        f"space, then send the events again."
    )
    assert isinstance(store.failing, StoreFullError)
    assert store.count_events() == 10 and store.underway == 0  # reads go on
    writer(store)._connection.execute("PRAGMA max_page_count = 1000000").fetchone()
    assert store.append([event(n) for n in range(10, 2000)]).result()[0].seq == 11
    assert store.failing is None


@pytest.mark.parametrize("how", ["full", "locked"])
def test_a_disk_that_is_well_again_is_found_without_an_event(store, monkeypatch, how):
    """Whoever is told 'not ready' sends nothing; so readiness must come back by itself."""
    monkeypatch.setattr(group_commit, "_PROBE_SECONDS", 0.02)
    connection = writer(store)._connection
    connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(store.path, isolation_level=None)
    if how == "full":
        fill(store)
    else:
        other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        store.append([event(n) for n in range(2000)]).result(timeout=30)
    assert store.failing is not None
    if how == "full":
        connection.execute("PRAGMA max_page_count = 1000000").fetchone()
    other.close()
    patience = time.monotonic() + 30
    while store.failing is not None and time.monotonic() < patience:
        time.sleep(0.01)
    assert store.failing is None
    assert store.append([event(1)]).result(timeout=30)[0].seq == 1


class Failing:
    """A connection whose commit fails, before or after it has done its work."""

    def __init__(self, connection: sqlite3.Connection, *, after: bool) -> None:
        self._connection, self._after = connection, after
        self.failures = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> object:
        if statement == "COMMIT" and self.failures:
            self.failures -= 1
            if self._after:
                self._connection.execute(statement)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self._connection.execute(statement, *values)


@pytest.mark.parametrize("landed", [False, True])
def test_after_a_failed_sync_the_file_is_opened_anew(store, landed, caplog):
    """A commit that reports failure may be in the file or not; its reader must see the same."""
    delivered: list[int] = []

    def deliver(group):
        delivered.extend(seq for seq, _ in group.events)
        group.resolve()

    store.deliver_to(deliver)
    store.append([event(1)]).result()
    broken = Failing(writer(store)._connection, after=landed)
    writer(store)._connection = broken  # type: ignore[assignment]  # stands in for one
    with pytest.raises(StoreError) as caught:
        store.append([event(2)]).result()
    assert str(caught.value) == (
        f"could not write or read {store.path}: disk I/O error (SQLITE_IOERR_FSYNC). Nothing of "
        f"this call is acknowledged; check the disk, then send the events again with the same "
        f"event_id."
    )
    assert store.count_events() == 1 + landed  # reads go on
    outcomes = store.append([event(2), event(3)]).result()
    assert [one.status for one in outcomes] == ["duplicate" if landed else "accepted", "accepted"]
    assert isinstance(writer(store)._connection, sqlite3.Connection)
    assert delivered == [1, 2, 3]
    assert [one.event_id for _, one in store.read()] == ["e1", "e2", "e3"]
    assert ("1 events of a failed write were in the log after all" in caplog.text) == landed


def test_a_real_limit_of_the_file_system_is_survived(tmp_path):
    """RLIMIT_FSIZE makes the operating system itself refuse to let the file grow."""
    path = tmp_path / "events.sqlite"
    code = f"""
import resource, signal, sys
from recency.errors import StoreError
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = EventStore({str(path)!r})
def send(first, n):
    return store.append([Event(f"e{{i}}", "u", "x" * 200, i) for i in range(first, first + n)])
acked = len(send(0, 100).result())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    while True:
        acked += len(send(acked, 100).result())
except StoreError as error:
    print(type(error).__name__, error, file=sys.stderr)
assert store.count_events() >= 100
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
acked += sum(one.status == "accepted" for one in send(acked, 100).result())
print(acked, store.count_events())
store.close()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    acked, kept = map(int, run.stdout.split())
    assert "StoreError" in run.stderr or "StoreFullError" in run.stderr
    assert kept == acked > 100
    with EventStore(path) as store:
        assert [one.event_id for _, one in store.read(limit=10**6)] == [
            f"e{n}" for n in range(kept)
        ]


def test_too_much_underway_is_refused_and_nothing_else_is_lost(tmp_path):
    with EventStore(tmp_path / "events.sqlite", max_waiting=5) as store:
        release = threading.Event()

        def deliver(group):
            release.wait(30)
            group.resolve()

        store.deliver_to(deliver)
        first = store.append([event(n) for n in range(7)])  # alone it may exceed the limit
        with pytest.raises(OverloadedError) as caught:
            store.append([event(8)])
        assert str(caught.value) == (
            "expected at most 5 events underway, found 7; send the 1 again in a second."
        )
        release.set()
        assert len(first.result(timeout=30)) == 7
        assert store.append([event(8)]).result(timeout=30)[0].status == "accepted"


def test_close_writes_what_waits_and_refuses_what_comes(tmp_path):
    store = EventStore(tmp_path / "events.sqlite")
    replies = [store.append([event(n)]) for n in range(500)]
    store.close()
    assert all(reply.result(timeout=1)[0].status == "accepted" for reply in replies)
    with pytest.raises(StoppedError) as caught:
        store.append([event(500)])
    assert str(caught.value) == "the event store is closed: nothing was taken; send it again later."
    assert not (tmp_path / "events.sqlite-wal").exists()
    with EventStore(tmp_path / "events.sqlite") as store:
        assert store.count_events() == 500


def test_a_reader_of_the_log_that_fails_does_not_stop_the_writer(store):
    def deliver(group):
        raise RuntimeError("out of order")

    store.deliver_to(deliver)
    with pytest.raises(StoreError, match="the event is kept, but it could not be applied: out of"):
        store.append([event(1)]).result(timeout=30)
    store.deliver_to(lambda group: group.resolve())
    assert store.append([event(2)]).result(timeout=30)[0].seq == 2


# --- the file is not what it should be -----------------------------------------------------------


def message_of(path: Path, kind: type[Exception]) -> str:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(kind) as caught:
        EventStore(path)
    if path.is_file():
        assert path.read_bytes() == before  # it was left as it is
    return str(caught.value)


def test_files_that_are_no_event_store_are_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("this is not a database, it is a text of some length")
    assert message_of(text, FormatError) == (
        f"expected an event store (an SQLite file), found something else: {text}. It was left as "
        f"it is; name another file with --events."
    )
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE events (x)")
    connection.close()
    assert message_of(foreign, FormatError) == (
        f"expected an event store of Recency, found another SQLite database: {foreign}. It was "
        f"left as it is; name another file with --events."
    )
    assert message_of(tmp_path, StoreError) == (
        f"expected a file for the events, found a folder: {tmp_path}."
    )
    assert "expected to write beside" in message_of(tmp_path / "no" / "such.sqlite", StoreError)


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "events.sqlite"
    EventStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    assert message_of(path, FormatError) == (
        f"expected an event store of version 3 or older, found version 9: {path}. Open it with the "
        f"version of Recency that wrote it."
    )


def test_a_damaged_store_says_how_to_rescue_it(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        store.append([event(n, context="x" * 500) for n in range(2000)]).result()
    content = bytearray(path.read_bytes())
    for page in range(5, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 300] = os.urandom(300)
    path.write_bytes(content)
    said = message_of(path, FormatError)
    assert said.startswith(f"the event store {path} is damaged: ")
    assert said.endswith("sqlite3 events.sqlite .recover | sqlite3 rescued.sqlite")


def test_a_start_that_died_half_way_is_finished(tmp_path):
    path = tmp_path / "events.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert path.stat().st_size > 0
    with EventStore(path) as store:
        assert store.append([event(1)]).result()[0].seq == 1


def test_two_processes_cannot_share_a_store(tmp_path):
    path = tmp_path / "events.sqlite"
    with EventStore(path):
        with pytest.raises(StoreError) as caught:
            EventStore(path)
        assert str(caught.value) == (
            f"expected {path} to be free, found it in use by process {os.getpid()}. Two servers "
            f"cannot share one event store: stop the other, or name another file with --events."
        )
    EventStore(path).close()  # free again


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=re.escape("found: Permission denied. Check the folder")):
        EventStore(tmp_path / "events.sqlite")


def test_a_locked_database_is_an_error_in_time(store, monkeypatch):
    """Somebody else holds a transaction open: the writer gives up instead of waiting for ever."""
    writer(store)._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"):
        store.append([event(1)]).result(timeout=30)
    other.execute("ROLLBACK")
    other.close()
    assert store.append([event(1)]).result(timeout=30)[0].status == "accepted"


def kill_during(path: Path, code: str) -> list[str]:
    """Run a writer that prints each id after its acknowledgement, kill it, give what it printed."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(150)]
    process.kill()
    lines += [line.strip() for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()
    return [line for line in lines if line.startswith("e") and line.endswith(".")]


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "events.sqlite"
    code = f"""
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
store = EventStore({str(path)!r})
n = store.last_seq
while True:
    one = store.append([Event(f"e{{n}}", "u", "i", n)]).result()[0]
    print(f"{{one.event_id}}.", flush=True)
    n += 1
"""
    acked: list[str] = []
    for _ in range(3):
        acked += kill_during(path, code)
    with EventStore(path) as store:
        kept = [f"{one.event_id}." for _, one in store.read(limit=10**6)]
    assert len(kept) == len(set(kept))
    assert set(acked) <= set(kept)
    assert 450 <= len(acked) <= len(kept) <= len(acked) + 3
