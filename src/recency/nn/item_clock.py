"""The item clock: what everybody does now, as decayed counts of items at several half-lives.

A count moves in O(1) with every event. A question sees only the events before it. What is read are
shares: an item's count divided by the sum of all counts of the same half-life. Shares do not depend
on the instant of the question, since all counts fade alike; only the events in between move them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.units import SECOND, format_duration

Shares = npt.NDArray[np.float64]

_FEW = 256  # events up to which one addition each costs less than a pass over all items
_LARGEST_EXPONENT = 512.0  # half-lives after which the reference moves; float64 holds 1,023


@dataclass(frozen=True)
class Coverage:
    """Tell how much of the catalogue a half-life's counts reach.

    Attributes:
        half_life: Seconds.
        n_counted: Items with any event.
        n_effective: How many items would share the counts equally: the exponential of the entropy
            of the shares. Few, and the crowd's voice makes popular items more popular still.
        largest: Share of the most frequent item.
    """

    half_life: float
    n_counted: int
    n_effective: float
    largest: float

    def __str__(self) -> str:
        return (
            f"half-life {format_duration(self.half_life)}: {self.n_counted:,} items counted, "
            f"as concentrated as {self.n_effective:,.1f} equal ones, "
            f"the first has {self.largest:.1%}"
        )


class ItemClock:
    """Count events by item at several half-lives.

    As in `recency.data.counts`, an event weighs ``2 ** ((time - reference) / half_life)``, so that
    adding is one addition a half-life and nothing ever has to fade.

    Args:
        half_lives: Seconds, each above 0.
    """

    def __init__(self, half_lives: Sequence[float]) -> None:
        self._half_lives = np.array(half_lives, np.float64).reshape(-1, 1) * SECOND
        self._counts = np.zeros((len(half_lives), 0))
        self._reference: int | None = None

    def add(self, items: Ints, times: Ints) -> None:
        """Count events: item rows (negative ones are left out) and microseconds, [n] each."""
        known = items >= 0
        items, times = items[known], times[known]
        if not len(items) or not len(self._counts):
            return
        newest, n_items = int(times.max()), int(items.max()) + 1
        if self._reference is None:
            self._reference = newest
        if (newest - self._reference) / self._half_lives.min() > _LARGEST_EXPONENT:
            self._counts = self._counts * np.exp2((self._reference - newest) / self._half_lives)
            self._reference = newest
        if n_items > self._counts.shape[1]:
            more = max(n_items, 2 * self._counts.shape[1]) - self._counts.shape[1]
            self._counts = np.pad(self._counts, ((0, 0), (0, more)))
        weights = np.exp2((times - self._reference) / self._half_lives)
        for counts, row in zip(self._counts, weights, strict=True):
            if len(items) < _FEW:
                np.add.at(counts, items, row)
            else:
                counts += np.bincount(items, row, minlength=len(counts))

    def shares(self, n_items: int) -> Shares:
        """Give the share of each item at each half-life, [n half-lives, n_items].

        A row sums to 1, or to 0 before the first event.
        """
        counts = self._counts[:, :n_items]
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.zeros((len(counts), n_items))
        np.divide(counts, totals, out=shares[:, : counts.shape[1]], where=totals > 0)
        return shares

    def coverage(self, n_items: int) -> list[Coverage]:
        """Report, for each half-life, how many items the counts reach and how evenly."""
        seconds = (self._half_lives / SECOND).ravel().tolist()
        return [
            _coverage(half_life, row)
            for half_life, row in zip(seconds, self.shares(n_items), strict=True)
        ]


def _coverage(half_life: float, shares: Shares) -> Coverage:
    some = shares[shares > 0]
    return Coverage(
        half_life=half_life,
        n_counted=len(some),
        n_effective=float(np.exp(-(some * np.log(some)).sum())) if len(some) else 0.0,
        largest=float(some.max(initial=0.0)),
    )
