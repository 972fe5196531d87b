"""Metrics worked by hand: one target, baskets, and every policy for ties."""

from math import log2

import numpy as np
import pytest

from recency.errors import ConfigError
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import Ranks, Ties, count_above


def metrics(
    scores: list[float], targets: list[int], k: int, ties: Ties = "mean"
) -> dict[str, float]:
    """Judge one question: scores of all candidates, and the items that were taken."""
    block = np.array([scores], np.float32)
    question = np.zeros(len(targets), np.int64)
    counts = count_above(block, question, np.array(targets))
    found = accuracy_metrics(Ranks.from_counts(*counts, question, 1, ties), k)
    return {name: float(values[0]) for name, values in found.items()}


def at_ranks(ranks: list[int], k: int) -> dict[str, float]:
    """Judge one question whose targets stand at given ranks of ten candidates."""
    return metrics([10.0 - place for place in range(10)], [rank - 1 for rank in ranks], k)


def test_one_target_at_rank_three() -> None:
    assert at_ranks([3], k=5) == pytest.approx(
        {
            "hit@5": 1,
            "recall@5": 1,
            "precision@5": 1 / 5,
            "f1@5": 2 / 6,
            "ndcg@5": 1 / log2(4),
            "mrr@5": 1 / 3,
            "map@5": 1 / 3,
            "accuracy@1": 0,
        }
    )


def test_one_target_beyond_the_list() -> None:
    assert set(at_ranks([6], k=5).values()) == {0.0}
    assert at_ranks([5], k=5)["mrr@5"] == pytest.approx(1 / 5)


def test_a_basket_of_three() -> None:
    assert at_ranks([1, 3, 7], k=5) == pytest.approx(
        {
            "hit@5": 1,
            "recall@5": 2 / 3,
            "precision@5": 2 / 5,
            "f1@5": 2 * 2 / (5 + 3),
            "ndcg@5": (1 + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)),
            "mrr@5": 1,
            "map@5": (1 / 1 + 2 / 3) / 3,
            "accuracy@1": 1,
        }
    )


def test_a_basket_larger_than_the_list() -> None:
    found = at_ranks([1, 2, 5], k=2)
    assert found["ndcg@2"] == pytest.approx(1)  # nothing better fits into two places
    assert found["recall@2"] == pytest.approx(2 / 3)
    assert found["precision@2"] == pytest.approx(1)
    assert found["map@2"] == pytest.approx((1 + 1) / 3)


def test_a_tie_of_two_takes_the_mean_the_worst_or_the_best() -> None:
    scores, target = [3.0, 2.0, 2.0, 1.0], [1]  # the target is second or third
    mean = metrics(scores, target, 2)
    assert mean["recall@2"] == pytest.approx(1 / 2)
    assert mean["mrr@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert mean["ndcg@2"] == pytest.approx(1 / log2(3) / 2)
    assert metrics(scores, target, 3)["mrr@3"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert metrics(scores, target, 3, "worst")["mrr@3"] == pytest.approx(1 / 3)
    assert metrics(scores, target, 3, "best")["mrr@3"] == pytest.approx(1 / 2)


def test_two_targets_in_a_tie_of_three() -> None:
    """They stand at {1, 2}, {1, 3} or {2, 3}, each as likely."""
    scores, targets = [1.0, 1.0, 1.0, 0.0], [0, 1]
    mean = metrics(scores, targets, 2)
    assert mean["hit@2"] == pytest.approx(1)
    assert mean["recall@2"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert mean["mrr@2"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert mean["map@2"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert mean["accuracy@1"] == pytest.approx(2 / 3)
    worst, best = (metrics(scores, targets, 2, ties) for ties in ("worst", "best"))
    assert (worst["mrr@2"], worst["recall@2"]) == pytest.approx((1 / 2, 1 / 2))
    assert (best["mrr@2"], best["recall@2"]) == pytest.approx((1, 1))


def test_a_constant_score_gets_what_chance_gets() -> None:
    found = metrics([0.0] * 50, [17], 10)
    assert found["recall@10"] == pytest.approx(10 / 50)
    assert found["accuracy@1"] == pytest.approx(1 / 50)
    assert found["mrr@10"] == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 50)
    assert found["ndcg@10"] == pytest.approx(sum(1 / log2(1 + rank) for rank in range(1, 11)) / 50)
    assert set(metrics([0.0] * 50, [17], 10, "worst").values()) == {0.0}
    assert metrics([0.0] * 50, [17], 10, "best")["accuracy@1"] == 1


@pytest.mark.parametrize("ties", ["mean", "worst", "best"])
def test_what_is_not_recommended_is_missed_and_pushes_nothing_else_back(ties: Ties) -> None:
    assert set(metrics([-np.inf, 1.0], [0], 10, ties).values()) == {0.0}
    found = metrics([5.0, -np.inf, 1.0], [0, 1], 1, ties)
    assert found["accuracy@1"] == found["mrr@1"] == 1
    assert found["recall@1"] == pytest.approx(1 / 2)


def test_a_target_without_scores_above_it_is_not_pushed_back_by_one_nobody_can_reach() -> None:
    """What is no candidate keeps counts of 0, as evaluation leaves them."""
    for ties, rank in (("mean", 1), ("worst", 1), ("best", 1)):
        ranks = Ranks.from_counts(
            np.array([0, 0]), np.array([1, 0]), np.array([0, 0]), 1, ties  # type: ignore[arg-type]  # a str of TIES
        )  # fmt: skip
        assert ranks.mean.tolist() == [rank, np.inf]


def test_a_question_without_a_target_has_no_number() -> None:
    ranks = Ranks.from_counts(np.array([0]), np.array([1]), np.array([1]), 2)
    for values in accuracy_metrics(ranks, 3).values():
        assert np.isnan(values[0]) and values[1] > 0


def test_the_share_of_ties_and_an_unknown_policy() -> None:
    question = np.array([0, 1])
    ranks = Ranks.from_counts(np.array([0, 0]), np.array([1, 4]), question, 2)
    assert ranks.tied_share == 0.5 and ranks.mean.tolist() == [1, 2.5] and len(ranks) == 2
    with pytest.raises(ConfigError, match=r"expected ties as one of mean, worst, best, found 'x'"):
        Ranks.from_counts(question, question, question, 2, "x")  # type: ignore[arg-type]  # on purpose
