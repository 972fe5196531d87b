"""The bootstrap over users: cases whose answer is known."""

import numpy as np
import pytest

from recency.evaluation import intervals
from recency.evaluation.intervals import resample


def test_users_are_drawn_not_units() -> None:
    """One user with three units of 1, one with a single 0: means can only be 1, 3/4 and 0."""
    found = resample([np.array([1.0, 1.0, 1.0, 0.0])], np.array([7, 7, 7, 3]), 4_000, seed=0)
    assert found.means.tolist() == [0.75]
    values, counts = np.unique(found.samples, return_counts=True)
    assert values.tolist() == [0, 0.75, 1]
    assert counts / 4_000 == pytest.approx([1 / 4, 1 / 2, 1 / 4], abs=0.03)
    assert found.interval(0) == (0.0, 1.0)


def test_the_interval_of_many_users_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(1).random(2_000)
    low, high = resample([values], np.arange(2_000), 2_000, seed=2).interval(0)
    half = 1.96 * values.std() / np.sqrt(2_000)
    assert low == pytest.approx(values.mean() - half, abs=half / 5)
    assert high == pytest.approx(values.mean() + half, abs=half / 5)


def test_the_seed_repeats_it_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, user = np.random.default_rng(1).random(50), np.arange(50) % 9
    first = resample([values], user, 300, seed=4).samples
    assert (resample([values], user, 300, seed=4).samples == first).all()
    assert (resample([values], user, 300, seed=5).samples != first).any()
    monkeypatch.setattr(intervals, "_CELLS", 100)
    blocked = resample([values], user, 300, seed=4).samples
    assert blocked == pytest.approx(first)


def test_a_paired_difference() -> None:
    rng = np.random.default_rng(3)
    low = rng.random(200)
    columns = [low + 0.1, low, rng.random(200)]
    found = resample(columns, np.arange(200), 999, seed=0)
    difference, interval, p = found.difference(0, 1)
    # Every user gains 0.1: the difference is sure, however much users differ from each other.
    assert difference == pytest.approx(0.1) and interval == pytest.approx((0.1, 0.1))
    assert p == pytest.approx(2 / 1_000)
    back, _, same_p = found.difference(1, 0)
    assert back == pytest.approx(-0.1) and same_p == p
    assert found.difference(0, 0) == (0.0, (0.0, 0.0), 1.0)
    assert found.difference(1, 2)[2] > 0.05


def test_nan_is_left_out_of_its_own_column() -> None:
    nan = np.nan
    found = resample(
        [np.array([1.0, nan, 0.0]), np.array([1.0, 1.0, 1.0]), np.full(3, nan)],
        np.array([0, 0, 1]),
        200,
        seed=0,
    )
    assert found.means[:2].tolist() == [0.5, 1.0] and np.isnan(found.means[2])
    assert set(np.unique(found.samples[:, 0])) == {0.0, 0.5, 1.0}
    assert np.isnan(found.interval(2)).all()
