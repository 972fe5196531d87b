"""GroupCommit: the one thread that writes to the event log.

Everything that waits is written in one transaction, and nothing is reported before that transaction
is on the disk. There is no timer: while one group syncs, the next one gathers.

Where durability is by interval, a commit only hands its pages to the operating system, and one
commit an interval waits for the disk, which makes all before it safe. If none comes, the writer
makes one.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from recency.data.vocab import Id
from recency.errors import RecencyError, StoreError
from recency.serving.log.durability import SYNC, Durability
from recency.serving.log.events import Event, Outcome, UserChange
from recency.serving.log.groups import Append, Deliver, Group, report
from recency.serving.log.identities import Identities
from recency.serving.log.log_rows import (
    entries_after,
    events_by_id,
    insert_events,
    newest_seq,
    put_items,
)
from recency.serving.log.user_changes import write_change
from recency.serving.refusals import OverloadedError, StoppedError, StoreFullError
from recency.serving.replies import Outbox, Reply, settle

logger = logging.getLogger(__name__)

_CLOSED = "the event store is closed: nothing was taken; send it again later."
_PROBE_SECONDS = 1.0


class GroupCommit(threading.Thread):
    """Write what is handed in, group after group, and deliver each group after its commit.

    Args:
        connect: Opens the database afresh; called again after a failed write.
        describe: Turns an SQLite error into the error to report.
        deliver: Called in this thread with each committed group, in the order of the log. Whoever
            it is must resolve the group.
        group_size: Most events of one transaction; one large append may exceed it.
        max_waiting: Most events that may be underway at once.
        durability: When the disk is waited for.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        describe: Callable[[sqlite3.Error], RecencyError],
        deliver: Deliver,
        group_size: int = 1024,
        max_waiting: int = 100_000,
        durability: Durability = SYNC,
    ) -> None:
        super().__init__(name="recency-writer", daemon=True)
        self.deliver = deliver
        self._connect, self._describe = connect, describe
        self._group_size, self._max_waiting = group_size, max_waiting
        self._durability = durability
        self._unsynced: float | None = None  # since when something waits for its sync
        self._connection = connect()
        self.last_seq = newest_seq(self._connection)
        self.identities = Identities.read(self._connection)
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
        """Wait for the first append; meanwhile sync what waits for it, and see whether a failing
        disk is well again.

        Who is told that events cannot be taken may send none until he is told that they can.
        """
        while True:
            wait = _PROBE_SECONDS if self.failing is not None else self._until_sync()
            try:
                return self._queue.get(timeout=wait)
            except Empty:
                self._probe() if self.failing is not None else self._sync()

    def _until_sync(self) -> float | None:
        """Give the seconds until a sync is due, 0 when it is overdue; None for never."""
        longest = self._durability.longest_wait
        if self._unsynced is None or longest is None:
            return None
        return max(0.0, self._unsynced + longest - time.monotonic())

    def _sync(self) -> None:
        """Wait for the disk, without an event to write: any commit makes all before it safe."""
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("INSERT OR REPLACE INTO notes VALUES ('synced', '')")
            self._unsynced = None
            self._connection.execute(f"PRAGMA synchronous = {self._durability.synchronous}")
        except sqlite3.Error as error:
            self._explain(error)

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
        erased = self._screen(group)
        for append in group.appends:
            for event in append.events:
                if event.user_id not in erased:
                    offered.setdefault(event.event_id, event)
        known: dict[str, tuple[int, Event]] = {}
        try:
            self._commit(group, list(offered.values()))
        except sqlite3.IntegrityError:  # some id is in the log already; rare, so looked up only now
            known = dict(events_by_id(self._connection, list(offered)))
            self._commit(group, [one for one in offered.values() if one.event_id not in known])
        group.seconds = time.perf_counter() - started
        report(group, offered, known, self.identities, erased)

    def _screen(self, group: Group) -> frozenset[Id]:
        """Put the events of merged ids under their user's, and find those of erased ids."""
        erased: frozenset[Id] = frozenset()
        for append in group.appends:
            append.events, found = self.identities.screened(append.events)
            erased |= found
        return erased

    def _commit(self, group: Group, events: list[Event]) -> None:
        seq, connection = self.last_seq, self._connection
        in_full = self._until_sync() == 0.0
        if in_full:
            connection.execute("PRAGMA synchronous = FULL")
        began = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        try:
            insert_events(connection, events, seq + 1)
            seq += len(events)
            items = {one.item_id: one for append in group.appends for one in append.items}
            put_items(connection, list(items.values()), seq + 1)
            seq += len(items)
            changes: list[tuple[int, UserChange]] = []
            for append in group.appends:
                connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", append.notes)
                if append.change is not None:
                    entries = write_change(connection, self.identities, append, seq)
                    changes += entries
                    seq += len(entries)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._note_sync(in_full, began)
        group.events = list(enumerate(events, self.last_seq + 1))
        group.items = list(items.values())
        group.changes = changes
        group.last_seq = self.last_seq = seq

    def _note_sync(self, in_full: bool, began: float) -> None:
        """Remember since when something waits for the disk."""
        if in_full:
            self._unsynced = None
            self._connection.execute(f"PRAGMA synchronous = {self._durability.synchronous}")
        elif self._durability.longest_wait is not None and self._unsynced is None:
            self._unsynced = began

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self.identities = Identities.read(self._connection)
        except sqlite3.Error:
            self._must_reopen = True

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
        events, items, changes = entries_after(self._connection, self.last_seq)
        self._must_reopen, self._unsynced = False, None
        self.last_seq = newest_seq(self._connection)
        self.identities = Identities.read(self._connection)
        if events or items or changes:
            logger.warning("%d events of a failed write were in the log after all", len(events))
            self._hand_over(Group([], events, items, changes, last_seq=self.last_seq))

    def _hand_over(self, group: Group) -> None:
        try:
            self.deliver(group)
        except Exception as error:
            logger.exception("a committed group of events could not be delivered")
            group.fail(StoreError(f"the event is kept, but it could not be applied: {error}"))

    def _settle(self, size: int) -> None:
        with self._lock:
            self._underway -= size
