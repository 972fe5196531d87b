"""Pair arrays: counts of pairs as sorted arrays that are replaced, never changed.

Both items of a pair make one number, so that to sort, to search and to merge are one call each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints

Weights = npt.NDArray[np.float64]
Counted = dict[int, dict[int, float]]  # by item, by the other item

COLUMN_BITS = 32
COLUMN = 2**COLUMN_BITS - 1


@dataclass(frozen=True)
class SortedPairs:
    """List pairs of a log, sorted by both items; sorting takes longer than counting.

    Attributes:
        keys: [k] both items of each different pair in one number, ascending.
        starts: [k] where each begins among all.
        times: [m] microseconds, when each became a pair.
        weights: [m] of each.
    """

    keys: Ints
    starts: Ints
    times: Ints
    weights: Weights

    @classmethod
    def of(cls, ones: Ints, others: Ints, times: Ints, weights: Weights) -> "SortedPairs":
        """Sort what `pairs_of` gave."""
        keys = (ones << COLUMN_BITS) | others
        order = np.argsort(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        return cls(keys[starts], starts, times[order], weights[order])


@dataclass(frozen=True)
class FrozenPairs:
    """Hold counts as of one moment, while more are counted.

    Attributes:
        keys: [m] both items of a pair in one number, ascending.
        weights: [m] counts.
        aside: Counts to be merged in.
        reference: Instant to which decay is counted; None before the first pair.
        runs: More sorted counts to be merged in, the longest first.
    """

    keys: Ints
    weights: Weights
    aside: Counted
    reference: int | None
    runs: tuple[tuple[Ints, Weights], ...] = ()

    def merged(self) -> "FrozenPairs":
        """Merge what was set aside; sorts, and may do so in any thread."""
        more = [*self.runs, flat(self.aside)] if self.aside else list(self.runs)
        if not more:
            return self
        keys, weights = merged(self.keys, self.weights, *joined(more))
        return FrozenPairs(keys, weights, {}, self.reference)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give all counts, for `PairCounts.restore`."""
        whole = self.merged()
        known = [] if whole.reference is None else [whole.reference]
        return {
            "keys": whole.keys,
            "weights": whole.weights,
            "reference": np.array(known, np.int64),
        }


def contained(keys: Ints, asked: Ints) -> npt.NDArray[np.bool_]:
    """Tell which numbers are among ascending ones."""
    if not len(keys):
        return np.zeros(len(asked), bool)
    places = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found: npt.NDArray[np.bool_] = keys[places] == asked
    return found


def without(counted: Counted, keys: Ints) -> Counted:
    """Copy counts without some pairs; rows without any are shared."""
    left = dict(counted)
    gone = set(keys.tolist())
    for one in {key >> COLUMN_BITS for key in gone} & left.keys():
        row = {n: w for n, w in left[one].items() if (one << COLUMN_BITS) | n not in gone}
        if row:
            left[one] = row
        else:
            del left[one]
    return left


def flat(counted: Mapping[int, Mapping[int, float]]) -> tuple[Ints, Weights]:
    """Turn counts by item and item into different keys, ascending, and weights."""
    sizes = [len(row) for row in counted.values()]
    ones = np.repeat(np.fromiter(counted, np.int64, len(sizes)), sizes)
    others = np.fromiter((one for row in counted.values() for one in row), np.int64, len(ones))
    found = (weight for row in counted.values() for weight in row.values())
    weights = np.fromiter(found, np.float64, len(ones))
    keys = (ones << COLUMN_BITS) | others
    order = np.argsort(keys)
    return keys[order], weights[order]


def merged(
    keys: Ints, weights: Weights, more_keys: Ints, more_weights: Weights
) -> tuple[Ints, Weights]:
    """Merge sorted counts; both stay as they are."""
    if not len(keys) or not len(more_keys):
        return (keys, weights) if len(keys) else (more_keys, more_weights)
    places = np.searchsorted(keys, more_keys)
    known = np.zeros(len(more_keys), bool)
    inside = places < len(keys)
    known[inside] = keys[places[inside]] == more_keys[inside]
    at = places[~known] + np.arange(np.count_nonzero(~known))
    old = np.ones(len(keys) + len(at), bool)
    old[at] = False
    weights = weights.copy()
    weights[places[known]] += more_weights[known]
    joint_keys, joint_weights = np.empty(len(old), np.int64), np.empty(len(old))
    joint_keys[old], joint_weights[old] = keys, weights
    joint_keys[at], joint_weights[at] = more_keys[~known], more_weights[~known]
    return joint_keys, joint_weights


def joined(runs: Sequence[tuple[Ints, Weights]]) -> tuple[Ints, Weights]:
    """Merge some sorted counts into one, the last ones first: they are the shortest."""
    *longer, whole = runs
    for run in reversed(longer):
        whole = merged(*run, *whole)
    return whole
