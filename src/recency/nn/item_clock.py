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
Floats = npt.NDArray[np.float32]

_LARGEST_TOTAL = 2.0**40  # of the counts in float32, after which their scale is chosen anew


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
        self.table = CountTable(half_lives)
        self._moved: list[Ints] = []  # items since the copy was made
        self._copy = np.zeros((len(half_lives), 0), np.float32)
        self._copied: tuple[Shares, int | None] | None = None  # what of, as of when
        self._scale = np.ones(len(half_lives))  # of the copy, so that it fits into float32

    def add(self, items: Ints, times: Ints) -> None:
        """Count events: item rows (negative ones are left out) and microseconds, [n] each."""
        self.table.add(items, times)
        self._moved.append(items)

    def rough(self, n_items: int) -> tuple[Floats, Shares]:
        """Give counts in float32, [n half-lives, n_items], and what makes shares of each row.

        They are kept from question to question; an event moves its own items only.
        """
        cells, reference = self.table.cells
        totals = self.table.totals
        if not (
            self._copied is not None
            and self._copied[0] is cells
            and self._copied[1] == reference
            and n_items <= self._copy.shape[1]
            and (totals * self._scale).max(initial=0.0) < _LARGEST_TOTAL
        ):
            self._copy_all(n_items)
        elif self._moved:
            moved = np.concatenate(self._moved)
            moved = moved[(moved >= 0) & (moved < cells.shape[1])]
            self._copy[:, moved] = cells[:, moved] * self._scale[:, None]
        self._moved = []
        known = totals > 0
        return self._copy[:, :n_items], known / np.where(known, totals * self._scale, 1.0)

    def _copy_all(self, n_items: int) -> None:
        cells, reference = self.table.cells
        totals = self.table.totals
        self._scale = 1.0 / np.where(totals > 0, totals, 1.0)
        self._copy = np.zeros((len(cells), max(n_items, cells.shape[1])), np.float32)
        self._copy[:, : cells.shape[1]] = cells * self._scale[:, None]
        self._copied = (cells, reference)

    def shares_of(self, items: Ints) -> Shares:
        """Give the exact shares of some items, [n half-lives, n]."""
        cells, _ = self.table.cells
        found = np.zeros((len(cells), len(items)))
        inside = items < cells.shape[1]
        totals = self.table.totals[:, None]
        counts = cells[:, items[inside]]
        found[:, inside] = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        return found

    def shares(self, n_items: int) -> Shares:
        """Give the share of each item at each half-life, [n half-lives, n_items].

        A row sums to 1, or to 0 before the first event.
        """
        counts = self.table.counts(n_items)
        totals = counts.sum(axis=1, keepdims=True)
        np.divide(counts, totals, out=counts, where=totals > 0)
        return counts

    def coverage(self, n_items: int) -> list[Coverage]:
        """Report, for each half-life, how many items the counts reach and how evenly."""
        seconds = self.table.half_lives.ravel().tolist()
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
