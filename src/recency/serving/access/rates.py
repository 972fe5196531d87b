"""Rates: how often somebody may come. A bucket fills at a steady rate and each request takes of it.

A bucket holds some seconds' worth, so that a burst passes and a flood does not. What nobody has
touched for longest is forgotten first; a forgotten bucket is a full one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_BURST_SECONDS = 10.0
_MOST_BUCKETS = 100_000


@dataclass(frozen=True, kw_only=True)
class RateLimits:
    """Say how often somebody may come.

    Attributes:
        key: Requests a second of one key, or of all together where no key is asked for; None for
            as many as the service bears.
        user: Events a second about one user under a key that browsers hold; None for no limit.
    """

    key: float | None = None
    user: float | None = 4.0  # 240 a minute


class Buckets:
    """Hold one bucket a name.

    Args:
        rate: What flows into each bucket, a second.
        clock: Seconds, from any beginning.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.size = rate, max(1.0, rate * _BURST_SECONDS)
        self._clock = clock
        self._held: dict[object, tuple[float, float]] = {}  # the oldest touched comes first

    def take(self, wanted: Mapping[object, float]) -> float:
        """Take from several buckets: of all of them or, where one lacks, of none.

        Args:
            wanted: How much of which bucket, at most `size`.

        Returns:
            Seconds until it can be taken; 0 when it was.
        """
        now = self._clock()
        left = {}
        wait = 0.0
        for name, amount in wanted.items():
            level, seen = self._held.get(name, (self.size, now))
            left[name] = min(self.size, level + (now - seen) * self.rate) - amount
            wait = max(wait, -left[name] / self.rate)
        if wait > 0.0:
            return wait
        for name, level in left.items():
            self._held.pop(name, None)
            self._held[name] = level, now
        while len(self._held) > _MOST_BUCKETS:
            del self._held[next(iter(self._held))]
        return 0.0

    def __len__(self) -> int:
        return len(self._held)
