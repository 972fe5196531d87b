"""Similar items: for each item the few that stand near it in histories, to take its place.

Counted from pairs of training events (`recency.data.pairs`), old ones less. What is popular stands
near everything, so a count is divided by the root of all counts of the other item: the cosine of
the items' rows of counts, up to a factor that is the same for all neighbours of one item. The
newest two million events are enough for the nearest few and keep memory bounded.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.batches import TrainingWindows
from recency.data.histories import UNKNOWN, Ints
from recency.data.pairs import pairs_of

NEAREST = 5  # items that may take an item's place
_EVENTS = 2**21  # newest events that are counted
_PART = 2**18  # events counted together: about 5 million pairs
_BITS = 32

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SimilarItems:
    """Hold the nearest items of each item.

    Attributes:
        rows: [n_items, `NEAREST`] item rows, nearest first, `UNKNOWN` beyond the last.
        counts: [n_items] how many there are; 0 where an item was never beside another.
    """

    rows: npt.NDArray[np.int32]
    counts: Ints

    @classmethod
    def learned_in(cls, windows: TrainingWindows, half_life: float) -> "SimilarItems":
        """Count the pairs of what windows learn from: no event after their newest target.

        Args:
            windows: Of the stage that is trained; what it is judged on later is not counted.
            half_life: Seconds in which a pair loses half its weight.
        """
        histories = windows.histories
        n_items = int(histories.items.max(initial=-1)) + 1
        last = int(histories.times[windows.positions].max(initial=0))
        known = np.flatnonzero(histories.times <= last)
        if len(known) > _EVENTS:
            times = histories.times[known]
            known = known[times > np.partition(times, -_EVENTS)[-_EVENTS]]
        keys, weights = np.empty(0, np.int64), np.empty(0)
        for start in range(0, len(known), _PART):
            at = known[start : start + _PART]
            items = histories.items[at].astype(np.int64)
            times = histories.times[at]
            users = np.searchsorted(histories.offsets, at, side="right")
            ones, others, when, near = pairs_of(users, items, times)
            near *= np.exp2((when - last) / 1e6 / half_life)
            keys, weights = _summed(
                np.concatenate((keys, (ones << _BITS) | others)), np.concatenate((weights, near))
            )
        return cls.nearest(keys >> _BITS, keys & (2**_BITS - 1), weights, n_items)

    @classmethod
    def nearest(cls, ones: Ints, others: Ints, weights: Floats, n_items: int) -> "SimilarItems":
        """Choose the nearest from the weights [m] of different pairs, each in both directions."""
        totals = np.bincount(others, weights, minlength=n_items)
        alike = weights / np.sqrt(np.maximum(totals[others], np.finfo(float).tiny))
        order = np.lexsort((others, -alike, ones))
        order = order[alike[order] > 0]
        ones, others = ones[order], others[order]
        counts = np.bincount(ones, minlength=n_items)
        place = np.arange(len(ones)) - np.repeat(np.cumsum(counts) - counts, counts)
        near = place < NEAREST
        rows = np.full((n_items, NEAREST), UNKNOWN, np.int32)
        rows[ones[near], place[near]] = others[near]
        return cls(rows, np.minimum(counts, NEAREST).astype(np.int64))

    def draw(self, items: Ints, rng: np.random.Generator) -> Ints:
        """Draw one of the nearest of each of some items, [n]; an item without any stays itself."""
        counts = self.counts[items]
        place = (rng.random(len(items)) * counts).astype(np.int64)
        drawn: Ints = np.where(counts > 0, self.rows[items, place], items).astype(np.int64)
        return drawn


def _summed(keys: Ints, weights: Floats) -> tuple[Ints, Floats]:
    """Add up the weights of equal keys; keys ascend."""
    different, place = np.unique(keys, return_inverse=True)
    return different, np.bincount(place, weights, minlength=len(different)).astype(np.float64)
