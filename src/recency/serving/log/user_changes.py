"""User changes: merges, profiles and erasures, written inside the transaction of their group."""

import sqlite3

from recency.data.vocab import Id
from recency.errors import DataError
from recency.serving.log.events import Outcome, UserChange
from recency.serving.log.groups import Append
from recency.serving.log.identities import Identities
from recency.serving.log.log_rows import insert_change

Entries = list[tuple[int, UserChange]]


def write_change(
    connection: sqlite3.Connection, who: Identities, append: Append, seq: int
) -> Entries:
    """Write a change of a user and what follows from it, and note the outcome.

    Args:
        connection: In a transaction.
        who: Follows at once; read anew if the transaction comes to nothing.
        append: Holds the change.
        seq: Of the newest entry so far.

    Returns:
        The entries of the log: none for a change that was made before or cannot be.
    """
    change = append.change
    assert change is not None
    if change.kind == "erase":
        if change.user_id is None:
            return _bury(connection, who, append, change, seq)
        return _erase(connection, who, append, change.user_id, seq)
    assert change.user_id is not None
    if change.kind == "profile":
        return _describe(connection, who, append, change, seq)
    assert change.anonymous_id is not None
    try:
        into = who.checked_merge(change.anonymous_id, change.user_id)
    except DataError as fault:
        append.fault = fault
        return []
    if before := who.merge_of(change.anonymous_id):
        append.outcomes.append(Outcome(None, "duplicate", before))
        return []
    entry = UserChange("merge", into, change.anonymous_id)
    _drop_profile(connection, change.anonymous_id)
    insert_change(connection, seq + 1, entry)
    who.take(seq + 1, entry)
    append.outcomes.append(Outcome(None, "accepted", seq + 1))
    return [(seq + 1, entry)]


def _describe(
    connection: sqlite3.Connection,
    who: Identities,
    append: Append,
    change: UserChange,
    seq: int,
) -> Entries:
    """Write what is known of a user, in place of what was; refuse it of one who was erased."""
    assert change.user_id is not None
    user = who.of(change.user_id)
    if who.is_erased(user):
        append.fault = DataError(f"user {user!r} was erased: nothing more is kept under this id.")
        return []
    _drop_profile(connection, user)
    entry = UserChange("profile", user, document=change.document)
    insert_change(connection, seq + 1, entry)
    append.outcomes.append(Outcome(None, "accepted", seq + 1))
    return [(seq + 1, entry)]


def _drop_profile(connection: sqlite3.Connection, user: Id) -> None:
    connection.execute("DELETE FROM user_changes WHERE kind = 'profile' AND user_id IS ?", (user,))


def _bury(
    connection: sqlite3.Connection, who: Identities, append: Append, change: UserChange, seq: int
) -> Entries:
    """Put up a tombstone for an id of which nothing is kept here."""
    if before := who.tombstones.get(change.digest or ""):
        append.outcomes.append(Outcome(None, "duplicate", before))
        return []
    insert_change(connection, seq + 1, change)
    who.take(seq + 1, change)
    append.outcomes.append(Outcome(None, "accepted", seq + 1))
    return [(seq + 1, change)]


def _erase(
    connection: sqlite3.Connection, who: Identities, append: Append, user: Id, seq: int
) -> Entries:
    """Delete a user's events and merges, and put a tombstone in place of each of its ids."""
    before = who.tombstones.get(who.digest(user))
    ids = who.family(user)
    n_gone = _delete_events(connection, append, ids)
    for one in ids:
        connection.execute(
            "DELETE FROM user_changes "
            "WHERE kind = 'merge' AND (user_id IS ?1 OR anonymous_id IS ?1)",
            (one,),
        )
        _drop_profile(connection, one)
    fresh = [one for one in ids if not who.is_erased(one)]
    entries = [
        (number, UserChange("erase", one, digest=who.digest(one)))
        for number, one in enumerate(fresh, seq + 1)
    ]
    for number, entry in entries:
        insert_change(connection, number, entry)
        who.take(number, entry)
    append.n_gone = n_gone
    append.outcomes.append(
        Outcome(None, "accepted", entries[0][0])
        if before is None
        else Outcome(None, "duplicate", before)
    )
    return entries


def _delete_events(connection: sqlite3.Connection, append: Append, ids: list[Id]) -> int:
    """Delete the events found before, and those that came while they were searched for."""
    count = connection.total_changes
    marks = ",".join("?" * len(ids))
    connection.executemany("DELETE FROM events WHERE seq = ?", ((one,) for one in append.gone))
    connection.execute(
        f"DELETE FROM events WHERE seq > ? AND user_id IN ({marks})", (append.searched, *ids)
    )
    return connection.total_changes - count
