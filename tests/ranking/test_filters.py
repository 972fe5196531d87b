"""Filters: what they refuse, and what they leave as it was."""

import numpy as np

from recency.data.histories import Histories
from recency.ranking.filters import drop_history, drop_unavailable, keep_items


def block(n_rows: int = 3, n_items: int = 4) -> np.ndarray:
    return np.arange(n_rows * n_items, dtype=np.float32).reshape(n_rows, n_items)


def refused(scores: np.ndarray) -> list[list[int]]:
    """List the items of -inf by row; the others must be as they were."""
    lost = scores == -np.inf
    assert (scores[~lost] == block(*scores.shape)[~lost]).all()
    return [np.flatnonzero(row).tolist() for row in lost]


def test_only_allowed_items_are_kept() -> None:
    scores = block()
    keep_items(scores, np.array([True, False, True, False]))
    assert refused(scores) == [[1, 3]] * 3
    scores = block()
    keep_items(scores, np.ones(4, bool))
    assert refused(scores) == [[]] * 3


def test_each_row_loses_the_items_of_its_own_history() -> None:
    histories = Histories(
        offsets=np.array([0, 3, 5]),
        items=np.array([0, 0, 2, -1, 9], np.int32),  # unknown, and beyond the scores
        times=np.arange(5),
    )
    scores = block()
    drop_history(scores, histories, np.array([0, 0, 3]), np.array([3, 1, 5]))
    assert refused(scores) == [[0, 2], [0], []]


def test_an_item_may_be_offered_from_its_opening_and_not_at_its_closing() -> None:
    opens, closes = np.array([0, 5, 0, 0]), np.array([100, 100, 6, 100])
    scores = block()
    drop_unavailable(scores, opens, closes, np.array([4, 5, 6]))
    assert refused(scores) == [[1], [], [2]]
    empty = block(0)
    drop_unavailable(empty, opens, closes, np.array([], np.int64))
    assert empty.shape == (0, 4)
