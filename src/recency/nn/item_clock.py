"""The item clock: what everybody does now, as decayed counts of items at several half-lives.

A count moves in O(1) with every event. A question sees only the events before it. What is read are
shares: an item's count divided by the sum of all counts of the same half-life. Shares do not depend
on the instant of the question, since all counts fade alike; only the events in between move them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.counts import CountTable
from recency.data.histories import Ints
from recency.units import format_duration

Shares = npt.NDArray[np.float64]


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

    Args:
        half_lives: Seconds, each above 0.
    """

    def __init__(self, half_lives: Sequence[float]) -> None:
        self._table = CountTable(half_lives)

    def add(self, items: Ints, times: Ints) -> None:
        """Count events: item rows (negative ones are left out) and microseconds, [n] each."""
        self._table.add(items, times)

    def shares(self, n_items: int) -> Shares:
        """Give the share of each item at each half-life, [n half-lives, n_items].

        A row sums to 1, or to 0 before the first event.
        """
        counts = self._table.counts(n_items)
        totals = counts.sum(axis=1, keepdims=True)
        np.divide(counts, totals, out=counts, where=totals > 0)
        return counts

    def coverage(self, n_items: int) -> list[Coverage]:
        """Report, for each half-life, how many items the counts reach and how evenly."""
        seconds = self._table.half_lives.ravel().tolist()
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
