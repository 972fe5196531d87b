"""Counts as they stood at any past instant: the same as counting event by event."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recency.data.lookback import DecayedSums

SECOND = 1_000_000
event = st.tuples(st.integers(0, 3), st.integers(0, 12), st.floats(0.1, 3.0))


@given(st.lists(event, max_size=40), st.sampled_from([0.5, 3.0, math.inf]))
def test_the_sum_before_an_instant_is_that_of_a_replay(events, half_life):
    groups = np.array([group for group, _, _ in events], np.int64)
    times = np.array([time * SECOND for _, time, _ in events], np.int64)
    weights = np.array([weight for _, _, weight in events])
    newest = int(times.max(initial=0))
    found = DecayedSums(groups, times, weights)
    asked_groups, asked_times = np.meshgrid(np.arange(-1, 5), np.arange(14) * SECOND)
    logs = found.logs(half_life)[found.places(asked_groups.ravel(), asked_times.ravel())]
    for group, at, log in zip(asked_groups.ravel(), asked_times.ravel(), logs, strict=True):
        before = (groups == group) & (times < at)
        ages = (newest - times[before]) / SECOND
        expected = (weights[before] * 2.0 ** (-ages / half_life)).sum()
        assert math.isclose(2.0**log, expected, rel_tol=1e-9)
        assert (log == -math.inf) == (not before.any())


def test_decades_of_seconds_do_not_wash_away_the_newest_events():
    years = np.array([0, 30, 30], np.int64) * 365 * 86_400 * SECOND
    times = years + np.array([0, 0, 1], np.int64) * SECOND
    found = DecayedSums(np.zeros(3, np.int64), times)
    end = np.array([times[-1] + 1])
    place = found.places(np.zeros(1, np.int64), end)
    assert math.isclose(2.0 ** found.logs(1.0)[place][0], 1.5)
