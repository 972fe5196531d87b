"""Similar items: few, near, counted as the definition says."""

import numpy as np
import pytest

from recency.data.batches import TrainingWindows
from recency.data.histories import UNKNOWN, Histories
from recency.training.similar_items import NEAREST, SimilarItems

DAY = 86_400
MICRO = 1_000_000


def windows_of(*users: list[tuple[int, int]]) -> TrainingWindows:
    """Make windows of (item, day) pairs, a list a user."""
    events = [event for user in users for event in user]
    histories = Histories(
        offsets=np.cumsum([0, *map(len, users)]),
        items=np.array([item for item, _ in events], np.int32),
        times=np.array([day for _, day in events], np.int64) * DAY * MICRO,
    )
    return TrainingWindows(histories, max_len=10)


def test_the_nearest_are_those_of_the_definition():
    windows = windows_of(
        [(0, 0), (1, 1), (2, 2)], [(0, 1), (1, 2), (-1, 2), (3, 2)], [(1, 0), (0, 3)]
    )
    similar = SimilarItems.learned_in(windows, half_life=2 * DAY)
    # Pairs of users 0, 1, 2 with the nearness of their places and the age of the later event.
    old = [2.0 ** -((3 - day) / 2) for day in range(4)]
    weights = np.zeros((4, 4))
    for one, other, weight in (
        (0, 1, old[1]), (1, 2, old[2]), (0, 2, old[2] / np.sqrt(2)),
        (0, 1, old[2]), (1, 3, old[2] / np.sqrt(2)), (0, 3, old[2] / np.sqrt(3)),
        (1, 0, old[3]),
    ):  # fmt: skip
        weights[one, other] += weight
        weights[other, one] += weight
    alike = weights / np.sqrt(weights.sum(0))
    for item in range(4):
        expected = [int(i) for i in np.argsort(-alike[item]) if alike[item, i] > 0]
        found = similar.rows[item]
        assert found[: len(expected)].tolist() == expected
        assert (found[len(expected) :] == UNKNOWN).all()
        assert similar.counts[item] == len(expected)


def test_only_the_nearest_few_are_kept():
    n = 3 * NEAREST
    windows = windows_of([(item, item) for item in range(n)])
    similar = SimilarItems.learned_in(windows, half_life=np.inf)
    assert similar.rows.shape == (n, NEAREST) and similar.counts.max() == NEAREST
    middle = n // 2
    assert set(similar.rows[middle, :2]) == {middle - 1, middle + 1}


def test_draws_are_even_and_an_item_without_any_stays_itself():
    similar = SimilarItems(
        np.array([[1, 2, -1, -1, -1], [-1] * 5, [0, 1, -1, -1, -1]], np.int32), np.array([2, 0, 2])
    )
    drawn = similar.draw(np.repeat([0, 1, 2], 2_000), np.random.default_rng(0)).reshape(3, -1)
    assert (drawn[1] == 1).all() and set(drawn[0]) == {1, 2} and set(drawn[2]) == {0, 1}
    assert (drawn[0] == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_what_comes_after_the_newest_target_is_not_counted():
    windows = windows_of([(0, 0), (1, 1), (2, 5)], [(3, 0)])
    early = TrainingWindows(windows.histories, max_len=10, until=5 * DAY * MICRO)
    similar = SimilarItems.learned_in(early, half_life=np.inf)
    assert similar.counts.tolist() == [1, 1, 0, 0]
