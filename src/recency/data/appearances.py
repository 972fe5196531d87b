"""Appearances: how often each item was seen, and since when."""

from typing import Self

import numpy as np
import numpy.typing as npt

from recency.data.histories import BLOCK, Histories, Ints

NEVER = int(np.iinfo(np.int64).max)


class Appearances:
    """Count the events of each item, moved by every event."""

    def __init__(self) -> None:
        self._counts: Ints = np.zeros(0, np.int64)
        self._first: Ints = np.zeros(0, np.int64)

    @classmethod
    def of(cls, histories: Histories) -> Self:
        """Count the events of histories."""
        one = cls()
        one.add(histories.items, histories.times)
        return one

    def add(self, items: npt.NDArray[np.integer], times: Ints) -> None:
        """Count events: item rows, negative ones are left out, and microseconds, [n] each."""
        for start in range(0, len(items), BLOCK):  # many events are not copied at once
            part = slice(start, start + BLOCK)
            known = items[part] >= 0
            if known.any():
                self._add(items[part][known].astype(np.int64), times[part][known])

    def _add(self, rows: Ints, times: Ints) -> None:
        if (size := int(rows.max()) + 1) > len(self._counts):
            more = max(size, 2 * len(self._counts)) - len(self._counts)
            self._counts = np.concatenate((self._counts, np.zeros(more, np.int64)))
            self._first = np.concatenate((self._first, np.full(more, NEVER)))
        np.add.at(self._counts, rows, 1)
        np.minimum.at(self._first, rows, times)

    def counts(self, n_items: int) -> Ints:
        """Give how many events each item has: [n_items]."""
        return _of_length(self._counts, n_items, 0)

    def first(self, n_items: int) -> Ints:
        """Give the instant of each item's first event, `NEVER` without one: [n_items]."""
        return _of_length(self._first, n_items, NEVER)


def _of_length(values: Ints, n: int, missing: int) -> Ints:
    return values[:n] if n <= len(values) else np.append(values, np.full(n - len(values), missing))
