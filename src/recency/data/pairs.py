"""Pairs: which items stand near each other in histories, counted in O(window) an event.

An event is paired with the few events of the same user before it; a pair counts the less the more
events lie between (1, 1/√2, 1/√3, …), in both directions, and half as much after each half-life. An
item is never paired with itself: what a user returns to is another matter.

The counts of one item, divided by their sum, say which items go with it. The division also removes
the instant to which decay is counted, so that adding an event never touches older counts.

Counts lie in sorted arrays that are replaced, never changed; what came since lies beside them in a
dictionary. A snapshot sets that dictionary aside and merges it into new arrays in its own thread.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints, ragged_positions
from recency.data.pair_arrays import (
    COLUMN,
    COLUMN_BITS,
    Counted,
    FrozenPairs,
    SortedPairs,
    Weights,
    contained,
    flat,
    joined,
    merged,
    without,
)

WINDOW = 10  # events before an event that it is paired with
Part = tuple[Ints, Weights]  # item rows, each once, and their weights

_LARGEST_EXPONENT = 512.0  # half-lives after which the reference moves; float64 holds 1,023
_FEW = 8  # times as many counts as come at once, from which these are kept beside them
_FEWEST_MERGED = 2**17  # counts beside the sorted arrays before they are merged in


def pairs_of(
    users: Ints, items: Ints, times: Ints, fresh: npt.NDArray[np.bool_] | None = None
) -> tuple[Ints, Ints, Ints, Weights]:
    """List all pairs of a log in both directions.

    Args:
        users: [n] user rows.
        items: [n] item rows; events of negative ones make no pair but stand between others.
        times: [n] microseconds, ascending for each user.
        fresh: [n] marks the events whose pairs with those before them are wanted; None for all.

    Returns:
        The one item, the other, when they became a pair, and the pair's weight; [m] each.
    """
    order = np.argsort(users, kind="stable")
    users, items, times = users[order], items[order], times[order]
    wanted = np.ones(len(users), bool) if fresh is None else fresh[order]
    ones, others, instants, weights = [], [], [], []
    for apart in range(1, WINDOW + 1):
        later = apart + np.flatnonzero(users[apart:] == users[:-apart])
        a, b = items[later - apart], items[later]
        made = (a != b) & (a >= 0) & (b >= 0) & wanted[later]
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


def pairs_among(offsets: Ints, items: Ints, times: Ints, keys: Ints) -> SortedPairs:
    """List those pairs of a log that are among some; costs little more than a look at each event.

    Args:
        offsets: [n_users + 1] where each user's events begin.
        items: [n] item rows.
        times: [n] microseconds.
        keys: Pairs in both directions, ascending.
    """
    named = np.zeros(int(items.max(initial=0)) + 2, bool)  # the last stands for no item
    ones = keys >> COLUMN_BITS
    named[ones[ones < len(named) - 1]] = True
    hits = np.flatnonzero(named[items])
    owners = np.searchsorted(offsets, hits, side="right")
    found: list[tuple[Ints, Ints, Weights]] = [(hits[:0], hits[:0], np.empty(0))]
    for step in range(1, WINDOW + 1):  # so many at most lie between two within the window
        early, late = hits[:-step], hits[step:]
        near = np.flatnonzero((late - early <= WINDOW) & (owners[:-step] == owners[step:]))
        early, late = early[near], late[near]
        a, b = items[early].astype(np.int64), items[late].astype(np.int64)
        for one, other in ((a, b), (b, a)):
            key = (one << COLUMN_BITS) | other
            made = (a != b) & contained(keys, key)
            found.append((key[made], times[late[made]], (late - early)[made] ** -0.5))
    every, instants, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    return SortedPairs.of(every >> COLUMN_BITS, every & COLUMN, instants, weights)


class PairCounts:
    """Count pairs of items, old ones less.

    Args:
        half_life: Seconds in which a pair loses half its weight; infinite keeps it.
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._keys = np.empty(0, np.int64)
        self._weights = np.empty(0)
        self._fresh: Counted = {}  # counts since the arrays were sorted
        self._aside: Counted = {}  # older ones, while a snapshot merges them
        self._n_fresh = 0
        # What came many at a time: sorted arrays too, each at least twice as long as the next, so
        # that a pair is merged a few times at most, and not with all others at once.
        self._runs: list[tuple[Ints, Weights]] = []
        self._resting: list[tuple[Ints, Weights]] = []  # older ones, while a snapshot merges them
        self._reference: int | None = None

    @property
    def reference(self) -> int | None:
        """Give the instant to which counts are decayed, microseconds; None before the first."""
        return self._reference

    def add_all(self, ones: Ints, others: Ints, times: Ints, weights: Weights) -> None:
        """Count many pairs at once; see `pairs_of`."""
        self.add_sorted(SortedPairs.of(ones, others, times, weights))

    def add_sorted(self, found: SortedPairs) -> None:
        """Count many pairs that were sorted once for counts of several half-lives."""
        if not len(found.keys):
            return
        self._move_reference(int(found.times.max()))
        assert self._reference is not None
        decayed = found.weights * np.exp2((found.times - self._reference) / 1e6 / self.half_life)
        self._stack(found.keys, np.add.reduceat(decayed, found.starts))

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

    def between(self, items: Ints) -> Ints:
        """List the pairs counted, ascending, both of whose items are among some, ascending."""
        self._merge_runs()
        starts = np.searchsorted(self._keys, items << COLUMN_BITS)
        lengths = np.searchsorted(self._keys, (items + 1) << COLUMN_BITS) - starts
        keys = self._keys[ragged_positions(starts, lengths)]
        parts = [keys[contained(items, keys & COLUMN)]]
        wanted = set(items.tolist())
        for counted in (self._aside, self._fresh):
            parts += [
                np.array([one << COLUMN_BITS | other for other in counted[one] if other in wanted])
                for one in wanted & counted.keys()
            ]
        return np.unique(np.concatenate(parts).astype(np.int64))

    def replace(self, keys: Ints, found: SortedPairs) -> None:
        """Count some pairs anew.

        A sum that loses its largest part keeps the part's rounding errors in place of the rest; so
        what is to be forgotten is not taken away, but all else is counted again.

        Args:
            keys: The pairs, ascending.
            found: All there is of them now.
        """
        self._merge_runs()
        counts = np.zeros(len(keys))
        if len(found.keys) and self._reference is not None:
            fade = np.exp2((found.times - self._reference) / 1e6 / self.half_life)
            summed = np.add.reduceat(found.weights * fade, found.starts)
            counts[np.searchsorted(keys, found.keys)] = summed
        self._aside, self._fresh = without(self._aside, keys), without(self._fresh, keys)
        self._n_fresh = sum(map(len, self._fresh.values()))
        known = contained(self._keys, keys)
        self._weights = self._weights.copy()  # others may hold the old ones
        self._weights[np.searchsorted(self._keys, keys[known])] = counts[known]
        for key, count in zip(keys[~known].tolist(), counts[~known].tolist(), strict=True):
            if count:
                self._count(key >> COLUMN_BITS, key & COLUMN, count)

    def rows(self, items: Sequence[int]) -> list[tuple[list[Part], float]]:
        """Give, for each of some items, the counts of the items that go with it.

        Returns:
            For each, parts of different items and their weights, and the sum of all weights; the
            sum alone has no meaning, as it is counted to no stated instant. 0 where nothing is
            known.
        """
        lows = np.array(items, np.int64) << COLUMN_BITS
        ends = np.append(lows, lows + (1 << COLUMN_BITS))
        sorted_ = [
            (keys, weights, np.searchsorted(keys, ends).tolist())
            for keys, weights in ((self._keys, self._weights), *self._resting, *self._runs)
        ]
        found = []
        for place, (item, low) in enumerate(zip(items, lows, strict=True)):
            parts, total = [], 0.0
            for keys, weights, ends_at in sorted_:
                start, stop = ends_at[place], ends_at[place + len(items)]
                if stop > start:
                    parts.append((keys[start:stop] - low, weights[start:stop]))
                    total += float(weights[start:stop].sum())
            for counted in (self._aside, self._fresh):
                if few := counted.get(item):
                    columns = np.fromiter(few, np.int64, len(few))
                    parts.append((columns, np.fromiter(few.values(), np.float64, len(few))))
                    total += sum(few.values())
            found.append((parts, total))
        return found

    def freeze(self) -> FrozenPairs:
        """Set aside what is counted so far, at no cost; it stays as it is while more is counted."""
        if self._resting:  # an earlier copy never came back
            self._merge_runs()
        if self._aside:
            self._merge(*flat(self._aside))
        self._aside, self._fresh, self._n_fresh = self._fresh, {}, 0
        self._resting, self._runs = self._runs, []
        return FrozenPairs(
            self._keys, self._weights, self._aside, self._reference, tuple(self._resting)
        )

    def fold(self, frozen: FrozenPairs, merged: FrozenPairs) -> None:
        """Take over what was merged of an earlier copy, unless the counts were replaced since."""
        if self._keys is frozen.keys and self._aside is frozen.aside:
            self._keys, self._weights = merged.keys, merged.weights
            self._aside, self._resting = {}, []

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Count on from what `FrozenPairs.arrays` gave, in place of all that was counted."""
        self._keys, self._weights = arrays["keys"], arrays["weights"]
        self._fresh, self._aside, self._n_fresh = {}, {}, 0
        self._runs, self._resting = [], []
        self._reference = int(arrays["reference"][0]) if len(arrays["reference"]) else None

    def _count(self, one: int, other: int, weight: float) -> None:
        row = self._fresh.setdefault(one, {})
        self._n_fresh += other not in row
        row[other] = row.get(other, 0.0) + weight

    def _merge_fresh(self) -> None:
        counted = flat(self._fresh)
        self._fresh, self._n_fresh = {}, 0
        self._merge(*counted)

    def _stack(self, keys: Ints, weights: Weights) -> None:
        """Keep sorted counts: beside the others, where these are far more."""
        if _FEW * len(keys) > len(self._keys):
            self._merge(keys, weights)
            return
        self._runs.append((keys, weights))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            newest = self._runs.pop()
            self._runs.append(merged(*self._runs.pop(), *newest))
        if 2 * len(self._runs[0][0]) > len(self._keys):
            self._merge_runs()

    def _merge_runs(self) -> None:
        if runs := [*self._resting, *self._runs]:
            self._merge(*joined(runs))
        self._runs, self._resting = [], []

    def _merge(self, keys: Ints, weights: Weights) -> None:
        self._keys, self._weights = merged(self._keys, self._weights, keys, weights)

    def _move_reference(self, time: int) -> None:
        """Count decay to a newer instant before weights grow beyond what a float holds."""
        if self._reference is None:
            self._reference = time
        gone = (time - self._reference) / 1e6 / self.half_life
        if gone > _LARGEST_EXPONENT and math.isfinite(gone):
            factor = 2.0**-gone
            self._weights = self._weights * factor
            self._runs, self._resting = (
                [(keys, weights * factor) for keys, weights in runs]
                for runs in (self._runs, self._resting)
            )
            self._aside, self._fresh = (
                {
                    one: {other: weight * factor for other, weight in row.items()}
                    for one, row in counted.items()
                }
                for counted in (self._aside, self._fresh)
            )
            self._reference = time
