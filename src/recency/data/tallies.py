"""Tallies: how much had come together by an instant, of a user, an item or a pair of both.

Heads read a few plain numbers beside what the encoder remembers: how often, and how much on the
average, strictly before the instant in question. In training and in service they come from the same
few lines, so that a number never means two things, and no event counts towards its own answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recency.data.histories import PADDING, Histories, Ints

Doubles = npt.NDArray[np.float64]


class Tally:
    """Count things that happened, by key, and sum an amount of each.

    Args:
        keys: [n] what each belongs to.
        times: [n] microseconds.
        amounts: [n] or [n, columns]; NaN in any column leaves the thing out.
    """

    def __init__(self, keys: Ints, times: Ints, amounts: npt.NDArray[np.floating]) -> None:
        table = (amounts if amounts.ndim > 1 else amounts[:, None]).astype(np.float64)
        kept = np.isfinite(table).all(1)
        keys, times, table = keys[kept], times[kept], table[kept]
        order = np.lexsort((times, keys))
        self._keys, counts = np.unique(keys, return_counts=True)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._by_key = Histories(offsets, np.zeros(len(keys), np.int32), times[order])
        self._sums = np.zeros((len(keys) + 1, table.shape[1]))
        np.cumsum(table[order], axis=0, out=self._sums[1:])

    def before(self, keys: Ints, at: Ints) -> tuple[Doubles, Doubles]:
        """Give what had come together strictly before instants.

        Args:
            keys: [m] asked about; one that never came has nothing.
            at: [m] microseconds.

        Returns:
            Counts [m] and sums [m, columns].
        """
        if not len(self._keys):
            return np.zeros(len(keys)), np.zeros((len(keys), self._sums.shape[1]))
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[place] == keys
        stops = self._by_key.stops_before(place, at)
        starts = self._by_key.offsets[place]
        sums = np.where(known[:, None], self._sums[stops] - self._sums[starts], 0.0)
        return np.where(known, stops - starts, 0).astype(np.float64), sums

    def newest(self, keys: Ints, at: Ints) -> Doubles:
        """Give the seconds [m] since the newest thing strictly before instants; NaN without one."""
        since = np.full(len(keys), np.nan)
        if len(self._keys):
            place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            stops = self._by_key.stops_before(place, at)
            found = (self._keys[place] == keys) & (stops > self._by_key.offsets[place])
            since[found] = (at[found] - self._by_key.times[stops[found] - 1]) / 1e6
        return since

    def oldest(self, keys: Ints, at: Ints) -> Doubles:
        """Give the seconds [m] since the oldest thing strictly before instants; NaN without one."""
        since = np.full(len(keys), np.nan)
        if len(self._keys):
            place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            first = self._by_key.times[self._by_key.offsets[place]]
            found = (self._keys[place] == keys) & (first < at)
            since[found] = (at[found] - first[found]) / 1e6
        return since

    def lately(self, keys: Ints, at: Ints, spans: Sequence[float]) -> list[Doubles]:
        """Sum what came strictly before instants, within spans before them.

        Args:
            keys: [m] asked about.
            at: [m] microseconds.
            spans: Seconds.

        Returns:
            For each span, counts and sums side by side: [m, 1 + columns].
        """
        every = np.column_stack(self.before(keys, at))
        return [every - np.column_stack(self.before(keys, at - round(s * 1e6))) for s in spans]


@dataclass(frozen=True)
class Ledger:
    """Hold the events that heads count.

    Attributes:
        histories: Of all users that count.
        users: [n_events] user row of each event, in the order of the histories.
        n_items: Items known; makes keys of pairs.
        until: Instant before which everything is known, microseconds.
        notes: [n_events, n_notes] what a head noted of each event; see `Head.notes`.
    """

    histories: Histories
    users: Ints
    n_items: int
    until: int
    notes: Doubles | None = None

    @classmethod
    def of(
        cls,
        histories: Histories,
        n_items: int,
        until: int | None = None,
        notes: Doubles | None = None,
    ) -> "Ledger":
        """Open a ledger of histories; ``until`` None is just after their newest event."""
        newest = int(histories.times.max(initial=-1)) + 1
        end = newest if until is None else until
        return cls(histories, histories.user_of, n_items, end, notes)

    def noted(self, column: int, fresh: Doubles) -> Doubles:
        """Give what was noted of each event, [n_events], and fresh notes where nothing was."""
        if self.notes is None:
            return fresh
        known = self.notes[:, column]
        return np.where(np.isnan(known), fresh, known)

    @cached_property
    def items(self) -> Ints:
        """Give the item row of each event."""
        return self.histories.items.astype(np.int64)

    @property
    def times(self) -> Ints:
        """Give the instant of each event in microseconds."""
        return self.histories.times

    @cached_property
    def values(self) -> Doubles:
        """Give the value of each event; NaN where it has none."""
        values = self.histories.values
        if values is None:
            return np.full(self.histories.n_events, np.nan)
        return values.astype(np.float64)

    @cached_property
    def types(self) -> Ints:
        """Give the type row of each event, -1 where it has none."""
        types = self.histories.types
        if types is None:
            return np.full(self.histories.n_events, -1, np.int64)
        return types.astype(np.int64)

    def pairs(self, users: Ints, items: Ints) -> Ints:
        """Give one key [m] for each user and item, from `PADDING` on; both may be unknown."""
        return users * (self.n_items - PADDING) + items - PADDING


HOUR, DAY, YEAR = 3_600.0, 86_400.0, 365.25 * 86_400.0


def sized(counts: Doubles) -> Doubles:
    """Turn counts or amounts of either sign into numbers that grow with their logarithms."""
    found: Doubles = np.sign(counts) * np.log1p(np.abs(counts))
    return found


def waited(seconds: Doubles, never: float = 1000 * DAY) -> Doubles:
    """Turn waits into numbers that grow with their logarithms; what never was is long ago."""
    found: Doubles = np.log1p(np.where(np.isfinite(seconds), np.maximum(seconds, 0), never))
    return found


def rates(yes: Doubles, counts: Doubles, share: float, more: float) -> Doubles:
    """Give logits of shares, drawn towards ``share`` by as many as ``more``."""
    found = ((yes + more * share) / (counts + more)).clip(1e-4, 1 - 1e-4)
    logits: Doubles = np.log(found / (1 - found))
    return logits


def clocks(at: Ints) -> list[Doubles]:
    """Give the hour of the day and the day of the week, in UTC, as sines and cosines."""
    seconds = (at // 1_000_000).astype(np.float64)
    turns = (2 * np.pi * seconds / (86_400), 2 * np.pi * seconds / (7 * 86_400))
    return [wave(turn) for turn in turns for wave in (np.sin, np.cos)]


def seasons(at: Ints) -> list[Doubles]:
    """Give the day of the year, in UTC, as sines and cosines of a whole and of half a year."""
    turn = 2 * np.pi * (at // 1_000_000).astype(np.float64) / YEAR
    return [wave(n * turn) for n in (1, 2) for wave in (np.sin, np.cos)]
