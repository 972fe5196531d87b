"""Signals worked by hand, and blind to what comes later."""

import numpy as np
import pytest

from recency.sequences.series import Series
from recency.sequences.signals import Scales, Signals
from tests.sequences.conftest import HOUR

NAN = float("nan")


def signals_of(values, hours=None, lags=(3 * HOUR,)):
    times = np.arange(len(values)) if hours is None else np.asarray(hours)
    series = Series(
        np.array([0, len(values)]), times.astype(np.int64) * HOUR, np.asarray(values, float)
    )
    return Signals(series, Scales(np.array([2.0]), np.array([4.0]), np.array([0.5])), lags)


def test_units_are_mean_deviation_and_mean_change():
    series = Series(np.array([0, 3, 3, 4]), np.arange(4), np.array([1.0, 3.0, 2.0, 7.0]))
    scales = Scales.measured(series)
    assert scales.level.tolist() == [2.0, 0.0, 7.0]
    assert scales.step.tolist() == [1.5, 1.5, 1.5]  # the others borrow the median
    assert scales.spread[0] == pytest.approx(np.std([1, 3, 2]))


def test_a_constant_series_has_units_above_zero():
    series = Series(np.array([0, 3]), np.arange(3), np.full(3, 5.0))
    scales = Scales.measured(series)
    assert scales.step[0] > 0 and scales.spread[0] > 0


def test_inputs_tell_level_change_and_change_since_a_lag():
    told = np.sinh(signals_of([2.0, 4.0, 3.0, 6.0]).inputs(np.array([0, 3])).astype(float))
    first, fourth = told.tolist()
    assert first == pytest.approx([0.0, 0.0, 1.0, 0.0, 1.0], abs=1e-3)  # flags: none before
    # (6 - 2) / 4 spreads; (6 - 3) / 0.5 steps; (6 - 2) / 0.5 steps since three hours ago
    assert fourth == pytest.approx([1.0, 6.0, 0.0, 8.0, 0.0], abs=1e-3)


def test_anchors_are_newest_level_last_cycle_and_mean_of_cycles():
    signals = signals_of([1.0, 5.0, 2.0, 3.0, 7.0, 4.0])
    # Known up to hour 5 (value 4); hour 7 lies on the phase of hours 4 (7) and 1 (5).
    anchors = signals.anchors(np.array([5]), np.array([7 * HOUR]))[0]
    assert anchors.tolist() == pytest.approx([0.0, (2 - 4) / 0.5, (7 - 4) / 0.5, (6 - 4) / 0.5])


def test_a_long_way_ahead_whole_cycles_are_counted_back_to_what_is_known():
    signals = signals_of([1.0, 5.0, 2.0, 3.0, 7.0, 4.0])
    anchors = signals.anchors(np.array([5]), np.array([13 * HOUR]))[0]
    assert anchors[2] == pytest.approx((7 - 4) / 0.5)


def test_what_is_not_known_or_stale_has_no_anchor():
    early = signals_of([1.0, 5.0]).anchors(np.array([1]), np.array([2 * HOUR]))[0]
    assert np.isnan(early[2:]).all()
    with_a_hole = signals_of([1.0, 5.0, 9.0], hours=[0, 4, 5])
    # Hour 6 asks for hour 3, where the newest value is three hours old.
    anchors = with_a_hole.anchors(np.array([2]), np.array([6 * HOUR]))[0]
    assert np.isnan(anchors[2]) and anchors[3] == pytest.approx((1 - 9) / 0.5)


def test_later_values_change_no_signal():
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    changed = np.concatenate([values[:20], rng.normal(size=10) * 100])
    for name, given in (
        ("inputs", (np.arange(20),)),
        ("anchors", (np.arange(20), np.arange(1, 21) * HOUR)),
    ):
        one, other = (getattr(signals_of(each), name)(*given) for each in (values, changed))
        np.testing.assert_array_equal(one, other)
