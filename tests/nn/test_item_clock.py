"""The item clock: shares of decayed counts, and how far they reach."""

import numpy as np
import pytest

from recency.nn.item_clock import ItemClock

HOUR = 3_600_000_000


def test_shares_halve_with_the_half_life_and_sum_to_one():
    clock = ItemClock([3_600.0, 2 * 3_600.0])
    clock.add(np.array([0, 1]), np.array([0, 2 * HOUR]))
    # Two hours: two half-lives of the first, one of the second.
    assert clock.shares(3) == pytest.approx(np.array([[1 / 5, 4 / 5, 0], [1 / 3, 2 / 3, 0]]))


def test_before_the_first_event_there_is_no_share():
    assert ItemClock([60.0]).shares(2).tolist() == [[0.0, 0.0]]
    assert ItemClock([]).shares(2).shape == (0, 2)


def test_coverage_tells_how_many_items_speak():
    clock = ItemClock([60.0])
    clock.add(np.array([0, 1, 2, 2]), np.zeros(4, np.int64))
    (found,) = clock.coverage(10)
    assert found.n_counted == 3 and found.largest == 0.5
    assert found.n_effective == pytest.approx(2**1.5)  # entropy of 1/4, 1/4, 1/2 is 1.5 bits
    assert str(found) == (
        "half-life 1 min: 3 items counted, as concentrated as 2.8 equal ones, the first has 50.0%"
    )


def test_rough_shares_follow_every_event() -> None:
    random = np.random.default_rng(0)
    clock = ItemClock([600.0, 86_400.0])
    now, hour = 0, 3_600_000_000
    for step in range(60):
        # Now and then a long pause: scales and the reference of the short half-life move.
        now += hour if step % 9 else 400 * hour
        items = random.integers(-1, 20 + step, 3)
        clock.add(items, np.full(3, now) - random.integers(0, hour, 3))
        counts, factors = clock.rough(90)
        assert counts.shape == (2, 90)
        exact = clock.shares(90)
        np.testing.assert_allclose(counts * factors[:, None], exact, rtol=1e-5, atol=1e-7)
        some = np.array([0, 89, 7])
        np.testing.assert_allclose(clock.shares_of(some), exact[:, some], rtol=1e-9, atol=1e-15)


def test_before_the_first_event_rough_shares_are_nothing() -> None:
    counts, factors = ItemClock([60.0]).rough(4)
    assert counts.tolist() == [[0, 0, 0, 0]] and factors.tolist() == [0]
    assert ItemClock([]).rough(4)[0].shape == (0, 4)
