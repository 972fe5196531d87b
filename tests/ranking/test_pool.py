"""A pool of all items and a pool of shortlists that hold all items obey rules alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.histories import Histories
from recency.ranking.pool import Pool

N = 6
scores_ = st.lists(
    st.lists(st.one_of(st.integers(-3, 3), st.just(-np.inf)), min_size=N, max_size=N),
    min_size=1,
    max_size=3,
)


def both(scores: list[list[float]]) -> tuple[Pool, Pool]:
    dense = np.array(scores, np.float32)
    order = np.argsort(-dense, axis=1, kind="stable")
    items = np.where(np.isneginf(np.take_along_axis(dense, order, 1)), -1, order)
    return Pool(dense.copy()), Pool(np.take_along_axis(dense, order, 1), items)


def alike(one: Pool, other: Pool) -> None:
    items, values = one.best(N)
    found = other.best(N)
    np.testing.assert_array_equal(found[0], items)
    np.testing.assert_array_equal(found[1], values)


@given(scores_, st.lists(st.booleans(), min_size=N, max_size=N), st.integers(0, N - 1))
def test_a_shortlist_of_everything_is_everything(scores, allowed, item) -> None:
    for change in (
        lambda pool: pool.keep(np.array(allowed)),
        lambda pool: pool.weigh(np.arange(N, dtype=np.float32)),
        lambda pool: pool.weigh_row(0, np.array([item, (item + 2) % N]), np.array([-2.0, 1.0])),
        lambda pool: pool.drop(
            Histories(np.array([0, *[1] * len(scores)]), np.array([item], np.int32), np.array([0]))
        ),
        lambda pool: pool.raise_to(np.array([item]), np.full((len(scores), 1), 2.0, np.float32)),
    ):
        dense, short = both(scores)
        change(dense)
        change(short)
        alike(dense, short)


@pytest.mark.parametrize("n_events", [2, 10_000, 50_000])
def test_what_was_had_leaves_a_shortlist_however_long_the_history(n_events) -> None:
    """The first list's owner had items 7 and 2, and one that nobody knows; the second's nothing."""
    items = np.tile(np.array([2, 5, 9, 7, 1, -1]), (2, 1))
    pool = Pool(np.tile(np.array([6, 5, 4, 3, 2, -np.inf], np.float32), (2, 1)), items)
    had = np.tile(np.array([7, 2], np.int32), n_events // 2)
    had = np.append(had, np.int32(-1))
    pool.drop(Histories(np.array([0, len(had), len(had)]), had, np.arange(len(had))))
    assert pool.best(4)[0].tolist() == [[5, 9, 1, -1], [2, 5, 9, 7]]


def test_a_unit_scales_what_weighs_in() -> None:
    pool = Pool(np.zeros((2, 2), np.float32), unit=np.array([1, 2], np.float32))
    pool.weigh(np.array([0, 1], np.float32))
    pool.weigh_row(1, np.array([0]), np.array([-1], np.float32))
    assert pool.scores.tolist() == [[0, 1], [-2, 2]]


def test_the_score_of_an_item_that_is_no_candidate() -> None:
    pool = Pool(np.array([[5.0]], np.float32), np.array([[3]]))
    assert pool.score_of(0, 3) == 5 and pool.score_of(0, 1) == -np.inf
