"""Identities: for whom an id stands. Which ids were merged into others, and which were erased.

An erased id is known by its digest only: a keyed hash under a salt of the file's own. Whoever has
the file can test an id that he knows already, and cannot read ids out of it.

All of this is in memory, read from the log at a start; the thread that writes the log moves it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec

from recency.data.vocab import Id
from recency.errors import DataError
from recency.serving.log.events import Event, UserChange
from recency.serving.log.log_faults import explain
from recency.serving.log.log_rows import CHANGE_COLUMNS

_DIGEST_BYTES = 16


class Identities:
    """Tell who is who.

    Args:
        salt: Of the digests.

    Attributes:
        tombstones: Digest of each erased id, and the number of its entry in the log.
    """

    def __init__(self, salt: str) -> None:
        self.salt = salt
        self._salt = bytes.fromhex(salt)
        self._merged: dict[Id, tuple[Id, int]] = {}  # into whom, by which entry
        self.tombstones: dict[str, int] = {}

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Self:
        """Read the changes of a log."""
        salt = connection.execute("SELECT value FROM notes WHERE name = 'salt'").fetchone()[0]
        one = cls(salt)
        for seq, *columns in connection.execute(
            f"SELECT {CHANGE_COLUMNS} FROM user_changes WHERE kind <> 'profile' ORDER BY seq"
        ):
            one.take(seq, UserChange(*columns))
        return one

    def digest(self, one: Id) -> str:
        """Hash an id; the integer 42 and the text "42" are two."""
        kind = "i" if isinstance(one, int) else "s"
        found = hashlib.blake2b(f"{kind}{one}".encode(), digest_size=_DIGEST_BYTES, key=self._salt)
        return found.hexdigest()

    @property
    def newest_erasure(self) -> int:
        """Give the place of the newest tombstone, 0 when there is none."""
        return max(self.tombstones.values(), default=0)

    def is_erased(self, one: Id) -> bool:
        """Tell whether an id was erased."""
        return bool(self.tombstones) and self.digest(one) in self.tombstones

    def of(self, one: Id) -> Id:
        """Give the id that counts: the user's for a merged one, else the id itself."""
        return self._merged[one][0] if one in self._merged else one

    def merge_of(self, one: Id) -> int:
        """Give the place of the merge of an id; 0 where it was not merged."""
        return self._merged[one][1] if one in self._merged else 0

    def family(self, user: Id) -> list[Id]:
        """List a user's id and all ids merged into it."""
        merged = list(self._merged.items())  # one step, while the writer goes on
        return [user, *(one for one, (into, _) in merged if into == user)]

    def resolved(self, event: Event) -> Event:
        """Give an event under the id that counts."""
        if event.user_id not in self._merged:
            return event
        return msgspec.structs.replace(event, user_id=self.of(event.user_id))

    def screened(self, events: Sequence[Event]) -> tuple[Sequence[Event], frozenset[Id]]:
        """Give events under the ids that count, and which of these ids were erased."""
        if self._merged:
            events = [self.resolved(event) for event in events]
        return events, self.erased_among(event.user_id for event in events)

    def erased_among(self, ids: Iterable[Id]) -> frozenset[Id]:
        """Give those of some ids that were erased."""
        if not self.tombstones:
            return frozenset()
        return frozenset(one for one in set(ids) if self.digest(one) in self.tombstones)

    def checked_merge(self, anonymous: Id, user: Id) -> Id:
        """Give the id that a merge leads to, which differs from ``user`` where that was merged too.

        Raises:
            DataError: the merge cannot be.
        """
        into = self.of(user)
        if anonymous == user:
            raise DataError(f"expected two ids to merge, found {user!r} twice.")
        for one in (anonymous, into):
            if self.is_erased(one):
                raise DataError(f"user {one!r} was erased: nothing can be merged with it.")
        if into == anonymous:
            raise DataError(
                f"{user!r} belongs to {anonymous!r} since seq {self.merge_of(user)}: they cannot "
                f"be merged the other way too."
            )
        if anonymous in self._merged and self.of(anonymous) != into:
            raise DataError(
                f"{anonymous!r} belongs to {self.of(anonymous)!r} since seq "
                f"{self.merge_of(anonymous)}; who signs out goes on under a new anonymous id."
            )
        return into

    def take(self, seq: int, change: UserChange) -> None:
        """Follow an entry of the log."""
        if change.kind == "merge":
            assert change.anonymous_id is not None and change.user_id is not None
            for one in self.family(change.anonymous_id):
                into = (change.user_id, seq if one == change.anonymous_id else self.merge_of(one))
                self._merged[one] = into
            return
        assert change.digest is not None
        self.tombstones.setdefault(change.digest, seq)
        if change.user_id is not None:
            self._merged.pop(change.user_id, None)


def read_identities(path: Path) -> Identities:
    """Read who is who from a log that a server may be using.

    Raises:
        StoreError: it cannot be read. FormatError: it is no event store.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            return Identities.read(connection)
    except sqlite3.Error as error:
        raise explain(error, path) from error
