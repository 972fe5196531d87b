"""Lookback: what a counter held at any past instant, for many instants at once.

Training asks for counts as they stood strictly before each target. Replaying a log event by event
would take minutes; here one sort and one running sum answer all questions. Sums are kept as
logarithms to the base 2, in which a decay of any length is a subtraction.
"""

import math

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints

Logs = npt.NDArray[np.float64]
_APART = 128.0  # binary orders between neighbouring groups: what came before adds nothing


class DecayedSums:
    """Sum weights by group, old ones less, and tell each sum as of any instant.

    The sort is done once, for sums of any half-life.

    Args:
        groups: [n] what is summed together, any integers.
        times: [n] microseconds.
        weights: [n] above 0; None is 1 each.
    """

    def __init__(
        self, groups: Ints, times: Ints, weights: npt.NDArray[np.floating] | None = None
    ) -> None:
        order = self._order = np.lexsort((times, groups))
        groups, times = groups[order], times[order]
        self._log_weights = 0.0 if weights is None else np.log2(weights[order])
        self._groups = groups[np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1))]
        self._group = np.cumsum(np.diff(groups, prepend=groups[:1]) != 0)
        self._instants = np.unique(times)
        self._ages = times - (times.max() if len(times) else 0)
        self._keys = self._key(self._group, times)

    def places(self, groups: Ints, times: Ints) -> Ints:
        """Find where `logs` has groups [...] strictly before instants [...]; -1 for nowhere."""
        if not len(self._groups):
            return np.full(np.shape(groups), -1)
        found = np.minimum(np.searchsorted(self._groups, groups), len(self._groups) - 1)
        last = np.searchsorted(self._keys, self._key(found, times)) - 1
        known = (last >= 0) & (self._groups[found] == groups)
        known &= self._group[np.maximum(last, 0)] == found
        return np.where(known, last, -1)

    def logs(self, half_life: float, weights: npt.NDArray[np.floating] | None = None) -> Logs:
        """Give log2 of all sums on the way, to be read at `places`: -1 reads the last, -inf.

        Decay is counted up to one common instant, not to each question's: sums of one instant and
        half-life can be compared and divided.

        Args:
            half_life: Seconds in which a weight halves; infinite for plain sums.
            weights: [n] above 0, in place of those given at first.
        """
        log_weights = self._log_weights if weights is None else np.log2(weights[self._order])
        logs = self._ages / 1e6 / half_life + log_weights
        # Each group is lifted so far above the one before that it starts afresh.
        lift = _APART + (float(np.ptp(logs)) if len(logs) else 0.0)
        sums = np.logaddexp2.accumulate(logs + self._group * lift) - self._group * lift
        return np.append(sums, -math.inf)

    def _key(self, group: Ints, times: Ints) -> Ints:
        """Number pairs of group and instant in the order of the sort."""
        keys: Ints = group * (len(self._instants) + 1) + np.searchsorted(self._instants, times)
        return keys
