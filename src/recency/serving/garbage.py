"""Garbage: when Python looks for objects that hold only each other.

A full search walks through everything made since the last `gc.freeze`, and every request waits for
its end: with the rows and tails of a shop in use, some hundred thousand objects, longer than any
answer should take. So what a search of the younger objects leaves is set aside at once, as is what
was there at the start; no search that Python begins walks through more than some thousand.

What is set aside is freed as ever when nobody holds it any more. Only circles would stay. Normal
work makes none, but libraries may: so everything is searched when nobody waits, and after a day at
the latest.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

_QUIET_SECONDS = 1.0  # without a request, after which nobody is likely to wait
_REST_SECONDS = 600.0  # between two full searches
_LATEST_SECONDS = 86_400.0


class Garbage:
    """Set aside what lives, and search all of it when nobody waits.

    Args:
        clock: Seconds from any instant on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._searched = self._busy = clock()  # the last full search, the last request
        self._n_requests = 0

    def begin(self) -> None:
        """Search everything, and set aside what lives from now on."""
        self.search()
        gc.callbacks.append(self._set_aside)

    def end(self) -> None:
        """Leave it to Python again."""
        gc.callbacks.remove(self._set_aside)
        gc.unfreeze()

    def look(self, n_requests: int, underway: bool) -> bool:
        """Search everything if it is time, and tell whether that was done.

        Args:
            n_requests: Requests answered so far.
            underway: Whether any waits for its answer now.
        """
        now = self._clock()
        if underway or n_requests != self._n_requests:
            self._n_requests, self._busy = n_requests, now
        since = now - self._searched
        quiet = now - self._busy >= _QUIET_SECONDS
        if since >= _LATEST_SECONDS or (quiet and since >= _REST_SECONDS):
            self.search()
            return True
        return False

    def search(self) -> None:
        """Search everything, what was set aside too."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._searched = self._clock()

    def _set_aside(self, phase: str, told: dict[str, Any]) -> None:
        if phase == "stop" and told["generation"] > 0:
            gc.freeze()
