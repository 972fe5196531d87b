"""Tallies: how often, how lately and how much, of one user or item, strictly before an instant.

All hand-made features and running baselines are counted through this one class, so that none of
them can see the event that it is asked about, or one of the same second.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FAR = 2**32  # seconds; beyond any instant of a log
NEVER = np.nan


@dataclass(frozen=True)
class Tally:
    """Hold events by key and time.

    Attributes:
        places: [n] key and second in one number, ascending.
        times: [n] seconds since 1970.
        sums: [n + 1] amounts summed up over the events in this order.
    """

    places: Ints
    times: Ints
    sums: Floats

    @classmethod
    def of(cls, keys: Ints, times: Ints, amounts: Floats | None = None) -> "Tally":
        """Sort events.

        Args:
            keys: [n] rows of users or items, 0 or more.
            times: [n] seconds since 1970.
            amounts: [n] summed by `total`; None for ones.
        """
        order = np.lexsort((times, keys))
        ones = np.ones(len(keys)) if amounts is None else amounts
        sums = np.concatenate([[0.0], np.cumsum(ones[order])])
        return cls((keys * _FAR + times)[order], times[order], sums)

    def count(self, keys: Ints, at: Ints, window: int | None = None) -> Floats:
        """Count each key's events before an instant, all or those of the last ``window`` s."""
        start, stop = self._span(keys, at, window)
        counts: Floats = (stop - start).astype(np.float64)
        return counts

    def total(self, keys: Ints, at: Ints, window: int | None = None) -> Floats:
        """Sum the amounts of the same events."""
        start, stop = self._span(keys, at, window)
        totals: Floats = self.sums[stop] - self.sums[start]
        return totals

    def since_last(self, keys: Ints, at: Ints) -> Floats:
        """Give the seconds since each key's newest event; NaN where there is none."""
        start, stop = self._span(keys, at, None)
        last = self.times[np.maximum(stop - 1, 0)] if len(self.times) else np.zeros_like(at)
        return np.where(stop > start, at - last, NEVER)

    def since_first(self, keys: Ints, at: Ints) -> Floats:
        """Give the seconds since each key's first event; NaN where there is none before."""
        start, stop = self._span(keys, at, None)
        most = max(0, len(self.times) - 1)
        first = self.times[np.minimum(start, most)] if len(self.times) else np.zeros_like(at)
        return np.where(stop > start, at - first, NEVER)

    def first_after(self, keys: Ints, at: Ints) -> Floats:
        """Give the seconds from an instant to each key's first event at or after it, or NaN.

        Of labels, never of features.
        """
        place = np.searchsorted(self.places, keys * _FAR + at)
        found = np.append(self.places, -1)[place]
        return np.where(found // _FAR == keys, found % _FAR - at, NEVER)

    def _span(self, keys: Ints, at: Ints, window: int | None) -> tuple[Ints, Ints]:
        base = keys * _FAR
        since = base if window is None else base + np.maximum(at - window, 0)
        return (
            np.searchsorted(self.places, since).astype(np.int64),
            np.searchsorted(self.places, base + at).astype(np.int64),
        )
