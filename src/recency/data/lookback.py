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

    Args:
        groups: [n] what is summed together, any integers.
        times: [n] microseconds.
        half_life: Seconds in which a weight halves; infinite for plain sums.
        weights: [n] above 0; None is 1 each.
    """

    def __init__(
        self,
        groups: Ints,
        times: Ints,
        half_life: float,
        weights: npt.NDArray[np.floating] | None = None,
    ) -> None:
        self._half_life = half_life
        self._reference = int(times.max(initial=0))
        order = np.lexsort((times, groups))
        sorted_groups = groups[order]
        self._groups, starts = np.unique(sorted_groups, return_index=True)
        self._times = np.unique(times)
        place = np.cumsum(np.diff(sorted_groups, prepend=sorted_groups[:1]) != 0)
        self._places = place * (len(self._times) + 1) + np.searchsorted(self._times, times[order])
        logs = self._ages(times[order])
        if weights is not None:
            logs += np.log2(weights[order])
        # Each group is lifted so far above the one before that it starts afresh.
        lift = _APART + (float(np.ptp(logs)) if len(logs) else 0.0)
        self._logs = np.logaddexp2.accumulate(logs + place * lift) - place * lift

    def before(self, groups: Ints, times: Ints) -> Logs:
        """Give log2 of the sums of groups [...] from strictly before instants [...].

        Decay is counted up to one common instant, not to each ``times``: sums of one instant and
        half-life can be compared and divided. -inf where nothing was summed.
        """
        if not len(self._groups):
            return np.full(np.shape(groups), -math.inf)
        found = np.searchsorted(self._groups, groups)
        known = found < len(self._groups)
        known &= self._groups[np.minimum(found, len(self._groups) - 1)] == groups
        first = found * (len(self._times) + 1)
        stop = np.searchsorted(self._places, first + np.searchsorted(self._times, times))
        some = known & (stop > 0)
        some &= self._places[np.maximum(stop, 1) - 1] >= first
        return np.where(some, self._logs[np.maximum(stop, 1) - 1], -math.inf)

    def _ages(self, times: Ints) -> Logs:
        ages: Logs = (times - self._reference) / 1e6 / self._half_life
        return ages
