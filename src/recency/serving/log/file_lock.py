"""FileLock: keeps a second process away from a file, for as long as the first one lives."""

import os
import sys
from pathlib import Path

from recency.errors import StoreError

if sys.platform == "win32":
    import msvcrt

    def _seize(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _seize(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Hold ``PATH.lock`` locked; the operating system frees it however the process ends.

    Raises:
        StoreError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"expected to write beside {path}, found: {error.strerror}. "
                f"Check the folder and its permissions, or name another file with --events."
            ) from error
        try:
            _seize(self._handle)
        except OSError:
            owner = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            raise StoreError(
                f"expected {path} to be free, found it in use by process {owner or 'unknown'}. "
                f"Two servers cannot share one event store: stop the other, or name another file "
                f"with --events."
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode("ascii"), 0)

    def release(self) -> None:
        """Let others in. The file stays, because removing it would race with the next owner."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
