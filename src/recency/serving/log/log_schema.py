"""Log schema: the tables of the event log, and the way up from an older version.

Version 2 adds to version 1 what an event answers to (``recommendation_id``, ``impression``), the
changes of users, and the salt of their digests; version 3 adds their profiles. An upgrade is one
transaction: a file is of the one version or of the other, whenever the process dies.

Deleted content is overwritten (``secure_delete``), from the first day of a file on: a page that
splits would otherwise leave copies behind that no later erasure finds. A file of version 1 may hold
such copies, so the upgrade rewrites it whole, if there is room.
"""

import logging
import secrets
import sqlite3
from pathlib import Path

from recency.errors import FormatError
from recency.serving.log.log_check import CHECKED_AT_START
from recency.serving.log.log_faults import damage

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x52434E59  # "RCNY", so that a foreign SQLite file is recognised
SCHEMA_VERSION = 3
PATIENCE = 5.0  # seconds to wait for another process that holds the file
_OLDEST = 1
# Pages of the write-ahead log (4 KiB each) at which a commit folds it into the file. The events of
# that commit wait for it: with more pages, fewer do, and a page written twice is folded once.
_FOLDED_AT = 4_000
_USER_CHANGES = """
CREATE TABLE user_changes (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id,
    anonymous_id,
    digest TEXT,
    document TEXT
);
CREATE INDEX profiles ON user_changes (user_id) WHERE kind = 'profile';
"""
_SCHEMA = f"""
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    user_id NOT NULL,
    item_id NOT NULL,
    time INTEGER NOT NULL,
    event_type TEXT,
    value REAL,
    session_id,
    context TEXT,
    recommendation_id TEXT,
    impression TEXT
);
CREATE TABLE items (
    item_id PRIMARY KEY NOT NULL,
    first_seq INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
{_USER_CHANGES}
"""
_FROM_2 = """
ALTER TABLE user_changes ADD COLUMN document TEXT;
CREATE INDEX profiles ON user_changes (user_id) WHERE kind = 'profile';
"""
_FROM_1 = f"""
ALTER TABLE events ADD COLUMN recommendation_id TEXT;
ALTER TABLE events ADD COLUMN impression TEXT;
{_USER_CHANGES}
"""


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """Open a connection with the settings that an acknowledgement rests on."""
    connection = sqlite3.connect(
        path,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: its plain fsync is not one
        connection.execute("PRAGMA secure_delete = ON").fetchone()
        connection.execute(f"PRAGMA wal_autocheckpoint = {_FOLDED_AT}").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path) -> bool:
    """Make the tables in an empty file, or bring those of an older version up to this one.

    Returns:
        Whether the file was empty.

    Raises:
        FormatError: it is no event store, of a newer version, or damaged.
    """
    # Asked of the database, not of the file: a first start may have died half-way.
    empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty:
        _run(connection, f"{_SCHEMA}\nPRAGMA application_id = {APPLICATION_ID};", salted=True)
    if _value(connection, "application_id") != APPLICATION_ID:
        raise FormatError(
            f"expected an event store of Recency, found another SQLite database: {path}. "
            f"It was left as it is; name another file with --events."
        )
    version = _value(connection, "user_version")
    if not _OLDEST <= version <= SCHEMA_VERSION:
        raise FormatError(
            f"expected an event store of version {SCHEMA_VERSION} or older, found version "
            f"{version}: {path}. Open it with the version of Recency that wrote it."
        )
    if path.stat().st_size <= CHECKED_AT_START:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise damage(path, verdict)
    if version < SCHEMA_VERSION:
        first = version == _OLDEST
        _run(connection, _FROM_1 if first else _FROM_2, salted=first)
        logger.warning("%s was brought from version %d to %d", path, version, SCHEMA_VERSION)
        if first:
            _rewrite(connection, path)
    return empty


def _rewrite(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("VACUUM")
    except sqlite3.Error as error:
        logger.warning("%s could not be rewritten: %s", path, error)


def _run(connection: sqlite3.Connection, script: str, *, salted: bool) -> None:
    """Run statements, give the file its version, and a salt if it has none: all or nothing."""
    salt = f"INSERT INTO notes VALUES ('salt', '{secrets.token_hex(32)}');" if salted else ""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} {salt} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _value(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
