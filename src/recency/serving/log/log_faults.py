"""Log faults: what is wrong with the file of the event log, in words that say what to do."""

import contextlib
import sqlite3
from pathlib import Path

from recency.errors import FormatError, RecencyError, StoreError
from recency.serving.refusals import StoreFullError

_HEADER = b"SQLite format 3\x00"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def explain(error: sqlite3.Error, path: Path) -> RecencyError:
    """Turn an error of SQLite into one that tells what became of the call."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _DAMAGED:
        return damage(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(
            f"the disk that holds {path} is full; nothing of this call is kept. "
            f"Free some space, then send the events again."
        )
    return StoreError(
        f"could not write or read {path}: {error} ({name}). Nothing of this call is "
        f"acknowledged; check the disk, then send the events again with the same event_id."
    )


def damage(path: Path, what: str) -> FormatError:
    """Say that a file is damaged, and how to save what can be saved."""
    return FormatError(
        f"the event store {path} is damaged: {what}. Put back a copy, or save what can be read: "
        f"sqlite3 {path.name} .recover | sqlite3 rescued.sqlite"
    )


def check_file(path: Path) -> None:
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
