"""Log rows: the statements that put entries of the event log into SQLite, and get them out.

Rows are inserted many to a statement rather than one by one: the statement runs without the
interpreter's lock, and each return to it can wait for a whole turn of a busy event loop.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from recency.serving.log.events import Event, ItemChange, UserChange

EVENT_COLUMNS = (
    "seq, event_id, user_id, item_id, time, event_type, value, session_id, context, "
    "recommendation_id, impression"
)
CHANGE_COLUMNS = "seq, kind, user_id, anonymous_id, digest, document"
_ROWS = 90  # 11 columns each: below the 999 variables that every SQLite allows

# `first_seq` stays: it is where a replay brings the item in, so that rows are given as they were.
_UPSERT = (
    "INSERT INTO items (item_id, first_seq, seq, document) VALUES (?1, ?2, ?2, ?3) "
    "ON CONFLICT (item_id) DO UPDATE SET document = excluded.document, seq = excluded.seq"
)


def insert_events(connection: sqlite3.Connection, events: list[Event], first_seq: int) -> None:
    """Insert events whose ids are new, numbered from ``first_seq``."""
    for start in range(0, len(events), _ROWS):
        part = events[start : start + _ROWS]
        values: list[object] = []
        for seq, event in enumerate(part, first_seq + start):
            values.append(seq)
            values += msgspec.structs.astuple(event)  # its fields are the columns, in their order
        connection.execute(_insert(len(part)), values)


def put_items(connection: sqlite3.Connection, items: Sequence[ItemChange], first_seq: int) -> None:
    """Put descriptions of items in place of older ones, numbered from ``first_seq``."""
    for seq, item in enumerate(items, first_seq):
        connection.execute(_UPSERT, (item.item_id, seq, item.document))


def insert_change(connection: sqlite3.Connection, seq: int, change: UserChange) -> None:
    """Insert a user change; of an erasure only the digest is written."""
    user = None if change.kind == "erase" else change.user_id
    connection.execute(
        f"INSERT INTO user_changes ({CHANGE_COLUMNS}) VALUES (?,?,?,?,?,?)",
        (seq, change.kind, user, change.anonymous_id, change.digest, change.document),
    )


def events_by_id(
    connection: sqlite3.Connection, ids: Sequence[str]
) -> Iterator[tuple[str, tuple[int, Event]]]:
    """Look up which of some ids are in the log: where, and with which event."""
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = connection.execute(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE event_id IN ({marks})", part
        )
        for seq, *columns in rows:
            yield columns[0], (seq, Event(*columns))


def entries_after(
    connection: sqlite3.Connection, seq: int
) -> tuple[list[tuple[int, Event]], list[ItemChange], list[tuple[int, UserChange]]]:
    """Read all that came after a place in the log: events, items, user changes."""
    events = connection.execute(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq", (seq,)
    ).fetchall()
    items = connection.execute(
        "SELECT item_id, document FROM items WHERE seq > ? ORDER BY seq", (seq,)
    ).fetchall()
    changes = connection.execute(
        f"SELECT {CHANGE_COLUMNS} FROM user_changes WHERE seq > ? ORDER BY seq", (seq,)
    ).fetchall()
    return (
        [(number, Event(*columns)) for number, *columns in events],
        [ItemChange(*columns) for columns in items],
        [(number, UserChange(*columns)) for number, *columns in changes],
    )


def newest_seq(connection: sqlite3.Connection) -> int:
    """Give the number of the newest entry, 0 when there is none."""
    newest = (
        f"coalesce((SELECT max(seq) FROM {table}), 0)"
        for table in ("events", "items", "user_changes")
    )
    return int(connection.execute(f"SELECT max({', '.join(newest)})").fetchone()[0])


@lru_cache(_ROWS)
def _insert(n_rows: int) -> str:
    row = f"({','.join('?' * 11)})"
    return f"INSERT INTO events ({EVENT_COLUMNS}) VALUES {','.join([row] * n_rows)}"
