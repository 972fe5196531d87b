"""Metrics of lists, by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recency.ranking import lists as measured
from recency.ranking.lists import coverage, diversity, novelty, popularity_percentile

LISTS = np.array([[0, 1], [1, -1], [-1, -1]])


def test_coverage_counts_each_item_once() -> None:
    assert coverage(LISTS, 4) == 2 / 4
    assert coverage(LISTS, 0) == 0.0
    assert coverage(np.array([[-1]]), 4) == 0.0


def test_novelty_is_the_mean_self_information() -> None:
    found = novelty(LISTS, np.array([4, 2, 2]))  # shares 1/2, 1/4, 1/4: 1, 2 and 2 bits
    assert found[:2].tolist() == [1.5, 2.0] and np.isnan(found[2])
    unseen = novelty(np.array([[1]]), np.array([4, 0]))
    assert unseen.tolist() == [2.0]  # as if it had one event of four


def test_popularity_is_a_percentile_of_the_training_items() -> None:
    counts = np.array(
        [9, 1, 1, 0]
    )  # of three items, two are below the first, none below the others
    found = popularity_percentile(np.array([[0], [1], [3], [-1]]), counts)
    assert found[:3].tolist() == pytest.approx([2.5 / 3, 1 / 3, 0])
    assert np.isnan(found[3])


def vectors() -> csr_matrix:
    """Cosines: 0 with 1 is 1/√2, 2 is a stranger to both, 3 has no vector."""
    return csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], np.float32))


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    near = 1 - 1 / np.sqrt(2)
    asked = np.array([[0, 1, 2], [1, 0, -1], [3, 1, 2], [2, -1, -1], [1, 0, -1]])
    found = diversity(asked, vectors())
    assert found[[0, 1, 2, 4]] == pytest.approx([(near + 1 + 1) / 3, near, 1, near])
    assert np.isnan(found[3])
    assert np.isnan(diversity(np.array([[0], [1]]), vectors())).all()


def test_diversity_is_the_same_in_many_small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = csr_matrix((rng.random((30, 12)) < 0.3).astype(np.float32))
    asked = np.stack([rng.choice(30, 5, replace=False) for _ in range(20)])
    dense = table.toarray()
    unit = dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    left, right = np.triu_indices(5, 1)
    expected = [(1 - (unit @ unit.T)[one[left], one[right]]).mean() for one in asked]
    assert diversity(asked, table) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr(measured, "_PRODUCTS", 1)
    assert diversity(asked, table) == pytest.approx(expected, abs=1e-6)
