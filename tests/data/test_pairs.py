"""Pairs of items that stand near each other, counted one by one and all at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.pairs import WINDOW, PairCounts, pairs_of

HOUR = 3_600_000_000


def table(counts: PairCounts, n_items: int = 6) -> np.ndarray:
    """Give the counts as a square, each row divided by its sum."""
    square = np.zeros((n_items, n_items))
    for item in range(n_items):
        ((parts, total),) = counts.rows([item])
        for columns, weights in parts:
            np.add.at(square[item], columns, weights / max(total, 1e-300))
    return square


def test_near_items_weigh_more_in_both_directions():
    found = pairs_of(np.zeros(3, np.int64), np.array([4, 5, 4]), np.arange(3) * HOUR)
    rows = sorted(zip(*(column.tolist() for column in found), strict=True))
    # 4 and 5 are neighbours twice; the two 4s are the same item and make no pair.
    assert rows == [
        (4, 5, HOUR, 1.0),
        (4, 5, 2 * HOUR, 1.0),
        (5, 4, HOUR, 1.0),
        (5, 4, 2 * HOUR, 1.0),
    ]


def test_distance_counts_events_and_stops_at_the_window():
    n = WINDOW + 2
    ones, others, _, weights = pairs_of(np.zeros(n, np.int64), np.arange(n), np.arange(n))
    first = {int(b): w for a, b, w in zip(ones, others, weights, strict=True) if a == 0}
    assert first == {apart: pytest.approx(apart**-0.5) for apart in range(1, WINDOW + 1)}


def test_users_do_not_mix_and_unknown_items_make_no_pair():
    ones, *_ = pairs_of(np.array([0, 0, 1]), np.array([0, -1, 1]), np.arange(3))
    assert not len(ones)


def test_half_as_much_after_each_half_life():
    counts = PairCounts(half_life=3_600.0)
    counts.add(1, [0], 0)
    counts.add(2, [0], HOUR)
    # 0's neighbours: 1 an hour older than 2, so 1/3 against 2/3.
    assert table(counts)[0, 1:3] == pytest.approx([1 / 3, 2 / 3])


def test_years_of_events_stay_finite():
    counts = PairCounts(half_life=3_600.0)
    for year in range(5):
        counts.add(year % 2, [2], year * 8_766 * HOUR)
    assert table(counts)[2, :2] == pytest.approx([1.0, 0.0])


history = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 5)), max_size=40)


@given(history, st.sampled_from([7_200.0, math.inf]), st.integers(0, 40))
def test_all_at_once_equals_one_by_one_equals_half_and_half(events, half_life, cut):
    users = np.array([user for user, _ in events], np.int64)
    items = np.array([item for _, item in events], np.int64)
    times = np.arange(len(events)) * HOUR
    at_once, by_one, both = (PairCounts(half_life) for _ in range(3))
    if len(events):
        at_once.add_all(*pairs_of(users, items, times))
    recent: dict[int, list[int]] = {}
    early = users[:cut], items[:cut], times[:cut]
    if len(events) and cut:
        both.add_all(*pairs_of(*early))
    for place, (user, item) in enumerate(events):
        before = recent.setdefault(user, [])
        by_one.add(item, before, int(times[place]))
        if place >= cut:
            both.add(item, before, int(times[place]))
        before.insert(0, item)
    np.testing.assert_allclose(table(by_one), table(at_once), atol=1e-12)
    np.testing.assert_allclose(table(both), table(at_once), atol=1e-12)


def test_what_is_taken_back_was_never_there():
    counts = PairCounts(half_life=math.inf)
    counts.add(1, [0, 2], 0)
    counts.add(3, [0], 0)
    counts.add(3, [0], 0, sign=-1.0)
    assert table(counts)[0] == pytest.approx([0, 1, 0, 0, 0, 0])


def test_many_at_a_time_lie_beside_far_more_and_count_the_same() -> None:
    random = np.random.default_rng(0)
    users, items = np.repeat(np.arange(300), 20), random.integers(0, 40, 6_000)
    times = np.tile(np.arange(20), 300) * HOUR
    at_once, by_part = PairCounts(7_200.0), PairCounts(7_200.0)
    at_once.add_all(*pairs_of(users, items, times))
    edges = [0, 5_000, *range(5_020, 6_001, 20)]  # a user at a time after the first 250
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = slice(start, stop)
        by_part.add_all(*pairs_of(users[part], items[part], times[part]))
    assert by_part._runs
    np.testing.assert_allclose(table(by_part, 40), table(at_once, 40), atol=1e-12)
    by_part.freeze()
    assert not by_part._runs
    np.testing.assert_allclose(table(by_part, 40), table(at_once, 40), atol=1e-12)


def test_what_lies_beside_goes_into_a_copy_and_comes_back_merged() -> None:
    random = np.random.default_rng(1)
    users, items = np.repeat(np.arange(300), 20), random.integers(0, 40, 6_000)
    times = np.tile(np.arange(20), 300) * HOUR
    at_once, by_part = PairCounts(7_200.0), PairCounts(7_200.0)
    at_once.add_all(*pairs_of(users, items, times))
    frozen = None
    for start, stop in ((0, 5_400), (5_400, 5_440), (5_440, 5_460), (5_460, 5_980), (5_980, 6_000)):
        if start == 5_460:
            frozen = by_part.freeze()
            assert len(frozen.runs) > 0
        part = slice(start, stop)
        by_part.add_all(*pairs_of(users[part], items[part], times[part]))
    assert frozen is not None
    merged = frozen.merged()
    assert not merged.runs and len(merged.keys) >= len(frozen.keys)
    by_part.fold(frozen, merged)
    np.testing.assert_allclose(table(by_part, 40), table(at_once, 40), atol=1e-12)
    by_part.freeze()
    by_part.freeze()  # the copy before never came back
    np.testing.assert_allclose(table(by_part, 40), table(at_once, 40), atol=1e-12)
