"""Decayed counts: how popular each item is now, moved in O(1) by every event.

An event counts 1 when it happens and half as much after each half-life. Counts are kept as of one
reference instant, where an event at time t weighs ``2 ** ((t - reference) / half_life)``: adding is
one addition wherever t lies, late events included, and the order of items never needs a decay step.
"""

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints

_FEW = 256  # events up to which one addition each costs less than a pass over all items
_LARGEST_EXPONENT = 512.0  # half-lives after which the reference moves; float64 holds 1,023


class DecayedCounts:
    """Count events by item, old ones less.

    Args:
        half_life: Seconds in which an event loses half its weight.
        n_items: Items to begin with; more join as they come.
    """

    def __init__(self, half_life: float, n_items: int = 0) -> None:
        self.half_life = half_life
        self._counts = np.zeros(n_items)
        self._reference: int | None = None

    def add(self, items: Ints, times: Ints) -> None:
        """Count events.

        Args:
            items: [n] item rows; negative ones are left out.
            times: [n] microseconds.
        """
        known = items >= 0
        items, times = items[known], times[known]
        if not len(items):
            return
        if self._reference is None:
            self._reference = int(times.max())
        if self._exponents(times).max() > _LARGEST_EXPONENT:
            self._move_reference(int(times.max()))
        if (size := int(items.max()) + 1) > len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros(size - len(self._counts))))
        weights = np.exp2(self._exponents(times))
        if len(items) < _FEW:
            np.add.at(self._counts, items, weights)
        else:
            self._counts += np.bincount(items, weights, minlength=len(self._counts))

    def at(self, at: int, n_items: int) -> npt.NDArray[np.float64]:
        """Give the decayed counts [n_items] as of an instant after every event counted."""
        counts = np.zeros(n_items)
        if self._reference is not None:
            size = min(n_items, len(self._counts))
            decay = np.exp2(-((at - self._reference) / 1e6) / self.half_life)
            counts[:size] = self._counts[:size] * decay
        return counts

    def log_counts(self, at: int, n_items: int) -> npt.NDArray[np.float32]:
        """Give log2 of the decayed counts [n_items] as of an instant; -inf where nothing counted.

        Logarithms keep the order of items that faded long ago, where the counts would underflow.
        They are rounded to 1e-6, so that sums taken in another order still rank the same.
        """
        logs = np.full(n_items, -np.inf)
        if self._reference is not None:
            size = min(n_items, len(self._counts))
            with np.errstate(divide="ignore"):
                logs[:size] = np.log2(self._counts[:size])
            logs -= (at - self._reference) / 1e6 / self.half_life
        return np.round(logs, 6).astype(np.float32)

    def _exponents(self, times: Ints) -> npt.NDArray[np.float64]:
        assert self._reference is not None
        return (times - self._reference) / 1e6 / self.half_life

    def _move_reference(self, reference: int) -> None:
        assert self._reference is not None
        shift = (reference - self._reference) / 1e6 / self.half_life
        self._counts *= np.exp2(-shift)
        self._reference = reference
