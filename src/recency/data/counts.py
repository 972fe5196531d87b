"""Decayed counts: how popular each item is now, moved in O(1) by every event.

An event counts 1 when it happens and half as much after each half-life. Counts are kept as of one
reference instant, where an event at time t weighs ``2 ** ((t - reference) / half_life)``: adding is
one addition wherever t lies, late events included, and the order of items never needs a decay step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import BLOCK, Ints

_FEW, _SHARE = 256, 8  # events, all or of the items, below which one addition each is cheaper
_LARGEST_EXPONENT = 512.0  # half-lives after which the reference moves; float64 holds 1,023


class CountTable:
    """Count events by item at several half-lives at once.

    Args:
        half_lives: [h] seconds in which an event loses half its weight.
        n_items: Items to begin with; more join as they come.
    """

    def __init__(self, half_lives: Sequence[float], n_items: int = 0) -> None:
        self.half_lives = np.array(half_lives, np.float64).reshape(-1, 1)
        self._counts = np.zeros((len(half_lives), n_items))
        self._reference: int | None = None
        self.totals = np.zeros(len(half_lives))  # of all items, as of the reference

    def add(self, items: npt.NDArray[np.integer], times: Ints) -> None:
        """Count events.

        Args:
            items: [n] item rows; negative ones are left out.
            times: [n] microseconds.
        """
        if not len(self._counts):
            return
        for start in range(0, len(items), BLOCK):  # what many events weigh is not held at once
            part = slice(start, start + BLOCK)
            known = items[part] >= 0
            if known.any():
                self._add(items[part][known].astype(np.int64), times[part][known])

    def _add(self, items: Ints, times: Ints) -> None:
        newest, size = int(times.max()), int(items.max()) + 1
        if self._reference is None:
            self._reference = newest
        if self.ages(newest).max() > _LARGEST_EXPONENT:
            self._counts *= np.exp2(-self.ages(newest))
            self.totals = self._counts.sum(axis=1)
            self._reference = newest
        if size > self._counts.shape[1]:
            more = max(size, 2 * self._counts.shape[1]) - self._counts.shape[1]
            self._counts = np.pad(self._counts, ((0, 0), (0, more)))
        weights = np.exp2(self.ages(times))
        self.totals = self.totals + weights.sum(axis=1)
        for counts, row in zip(self._counts, weights, strict=True):
            if len(items) < max(_FEW, len(counts) // _SHARE):
                np.add.at(counts, items, row)
            else:
                counts += np.bincount(items, row, minlength=len(counts))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Copy what is counted, for `restore`."""
        known = [] if self._reference is None else [self._reference]
        return {"counts": self._counts.copy(), "reference": np.array(known, np.int64)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Count on from what `arrays` gave, in place of all that was counted."""
        self._counts = arrays["counts"].reshape(len(self.half_lives), -1)
        self._reference = int(arrays["reference"][0]) if len(arrays["reference"]) else None
        self.totals = self._counts.sum(axis=1)

    def counts(self, n_items: int) -> npt.NDArray[np.float64]:
        """Give the counts [h, n_items] as of the reference, from which `ages` are measured."""
        counts = np.zeros((len(self._counts), n_items))
        known = self._counts[:, :n_items]
        counts[:, : known.shape[1]] = known
        return counts

    @property
    def cells(self) -> tuple[npt.NDArray[np.float64], int | None]:
        """Give the counts [h, n_items or more or fewer] where they lie, and their reference.

        They move in place; the array is another one, or the reference is, when all of them did.
        """
        return self._counts, self._reference

    def ages(self, at: int | Ints) -> npt.NDArray[np.float64]:
        """Measure from the reference to instants (microseconds) in half-lives: [h, 1] or [h, n]."""
        ages: npt.NDArray[np.float64] = (at - (self._reference or 0)) / 1e6 / self.half_lives
        return ages


class DecayedCounts:
    """Count events by item, old ones less.

    Args:
        half_life: Seconds in which an event loses half its weight.
        n_items: Items to begin with; more join as they come.
    """

    def __init__(self, half_life: float, n_items: int = 0) -> None:
        self.half_life = half_life
        self.table = CountTable([half_life], n_items)

    def add(self, items: npt.NDArray[np.integer], times: Ints) -> None:
        """Count events; see `CountTable.add`."""
        self.table.add(items, times)

    def at(self, at: int, n_items: int) -> npt.NDArray[np.float64]:
        """Give the decayed counts [n_items] as of an instant after every event counted."""
        decayed: npt.NDArray[np.float64]
        decayed = self.table.counts(n_items)[0] * np.exp2(-self.table.ages(at)[0, 0])
        return decayed

    def log_counts(self, at: int, n_items: int) -> npt.NDArray[np.float32]:
        """Give log2 of the decayed counts [n_items] as of an instant; -inf where nothing counted.

        Logarithms keep the order of items that faded long ago, where the counts would underflow.
        They are rounded to 1e-6, so that sums taken in another order still rank the same.
        """
        logs: npt.NDArray[np.float64]
        with np.errstate(divide="ignore"):
            logs = np.log2(self.table.counts(n_items)[0]) - self.table.ages(at)[0, 0]
        return np.round(logs, 6).astype(np.float32)
