"""EventStore: the durable log of what happened, one SQLite file.

Decisions:

* **An answer means kept.** WAL with ``synchronous=FULL``; the outcome of an append is set only
  after the commit that holds it has reached the disk.
* **Group commit.** One writer thread commits together whatever waits (`group_commit`).
* **A repeat is harmless.** ``event_id`` is unique for the life of the file. The same id with the
  same event is a ``duplicate``, with another event it is ``rejected``.
* **A failed sync is not retried.** The kernel may have dropped the pages that it could not write.
  The writer re-opens the file and rewrites the log into the database before it takes anything new.
* **One process.** A lock file keeps a second writer out, because two of them could not see each
  other's events.

Ids keep their type: the columns have none, so an integer stays an integer and text stays text.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recency.errors import FormatError, RecencyError, StoreError
from recency.serving.events import Event, ItemChange, Outcome
from recency.serving.file_lock import FileLock
from recency.serving.group_commit import EVENT_COLUMNS, GroupCommit
from recency.serving.groups import Append, Deliver, Group
from recency.serving.refusals import StoreFullError
from recency.serving.replies import Reply

APPLICATION_ID = 0x52434E59  # "RCNY", so that a foreign SQLite file is recognised
SCHEMA_VERSION = 1
_HEADER = b"SQLite format 3\x00"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = f"""
BEGIN;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    user_id NOT NULL,
    item_id NOT NULL,
    time INTEGER NOT NULL,
    event_type TEXT,
    value REAL,
    session_id,
    context TEXT
);
CREATE TABLE items (
    item_id PRIMARY KEY NOT NULL,
    first_seq INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class EventStore:
    """Keep events in one file, durably and once.

    Args:
        path: The SQLite file; made when it does not exist.
        group_size: Most events of one transaction; one large append may exceed it.
        max_waiting: Most events that may be underway at once.

    Raises:
        FormatError: the file is no event store, is damaged, or comes from a newer version.
        StoreError: the file cannot be opened, or another process has it.
    """

    def __init__(
        self, path: str | Path, *, group_size: int = 1024, max_waiting: int = 100_000
    ) -> None:
        self.path = Path(path)
        _check_file(self.path)
        self._lock = FileLock(self.path)
        try:
            self._create()
            self._reader = self._connect()
            self._reading = threading.Lock()
            self._writer = GroupCommit(
                self._connect, self._explain, Group.resolve, group_size, max_waiting
            )
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._explain(error) from error
            raise
        self._writer.start()

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

    def count_events(self) -> int:
        """Count the events in the log."""
        return int(self._query("SELECT count(*) FROM events", ())[0][0])

    def close(self) -> None:
        """Write what waits, fold the log into the file and let other processes in."""
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

    def _create(self) -> None:
        connection = self._connect()
        try:
            # Asked of the database, not of the file: a first start may have died half-way.
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                connection.executescript(_SCHEMA)
                _sync_folder(self.path.parent)
            self._check_schema(connection)
        finally:
            connection.close()

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise FormatError(
                f"expected an event store of Recency, found another SQLite database: {self.path}. "
                f"It was left as it is; name another file with --events."
            )
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise FormatError(
                f"expected an event store of version {SCHEMA_VERSION}, found version {version}: "
                f"{self.path}. Open it with the version of Recency that wrote it."
            )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damage(self.path, verdict)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=5.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: its plain fsync is not one
        except BaseException:
            connection.close()
            raise
        return connection

    def _explain(self, error: sqlite3.Error) -> RecencyError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code in _DAMAGED:
            return _damage(self.path, str(error))
        if code == sqlite3.SQLITE_FULL:
            return StoreFullError(
                f"the disk that holds {self.path} is full; nothing of this call is kept. "
                f"Free some space, then send the events again."
            )
        return StoreError(
            f"could not write or read {self.path}: {error} ({name}). Nothing of this call is "
            f"acknowledged; check the disk, then send the events again with the same event_id."
        )


def _check_file(path: Path) -> None:
    """Look at a file before SQLite does, which would call much of this 'disk I/O error'."""
    if path.is_dir():
        raise StoreError(f"expected a file for the events, found a folder: {path}.")
    with contextlib.suppress(FileNotFoundError):
        try:
            with path.open("rb") as file:
                header = file.read(len(_HEADER))
        except PermissionError as error:
            raise StoreError(f"expected to read {path}, found: {error.strerror}.") from error
        if header and header != _HEADER:
            raise FormatError(
                f"expected an event store (an SQLite file), found something else: {path}. "
                f"It was left as it is; name another file with --events."
            )


def _damage(path: Path, what: str) -> FormatError:
    return FormatError(
        f"the event store {path} is damaged: {what}. Put back a copy, or save what can be read: "
        f"sqlite3 {path.name} .recover | sqlite3 rescued.sqlite"
    )


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable too, not only its content."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
