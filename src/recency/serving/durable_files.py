"""Durable files: small files replaced in one piece, folders copied, and turns taken at both.

A rename is atomic, but neither it nor what was written before it is on the disk until both the file
and the folder that names it are synced. Both are done here, in that order.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recency.errors import StoreError
from recency.serving.log.file_lock import FileLock
from recency.storage import sync

_PATIENCE = 30.0  # seconds to wait for another process


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process, and no other thread, is at the same file or folder.

    Raises:
        StoreError: somebody else was at it for half a minute, or the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            lock = FileLock(path)
            break
        except StoreError as error:
            if error.__cause__ is not None:  # not in use: it cannot be written
                raise
            if time.monotonic() > deadline:
                raise StoreError(
                    f"expected a turn at {path} within {_PATIENCE:g} s, found another process at "
                    f"it; try again, or end that process."
                ) from error
            time.sleep(0.01)
    try:
        yield
    finally:
        lock.release()


def write_durably(path: Path, text: str) -> None:
    """Replace a file by another content: a reader finds the old one or the new one, never half."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        draft.write_text(text)
        sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def append_durably(path: Path, line: str) -> None:
    """Add a line to a file; a line that an earlier writer left unfinished is ended first."""
    with path.open("ab+") as file:
        torn = False
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write(b"\n" * torn + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


def copy_durably(files: Iterable[Path], target: Path) -> None:
    """Copy files into a folder that exists, and sync them."""
    for path in files:
        copy = target / path.name
        shutil.copyfile(path, copy)
        sync(copy)
    sync(target)
