"""Pairs: which items stand near each other in histories, counted in O(window) an event.

An event is paired with the few events of the same user before it; a pair counts the less the more
events lie between (1, 1/√2, 1/√3, …), in both directions, and half as much after each half-life. An
item is never paired with itself: what a user returns to is another matter.

The counts of one item, divided by their sum, say which items go with it. The division also removes
the instant to which decay is counted, so that adding an event never touches older counts.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints

WINDOW = 10  # events before an event that it is paired with
Weights = npt.NDArray[np.float64]
Part = tuple[Ints, Weights]  # item rows, each once, and their weights

_COLUMN_BITS = 32
_LARGEST_EXPONENT = 512.0  # half-lives after which the reference moves; float64 holds 1,023
_FEWEST_MERGED = 2**17  # counts beside the sorted arrays before they are merged in


def pairs_of(users: Ints, items: Ints, times: Ints) -> tuple[Ints, Ints, Ints, Weights]:
    """List all pairs of a log in both directions.

    Args:
        users: [n] user rows.
        items: [n] item rows; events of negative ones make no pair but stand between others.
        times: [n] microseconds, ascending for each user.

    Returns:
        The one item, the other, when they became a pair, and the pair's weight; [m] each.
    """
    order = np.argsort(users, kind="stable")
    users, items, times = users[order], items[order], times[order]
    ones, others, instants, weights = [], [], [], []
    for apart in range(1, WINDOW + 1):
        later = apart + np.flatnonzero(users[apart:] == users[:-apart])
        a, b = items[later - apart], items[later]
        made = (a != b) & (a >= 0) & (b >= 0)
        a, b, when = a[made], b[made], times[later[made]]
        ones += [a, b]
        others += [b, a]
        instants += [when, when]
        weights += [np.full(2 * len(a), apart**-0.5)]
    return (
        np.concatenate(ones).astype(np.int64),
        np.concatenate(others).astype(np.int64),
        np.concatenate(instants),
        np.concatenate(weights),
    )


class PairCounts:
    """Count pairs of items, old ones less.

    Args:
        half_life: Seconds in which a pair loses half its weight; infinite keeps it.
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._keys = np.empty(0, np.int64)
        self._weights = np.empty(0)
        self._fresh: dict[int, dict[int, float]] = {}  # counts since the arrays were sorted
        self._n_fresh = 0
        self._reference: int | None = None

    def add_all(self, ones: Ints, others: Ints, times: Ints, weights: Weights) -> None:
        """Count many pairs at once; see `pairs_of`."""
        if not len(ones):
            return
        self._move_reference(int(times.max()))
        assert self._reference is not None
        decayed = weights * np.exp2((times - self._reference) / 1e6 / self.half_life)
        self._merge((ones << _COLUMN_BITS) | others, decayed)

    def add(self, item: int, before: Sequence[int], time: int, sign: float = 1.0) -> None:
        """Count an event's pairs.

        Args:
            item: Row of the event's item.
            before: Rows of the items of the user's events before it, newest first.
            time: Microseconds, when the event was.
            sign: -1 takes the pairs back.
        """
        if item < 0:
            return
        self._move_reference(time)
        assert self._reference is not None
        decay = sign * 2.0 ** ((time - self._reference) / 1e6 / self.half_life)
        for apart, other in enumerate(before[:WINDOW], start=1):
            if other >= 0 and other != item:
                weight = decay * apart**-0.5
                self._count(item, other, weight)
                self._count(other, item, weight)
        if self._n_fresh > max(_FEWEST_MERGED, len(self._keys)):
            self._merge_fresh()

    def rows(self, items: Sequence[int]) -> list[tuple[list[Part], float]]:
        """Give, for each of some items, the counts of the items that go with it.

        Returns:
            For each, parts of different items and their weights, and the sum of all weights; the
            sum alone has no meaning, as it is counted to no stated instant. 0 where nothing is
            known.
        """
        lows = np.array(items, np.int64) << _COLUMN_BITS
        starts = np.searchsorted(self._keys, lows).tolist()
        stops = np.searchsorted(self._keys, lows + (1 << _COLUMN_BITS)).tolist()
        found = []
        for item, low, start, stop in zip(items, lows, starts, stops, strict=True):
            parts, total = [], 0.0
            if stop > start:
                weights = self._weights[start:stop]
                parts.append((self._keys[start:stop] - low, weights))
                total += float(weights.sum())
            if fresh := self._fresh.get(item):
                columns = np.fromiter(fresh, np.int64, len(fresh))
                parts.append((columns, np.fromiter(fresh.values(), np.float64, len(fresh))))
                total += sum(fresh.values())
            found.append((parts, total))
        return found

    def _count(self, one: int, other: int, weight: float) -> None:
        row = self._fresh.setdefault(one, {})
        self._n_fresh += other not in row
        row[other] = row.get(other, 0.0) + weight

    def _merge_fresh(self) -> None:
        sizes = [len(row) for row in self._fresh.values()]
        ones = np.repeat(np.fromiter(self._fresh, np.int64, len(sizes)), sizes)
        others = np.fromiter((c for row in self._fresh.values() for c in row), np.int64, len(ones))
        weights = np.fromiter(
            (w for row in self._fresh.values() for w in row.values()), np.float64, len(ones)
        )
        self._fresh, self._n_fresh = {}, 0
        self._merge((ones << _COLUMN_BITS) | others, weights)

    def _merge(self, keys: Ints, weights: Weights) -> None:
        keys = np.concatenate((self._keys, keys))
        weights = np.concatenate((self._weights, weights))
        order = np.argsort(keys, kind="stable")
        keys, weights = keys[order], weights[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys = keys[first]
        self._weights = np.add.reduceat(weights, first)

    def _move_reference(self, time: int) -> None:
        """Count decay to a newer instant before weights grow beyond what a float holds."""
        if self._reference is None:
            self._reference = time
        gone = (time - self._reference) / 1e6 / self.half_life
        if gone > _LARGEST_EXPONENT and math.isfinite(gone):
            factor = 2.0**-gone
            self._weights *= factor
            for row in self._fresh.values():
                row.update({other: weight * factor for other, weight in row.items()})
            self._reference = time
