"""EventStore: the durable log of what happened, one SQLite file.

Decisions:

* **An answer means kept.** WAL with ``synchronous=FULL``; the outcome of an append is set only
  after the commit that holds it has reached the disk. Weaker promises are chosen by name
  (`durability`), and shown.
* **Group commit.** One writer thread commits together whatever waits (`group_commit`).
* **A repeat is harmless.** ``event_id`` is unique for the life of the file. The same id with the
  same event is a ``duplicate``, with another event it is ``rejected``.
* **A failed sync is not retried.** The kernel may have dropped the pages that it could not write.
  The writer re-opens the file and rewrites the log into the database before it takes anything new.
* **One process.** A lock file keeps a second writer out, because two of them could not see each
  other's events.
* **One numbering.** Events, items and changes of users share the numbers of the log; what is
  deleted by an erasure leaves a gap.

Ids keep their type: the columns have none, so an integer stays an integer and text stays text.
"""

import contextlib
import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.log.durability import Durability
from recency.serving.log.events import Event, ItemChange, Outcome, UserChange
from recency.serving.log.file_lock import FileLock
from recency.serving.log.group_commit import GroupCommit
from recency.serving.log.groups import Append, Deliver, Group
from recency.serving.log.identities import Identities
from recency.serving.log.log_check import LogCheck
from recency.serving.log.log_faults import check_file, explain
from recency.serving.log.log_rows import CHANGE_COLUMNS, EVENT_COLUMNS
from recency.serving.log.log_schema import connect, prepare
from recency.serving.log.torn_tail import read_wal, torn_bytes
from recency.serving.replies import Reply
from recency.storage import sync

logger = logging.getLogger(__name__)


class EventStore:
    """Keep events in one file, durably and once.

    Args:
        path: The SQLite file; made when it does not exist.
        group_size: Most events of one transaction; one large append may exceed it.
        max_waiting: Most events that may be underway at once.
        durability: ``"sync"``, ``"interval:50ms"`` or ``"memory"``: what a power loss may take.

    Attributes:
        durability: The same as facts, with ``mode`` and ``loss_window_seconds``.
        torn_bytes: What the last crash left of an unfinished write; it was left out.

    Raises:
        ConfigError: there is no such durability.
        FormatError: the file is no event store, is damaged, or comes from a newer version.
        StoreError: the file cannot be opened, or another process has it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        group_size: int = 1024,
        max_waiting: int = 100_000,
        durability: str | Durability = "sync",
    ) -> None:
        self.path = Path(path)
        if isinstance(durability, str):
            durability = Durability.parse(durability)
        self.durability = durability
        check_file(self.path)
        self._lock = FileLock(self.path)
        try:
            self._create()
            self._reader = self._connect()
            self._reading = threading.Lock()
            self._writer = GroupCommit(
                self._connect, self._explain, Group.resolve, group_size, max_waiting, durability
            )
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._explain(error) from error
            raise
        self._writer.start()
        self._check = LogCheck.begun(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        """Give the number of the newest entry, 0 when there is none."""
        return self._writer.last_seq

    @property
    def failing(self) -> RecencyError | None:
        """Give the error of the last commit, None when it went well."""
        return self._writer.failing

    @property
    def underway(self) -> int:
        """Count the events handed in whose outcome is still open."""
        return self._writer.underway

    @property
    def log_id(self) -> str:
        """Name this log, so that a place in it is not taken for one in another."""
        return hashlib.sha256(self.identities.salt.encode()).hexdigest()[:16]

    @property
    def identities(self) -> Identities:
        """Tell which ids were merged into others, and which were erased."""
        return self._writer.identities

    def deliver_to(self, deliver: Deliver) -> None:
        """Have each committed group given to ``deliver``, which must resolve it.

        It is called in the writer's thread, in the order of the log, before anything is
        acknowledged. Without it a group is acknowledged as soon as it is committed.
        """
        self._writer.deliver = deliver

    def append(self, events: Sequence[Event]) -> Reply[list[Outcome]]:
        """Make events durable.

        May be called from any thread and from coroutines.

        Returns:
            One outcome an event, once the events are on the disk: ``await`` it in a coroutine, wait
            with ``.result()`` elsewhere. It raises a StoreError when they could not be written.

        Raises:
            OverloadedError: too many events are underway.
            StoppedError: the store is closed.
        """
        return self._writer.submit(Append(events=events))

    def put_items(self, items: Sequence[ItemChange]) -> Reply[list[Outcome]]:
        """Make descriptions of items durable; the newest one of an item replaces the older."""
        return self._writer.submit(Append(items=items))

    def merge(self, anonymous: Id, user: Id) -> Reply[Outcome]:
        """Make all events of one id, and those still to come, another's; durably.

        Returns:
            The place of the merge; a ``duplicate`` names that of the first one. It raises a
            DataError where one of the two was erased or belongs to somebody else.
        """
        change = UserChange("merge", user, anonymous)
        return self._writer.submit(Append(change=change)).then(lambda outcomes: outcomes[0])

    def describe_user(self, user: Id, document: str) -> Reply[Outcome]:
        """Make what is known of a user durable, in place of what was.

        Args:
            user: Id; a merged one stands for its user.
            document: A JSON object as text.

        Returns:
            Its place in the log. It raises a DataError where the user was erased.
        """
        change = UserChange("profile", user, document=document)
        return self._writer.submit(Append(change=change)).then(lambda outcomes: outcomes[0])

    def profile_of(self, user: Id) -> str | None:
        """Give what is kept of a user, a JSON object as text; None for nothing."""
        rows = self._query(
            "SELECT document FROM user_changes WHERE kind = 'profile' AND user_id IS ?", (user,)
        )
        return str(rows[0][0]) if rows else None

    def erase(self, user: Id) -> Reply[tuple[Outcome, int]]:
        """Delete a user's events, and those of the ids merged into it; refuse what comes of it.

        The events are searched for before the call returns, which takes a pass over the log.

        Returns:
            The place of the tombstone (a ``duplicate`` names that of the first one), and how many
            events were deleted. Old pages may lie in the write-ahead log until `fold` is called.
        """
        searched = self.last_seq
        ids = self.identities.family(user)
        marks = ",".join("?" * len(ids))
        found = self._search(f"SELECT seq FROM events WHERE user_id IN ({marks})", ids)
        gone = [seq for (seq,) in found]
        if self.identities.family(user) != ids:  # merged meanwhile: let the writer search
            searched, gone = 0, []
        append = Append(change=UserChange("erase", user), gone=gone, searched=searched)
        return self._writer.submit(append).then(lambda outcomes: (outcomes[0], append.n_gone))

    def bury(self, digest: str) -> Reply[Outcome]:
        """Put up a tombstone of an id that is known by its digest only; see `identities`."""
        change = UserChange("erase", digest=digest)
        return self._writer.submit(Append(change=change)).then(lambda outcomes: outcomes[0])

    def fold(self) -> bool:
        """Fold the write-ahead log into the file and empty it; False while a reader is in it."""
        with contextlib.closing(self._connect()) as connection:
            try:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise self._explain(error) from error
        return not busy

    def write_note(self, name: str, value: str) -> None:
        """Keep one named text beside the events, and wait until it is on the disk."""
        self._writer.submit(Append(notes=[(name, value)])).result()

    def note(self, name: str) -> str | None:
        """Give a named text, None where it was never written."""
        rows = self._query("SELECT value FROM notes WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def read(self, after_seq: int = 0, limit: int = 4096) -> list[tuple[int, Event]]:
        """Give the events after a place in the log, oldest first, each with its place."""
        rows = self._query(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )
        return [(seq, Event(*columns)) for seq, *columns in rows]

    def read_items(self, after_seq: int = 0, limit: int = 4096) -> list[tuple[int, ItemChange]]:
        """Give the items that were first put after a place in the log, each as it is now."""
        rows = self._query(
            "SELECT first_seq, item_id, document FROM items WHERE first_seq > ? "
            "ORDER BY first_seq LIMIT ?",
            (after_seq, limit),
        )
        return [(seq, ItemChange(*columns)) for seq, *columns in rows]

    def read_changed_items(
        self, since: int, after_seq: int = 0, limit: int = 4096
    ) -> list[tuple[int, ItemChange]]:
        """Give the items put after the entry ``since``, each once and as it is now.

        An item stands where it was first put, or where it was last changed if it was there before.

        Args:
            since: A place in the log up to which the reader knows everything.
            after_seq: Where the page before ended.
            limit: Most rows.
        """
        place = "CASE WHEN first_seq > ?1 THEN first_seq ELSE seq END"
        rows = self._query(
            f"SELECT {place} AS place, item_id, document FROM items "
            f"WHERE seq > ?1 AND place > ?2 ORDER BY place LIMIT ?3",
            (since, after_seq, limit),
        )
        return [(seq, ItemChange(*columns)) for seq, *columns in rows]

    def read_changes(self, after_seq: int = 0, limit: int = 4096) -> list[tuple[int, UserChange]]:
        """Give the changes of users after a place in the log, oldest first.

        An erasure names no user here, only a digest: see `identities`.
        """
        rows = self._query(
            f"SELECT {CHANGE_COLUMNS} FROM user_changes WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )
        return [(seq, UserChange(*columns)) for seq, *columns in rows]

    def events_of(self, ids: Sequence[Id]) -> list[tuple[int, Event]]:
        """Give the events kept under some users' ids, by a pass over the log."""
        marks = ",".join("?" * len(ids))
        rows = self._search(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE user_id IN ({marks}) ORDER BY seq", ids
        )
        return [(seq, Event(*columns)) for seq, *columns in rows]

    def users(self) -> list[Id]:
        """List the ids under which events are kept, by a pass over the log."""
        return [one for (one,) in self._search("SELECT DISTINCT user_id FROM events", ())]

    def count_events(self) -> int:
        """Count the events in the log."""
        return int(self._query("SELECT count(*) FROM events", ())[0][0])

    def close(self) -> None:
        """Write what waits, fold the log into the file and let other processes in."""
        self._check.close()
        self._writer.close()
        with self._reading:
            self._reader.close()
        self._lock.release()

    def _query(self, statement: str, values: Iterable[object]) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _search(self, statement: str, values: Sequence[object]) -> list[Any]:
        """Look through the whole log, on a connection of its own: others go on reading."""
        try:
            with contextlib.closing(self._connect()) as connection:
                return connection.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _create(self) -> None:
        wal = read_wal(self.path)
        with contextlib.closing(self._connect()) as connection:
            if prepare(connection, self.path):
                sync(self.path.parent)
            _, n_frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.torn_bytes = torn_bytes(wal, n_frames)
        if self.torn_bytes:
            logger.warning(
                "the end of %s-wal was incomplete: %d bytes were left out, which is what a crash "
                "leaves of a write that was not acknowledged",
                self.path,
                self.torn_bytes,
            )

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, self.durability.synchronous)

    def _explain(self, error: sqlite3.Error) -> RecencyError:
        return explain(error, self.path)
