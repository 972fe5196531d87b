"""KeyFile: the ring of a folder, read again when somebody changes it.

So a key is made, replaced or revoked while the server runs. A file that is damaged or gone changes
nothing for whoever was let in before: an accident must not let all in, and not keep all out.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from recency.errors import FormatError
from recency.serving.access.keys import Key, KeyRing

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class KeyFile:
    """Find keys in a file.

    Args:
        path: Of the file.
        ring: As it was read last.
        clock: Seconds, from any beginning.
    """

    def __init__(
        self, path: Path, ring: KeyRing, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._ring, self._clock = path, ring, clock
        self._seen = _stamp(path)
        self._looked = clock()

    def find(self, key: str) -> Key | None:
        """Give what a key may do; None for a key that is not valid."""
        if (now := self._clock()) - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._ring.find(key)

    def _look(self) -> None:
        if (seen := _stamp(self._path)) == self._seen:
            return
        self._seen = seen
        try:
            self._ring = KeyRing.read(self._path)
        except (FormatError, OSError) as error:
            logger.error("the keys stay as they were: %s", error)
        else:
            logger.info("the keys were read again: %d are valid", len(self._ring.keys))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
