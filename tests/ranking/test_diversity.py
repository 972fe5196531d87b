"""Lists whose items differ: MMR by hand, its limits, and the most of a category."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.ranking.diversity import Arranger, Likeness


def order(arranger: Arranger, k: int) -> list[int]:
    found: list[int] = []
    while len(found) < k and (place := arranger.next()) >= 0:
        found.append(place)
    return found


def test_mmr_by_hand() -> None:
    # Relevance 1, 0.9, 0; 0 and 1 are all but the same, 2 is as far from 0 as can be. At l = 0.5,
    # after 0: item 1 is worth 0.45 - 0.5 * 0.8 = 0.05, item 2 is worth 0 - 0.5 * -1 = 0.5. At
    # l = 0.9 they are worth 0.81 - 0.08 and 0.1.
    alike = Likeness(np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32), [(), (), ()])
    scores = np.array([10, 9, 0], np.float32)
    assert order(Arranger(scores, 0.5, alike), 3) == [0, 2, 1]
    assert order(Arranger(scores, 0.9, alike), 3) == [0, 1, 2]


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_at_one_the_order_is_that_of_the_scores(scores: list[float], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(scores), 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ordered = np.sort(np.array(scores, np.float32))[::-1]
    arranger = Arranger(ordered, 1.0, Likeness(vectors, [()] * len(scores)))
    assert order(arranger, len(scores)) == list(range(len(scores)))


def test_at_zero_the_next_is_the_least_alike() -> None:
    angles = np.array([0.0, 0.1, 0.2, 3.1])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    arranger = Arranger(np.array([4, 3, 2, 1], np.float32), 0.0, Likeness(vectors, [()] * 4))
    assert order(arranger, 2) == [0, 3]


@given(
    st.lists(st.sets(st.sampled_from("abc"), max_size=2), min_size=1, max_size=12),
    st.integers(1, 3),
)
def test_no_category_comes_more_often_than_it_may(categories: list[set[str]], most: int) -> None:
    rows = [tuple(sorted(one)) for one in categories]
    scores = np.arange(len(rows), 0, -1).astype(np.float32)
    taken = order(Arranger(scores, categories=rows, most=most), len(rows))
    for name in "abc":
        assert sum(name in rows[place] for place in taken) <= most
    for place in set(range(len(rows))) - set(taken):  # what was left out had to be
        assert any(sum(name in rows[one] for one in taken) == most for name in rows[place])
    assert taken == sorted(taken)


def test_without_vectors_categories_tell_what_is_alike() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    found = Likeness(vectors, [("a", "b"), ("c",), ("b", "c")])
    assert found.to(0) == pytest.approx([1, 1, 1 / 3])
    assert found.to(2) == pytest.approx([1 / 3, 1 / 2, 1])
    assert Likeness(np.zeros((2, 3), np.float32), [(), ()]).to(1).tolist() == [0, 0]


def test_equal_scores_keep_their_order() -> None:
    alike = Likeness(np.eye(3, dtype=np.float32), [()] * 3)
    assert order(Arranger(np.ones(3, np.float32), 0.7, alike), 3) == [0, 1, 2]
    assert order(Arranger(np.empty(0, np.float32)), 3) == []
