"""Tails: the newest events of one user, behind those that lie in the flat arrays."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from recency.data.histories import NO_GAP, UNKNOWN, Batch, Histories, Ints

Cell = tuple[int, int, int, float]  # time in microseconds, item row, type row, value
_time = itemgetter(0)


class Tail:
    """Hold one user's newest events in the order of time, behind those in the flat arrays.

    Args:
        flat: How many of the user's events lie in the flat arrays; none where the tail is whole.
        newest: Instant of the latest of these in microseconds; None without any.
        whole: Whether the tail holds all events, those of the flat arrays too.
    """

    __slots__ = ("_cells", "flat", "newest", "whole")
    _EVENT = np.dtype([("time", "i8"), ("item", "i8"), ("type", "i8"), ("value", "f4")])

    def __init__(self, flat: int = 0, newest: int | None = None, whole: bool = False) -> None:
        self.flat, self.newest, self.whole = flat, newest, whole
        self._cells: list[Cell] = []  # a list, because most tails get one event at a time

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def events(self) -> npt.NDArray[np.void]:
        """Give the events, oldest first."""
        return np.array(self._cells, self._EVENT)

    def last(self, at: int, width: int) -> tuple[list[Cell], int]:
        """Give the newest events before an instant, newest first, and how many there are in all."""
        known = self._cells
        n = len(known)
        if known and known[-1][0] >= at:
            n = bisect_left(known, at, key=_time)
        return known[max(0, n - width) : n][::-1], n

    def newest_two(self) -> list[Cell]:
        """Give the newest event and the one before it, as far as they lie here."""
        return self._cells[-1:-3:-1]

    def insert(self, event: Cell) -> int:
        """Put an event behind all of its time or earlier; say where in the user's history."""
        if self.newest is None or event[0] >= self.newest:
            self.newest = event[0]
            self._cells.append(event)
            return self.flat + len(self._cells) - 1
        place = bisect_right(self._cells, event[0], key=_time)
        self._cells.insert(place, event)
        return self.flat + place


def cells_of(histories: Histories, start: int, stop: int) -> list[Cell]:
    """Give some events of histories in the form of a tail, by their places."""
    part = slice(start, stop)
    n = stop - start
    types = [UNKNOWN] * n if histories.types is None else histories.types[part].tolist()
    values = [math.nan] * n if histories.values is None else histories.values[part].tolist()
    times, items = histories.times[part].tolist(), histories.items[part].tolist()
    return list(zip(times, items, types, values, strict=True))


def newest_batch(newest: Sequence[list[Cell]], like: Histories, profiles: Ints | None) -> Batch:
    """Make a batch [n, 1] of n users' newest events.

    Args:
        newest: Of each user the newest event, and behind it the one before if there is one.
        like: Types and values are given only where these histories have them.
        profiles: Of the users.
    """
    gaps = [(two[0][0] - two[1][0]) / 1e6 if len(two) > 1 else NO_GAP for two in newest]
    times, items, types, values = zip(*(two[0] for two in newest), strict=True)
    n = len(newest)
    return Batch(
        items=np.array(items, np.int64)[:, None],
        times=np.array(times, np.int64)[:, None],
        gaps=np.array(gaps, np.float32)[:, None],
        types=np.array([UNKNOWN] * n if like.types is None else types, np.int64)[:, None],
        values=np.array([math.nan] * n if like.values is None else values, np.float32)[:, None],
        lengths=np.ones(n, np.int64),
        profiles=profiles,
    )
