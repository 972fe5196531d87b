"""Metrics of baskets are those of scikit-learn, and of lists by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, ndcg_score, precision_score, recall_score

from recency.errors import DataError
from recency.evaluation.baskets import basket_metrics, list_metrics


@pytest.fixture
def told() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    chances = rng.random((40, 25))
    return chances, rng.random(chances.shape) < chances**2


def test_they_are_those_of_scikit_learn(told):
    chances, held = told
    found = basket_metrics(chances, held, k=5)
    listed = np.argsort(np.argsort(-chances, axis=1), axis=1) < 5
    for name, judge in (("recall", recall_score), ("precision", precision_score), ("f1", f1_score)):
        assert found[f"{name}@5"] == pytest.approx(judge(held, listed, average="samples"))
    assert found["ndcg@5"] == pytest.approx(ndcg_score(held, chances, k=5))
    assert found["log_loss"] == pytest.approx(log_loss(held.ravel(), chances.ravel()))
    assert found["log_loss_of_baskets"] == pytest.approx(25 * found["log_loss"])
    assert found["rate"] == held.mean()


def test_items_that_are_no_candidates_count_nowhere(told):
    chances, held = told
    chances[:, 20:] = np.nan
    found = basket_metrics(chances, held, k=5)
    without = basket_metrics(chances[:, :20], held[:, :20], k=5)
    assert found == pytest.approx(without)


def test_true_chances_have_no_calibration_error_and_shifted_ones_have():
    rng = np.random.default_rng(1)
    chances = rng.random((400, 50)) * 0.5
    held = rng.random(chances.shape) < chances
    assert basket_metrics(chances, held)["ece"] < 0.02
    assert basket_metrics(chances + 0.2, held)["ece"] == pytest.approx(0.2, abs=0.01)


def test_a_basket_of_which_nothing_was_known_is_no_question_for_lists():
    held = np.array([[True, False], [False, False]])
    found = list_metrics(np.array([[0.9, 0.1], [0.5, 0.4]]), held, k=1)
    assert found["recall@1"][0] == 1 and np.isnan(found["recall@1"][1])


def test_what_cannot_be_measured_is_said():
    with pytest.raises(DataError, match=r"one shape, found \(2, 3\) and \(2, 2\)"):
        basket_metrics(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(DataError, match="expected baskets that hold a candidate, found none"):
        basket_metrics(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(DataError, match="expected chances in"):
        basket_metrics(np.full((1, 2), 1.5), np.ones((1, 2)))
