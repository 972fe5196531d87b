"""EventReader: follows the event log of a running server from another process, without writing.

It takes no lock that a writer waits for: in WAL mode a reader sees the last commit, and the writer
goes on. Nothing is kept open between two reads, so that the server can fold its log at any time.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from recency.data.vocab import Id
from recency.errors import FormatError, StoreError
from recency.online.feed import Description, Entry, Happening, Merge
from recency.serving.log.identities import Identities
from recency.serving.log.log_rows import newest_seq
from recency.serving.log.log_schema import APPLICATION_ID, SCHEMA_VERSION

_EVENTS = "seq, user_id, item_id, time, event_type, value"
_MERGES = "seq, anonymous_id, user_id"
_PROFILES = "seq, user_id, document"


class EventReader:
    """Read an event log by places.

    Args:
        path: The file of `recency.serving.log.event_store.EventStore`.

    Raises:
        StoreError: there is no such file, or it cannot be read.
        FormatError: it is no event log of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise StoreError(
                f"expected an event log, found none at {self.path}; start 'recency serve' first, "
                f"or name the file with --events."
            )
        with self._open() as connection:
            kind = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if kind != APPLICATION_ID or version != SCHEMA_VERSION:
            raise FormatError(
                f"expected an event log of version {SCHEMA_VERSION}, found "
                f"{f'version {version}' if kind == APPLICATION_ID else 'another database'}: "
                f"{self.path}. Start 'recency serve' of this version on it first."
            )

    @property
    def log_id(self) -> str:
        """Name the log as `EventStore.log_id` does."""
        with self._open() as connection:
            salt = Identities.read(connection).salt
        return hashlib.sha256(salt.encode()).hexdigest()[:16]

    @property
    def end(self) -> int:
        """Give the last place; what stood there may have been erased or replaced."""
        with self._open() as connection:
            return newest_seq(connection)

    def read(self, after_seq: int, limit: int) -> Sequence[Happening]:
        """Give at most ``limit`` events, merges and profiles behind a place, in the log's order."""
        with self._open() as connection:
            events, merges, profiles = (
                connection.execute(
                    f"SELECT {columns} FROM {table} ORDER BY seq LIMIT ?", (after_seq, limit)
                ).fetchall()
                for columns, table in (
                    (_EVENTS, "events WHERE seq > ?"),
                    (_MERGES, "user_changes WHERE seq > ? AND kind = 'merge'"),
                    (_PROFILES, "user_changes WHERE seq > ? AND kind = 'profile'"),
                )
            )
        entries: list[Happening] = [
            *(Entry(*row) for row in events),
            *(Merge(*row) for row in merges),
            *(Description(seq, user, msgspec.json.decode(said)) for seq, user, said in profiles),
        ]
        return sorted(entries, key=lambda one: one.seq)[:limit]

    def erased(self, users: Sequence[Id]) -> Sequence[Id]:
        """Give those of some users that were erased."""
        with self._open() as connection:
            return sorted(Identities.read(connection).erased_among(users), key=str)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0
            )
            with contextlib.closing(connection):
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")  # one moment for all that is read
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"could not read the event log {self.path}: {error}.") from error
