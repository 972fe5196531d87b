"""GroupCommit: the one thread that writes to the event log.

Everything that waits is written in one transaction, and nothing is reported before that transaction
is on the disk. There is no timer: while one group syncs, the next one gathers.

Rows are inserted a hundred to a statement rather than one by one: the statement runs without the
interpreter's lock, and each return to it can wait for a whole turn of a busy event loop.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from queue import Empty, SimpleQueue

import msgspec

from recency.errors import RecencyError, StoreError
from recency.serving.events import Event, ItemChange, Outcome
from recency.serving.groups import Append, Deliver, Group, report
from recency.serving.refusals import OverloadedError, StoppedError, StoreFullError
from recency.serving.replies import Outbox, Reply, settle

logger = logging.getLogger(__name__)

EVENT_COLUMNS = "seq, event_id, user_id, item_id, time, event_type, value, session_id, context"
_CLOSED = "the event store is closed: nothing was taken; send it again later."
_PROBE_SECONDS = 1.0
_ROWS = 100  # 9 columns each: below the 999 variables that every SQLite allows


class GroupCommit(threading.Thread):
    """Write what is handed in, group after group, and deliver each group after its commit.

    Args:
        connect: Opens the database afresh; called again after a failed write.
        describe: Turns an SQLite error into the error to report.
        deliver: Called in this thread with each committed group, in the order of the log. Whoever
            it is must resolve the group.
        group_size: Most events of one transaction; one large append may exceed it.
        max_waiting: Most events that may be underway at once.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        describe: Callable[[sqlite3.Error], RecencyError],
        deliver: Deliver,
        group_size: int = 1024,
        max_waiting: int = 100_000,
    ) -> None:
        super().__init__(name="recency-writer", daemon=True)
        self.deliver = deliver
        self._connect, self._describe = connect, describe
        self._group_size, self._max_waiting = group_size, max_waiting
        self._connection = connect()
        self.last_seq = _last_seq(self._connection)
        self.failing: RecencyError | None = None
        self._queue: SimpleQueue[list[Append] | None] = SimpleQueue()
        self._outbox: Outbox[Append] = Outbox(self._send)
        self._lock = threading.Lock()
        self._underway = 0
        self._closing = False
        self._must_reopen = False

    @property
    def underway(self) -> int:
        """Count the events handed in whose outcome is still open."""
        return self._underway

    def submit(self, append: Append) -> Reply[list[Outcome]]:
        """Queue an append; may be called from any thread."""
        size = len(append)
        with self._lock:
            if self._closing:
                raise StoppedError(_CLOSED)
            if self._underway and self._underway + size > self._max_waiting:
                raise OverloadedError(
                    f"expected at most {self._max_waiting:,} events underway, found "
                    f"{self._underway:,}; send the {size:,} again in a second."
                )
            self._underway += size
        self._outbox.post(append)
        return append.reply

    def close(self) -> None:
        """Write what waits, then end the thread and close the file."""
        with self._lock:
            self._closing = True
            self._queue.put(None)
        if self.is_alive():
            self.join()
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def _send(self, appends: list[Append]) -> None:
        with self._lock:
            if not self._closing:
                self._queue.put(appends)
                return
        settle((append.reply, StoppedError(_CLOSED)) for append in appends)

    def run(self) -> None:
        """Write groups until closed."""
        while appends := self._take():
            group = Group(appends, settled=self._settle)
            try:
                self._write(group)
            except Exception as error:  # an append must never be left without an answer
                group.fail(self._explain(error))
            else:
                self.failing = None
                self._hand_over(group)

    def _take(self) -> list[Append]:
        """Wait for work; an empty list means that the store is closed and nothing is left."""
        appends = self._first()
        if appends is None:
            return []
        size = sum(map(len, appends))
        with contextlib.suppress(Empty):
            while size < self._group_size:
                more = self._queue.get_nowait()
                if more is None:
                    self._queue.put(None)  # seen again when this group is written
                    break
                appends += more
                size += sum(map(len, more))
        return appends

    def _first(self) -> list[Append] | None:
        """Wait for the first append, and see meanwhile whether a failing disk is well again.

        Who is told that events cannot be taken may send none until he is told that they can.
        """
        while self.failing is not None:
            try:
                return self._queue.get(timeout=_PROBE_SECONDS)
            except Empty:
                self._probe()
        return self._queue.get()

    def _probe(self) -> None:
        try:
            if self._must_reopen:
                self._reopen()
            self._connection.execute("INSERT OR REPLACE INTO notes VALUES ('probe', '')")
        except (sqlite3.Error, RecencyError) as error:
            self._explain(error)
        else:
            self.failing = None

    def _write(self, group: Group) -> None:
        if self._must_reopen:
            self._reopen()
        started = time.perf_counter()
        offered: dict[str, Event] = {}
        for append in group.appends:
            for event in append.events:
                offered.setdefault(event.event_id, event)
        known: dict[str, tuple[int, Event]] = {}
        try:
            self._commit(group, list(offered.values()))
        except sqlite3.IntegrityError:  # some id is in the log already; rare, so looked up only now
            known = dict(self._look_up(list(offered)))
            self._commit(group, [one for one in offered.values() if one.event_id not in known])
        group.seconds = time.perf_counter() - started
        report(group, offered, known)

    def _commit(self, group: Group, events: list[Event]) -> None:
        seq, connection = self.last_seq, self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(events), _ROWS):
                part = events[start : start + _ROWS]
                connection.execute(_insert(len(part)), _values(part, seq + 1 + start))
            seq += len(events)
            items = {one.item_id: one for append in group.appends for one in append.items}
            for number, item in enumerate(items.values(), seq + 1):
                connection.execute(_UPSERT, (item.item_id, number, item.document))
            seq += len(items)
            for append in group.appends:
                connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", append.notes)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        group.events = list(enumerate(events, self.last_seq + 1))
        group.items = list(items.values())
        group.last_seq = self.last_seq = seq

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._must_reopen = True

    def _look_up(self, ids: list[str]) -> Iterator[tuple[str, tuple[int, Event]]]:
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ",".join("?" * len(part))
            rows = self._connection.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE event_id IN ({marks})", part
            )
            for seq, *columns in rows:
                yield columns[0], (seq, Event(*columns))

    def _explain(self, error: Exception) -> RecencyError:
        if isinstance(error, sqlite3.Error):
            explained = self._describe(error)
            # A full disk leaves a sound file behind; after anything else the state of the file is
            # unknown, and a sync that failed once may report success the next time.
            self._must_reopen |= not isinstance(explained, StoreFullError)
            self.failing = explained
            logger.error("%s", explained)
            return explained
        if isinstance(error, RecencyError):
            return error
        logger.exception("the event writer met an unforeseen error")
        self._must_reopen = True
        return StoreError(f"the event could not be written: {type(error).__name__}: {error}")

    def _reopen(self) -> None:
        """Open the file anew and rewrite its log, so that nothing rests on pages that were lost.

        A commit whose sync failed may turn out to be in the file. It was never acknowledged, but it
        will be replayed after a restart, so it is delivered now, to keep both the same.
        """
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = self._connect()
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError(
                "the event store is being repaired after a failed write and another program reads "
                "it; close that program, then send the event again."
            )
        found = self._connection.execute(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq", (self.last_seq,)
        ).fetchall()
        items = self._connection.execute(
            "SELECT item_id, document FROM items WHERE seq > ? ORDER BY seq", (self.last_seq,)
        ).fetchall()
        self._must_reopen = False
        self.last_seq = _last_seq(self._connection)
        if found or items:
            logger.warning("%d events of a failed write were in the log after all", len(found))
            events = [(seq, Event(*columns)) for seq, *columns in found]
            changes = [ItemChange(*columns) for columns in items]
            self._hand_over(Group([], events, changes, last_seq=self.last_seq))

    def _hand_over(self, group: Group) -> None:
        try:
            self.deliver(group)
        except Exception as error:
            logger.exception("a committed group of events could not be delivered")
            group.fail(StoreError(f"the event is kept, but it could not be applied: {error}"))

    def _settle(self, size: int) -> None:
        with self._lock:
            self._underway -= size


# `first_seq` stays: it is where a replay brings the item in, so that rows are given as they were.
_UPSERT = (
    "INSERT INTO items (item_id, first_seq, seq, document) VALUES (?1, ?2, ?2, ?3) "
    "ON CONFLICT (item_id) DO UPDATE SET document = excluded.document, seq = excluded.seq"
)


@lru_cache(_ROWS)
def _insert(n_rows: int) -> str:
    row = "(?,?,?,?,?,?,?,?,?)"
    return f"INSERT INTO events ({EVENT_COLUMNS}) VALUES {','.join([row] * n_rows)}"


def _values(events: list[Event], first_seq: int) -> list[object]:
    values: list[object] = []
    for seq, event in enumerate(events, first_seq):
        values.append(seq)
        values += msgspec.structs.astuple(event)  # its fields are the columns, in their order
    return values


def _last_seq(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT max(coalesce((SELECT max(seq) FROM events), 0), "
        "coalesce((SELECT max(seq) FROM items), 0))"
    ).fetchone()
    return int(row[0])
