"""Ranks, lists and metrics against slow and plain ones, on drawn scores with many ties."""

from itertools import permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.evaluation.intervals import resample
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import MISS, Ranks, Ties, count_above
from recency.ranking.topk import top_k

SCORE = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
QUICK = settings(max_examples=60, deadline=None)


@st.composite
def asked(draw: st.DrawFn, most_items: int = 5) -> tuple[list[float], list[int]]:
    """Draw scores of a few candidates, and one or more of them as targets."""
    scores = draw(st.lists(SCORE, min_size=1, max_size=most_items))
    targets = draw(st.lists(st.integers(0, len(scores) - 1), min_size=1, max_size=3, unique=True))
    return scores, targets


def ranks_of(scores: list[float], targets: list[int], ties: Ties = "mean") -> Ranks:
    question = np.zeros(len(targets), np.int64)
    counts = count_above(np.array([scores], np.float32), question, np.array(targets))
    return Ranks.from_counts(*counts, question, 1, ties)


def orders(scores: list[float]) -> list[list[int]]:
    """List every order of the candidates that their scores allow; -inf is in none."""
    real = [item for item, score in enumerate(scores) if score > -np.inf]
    return [
        list(order)
        for order in permutations(real)
        if all(scores[a] >= scores[b] for a, b in zip(order, order[1:], strict=False))
    ]


def naive(order: list[int], targets: list[int], k: int) -> dict[str, float]:
    """Compute the metrics of one order straight from their definitions."""
    hits = [item in targets for item in order[:k]]
    h, n = sum(hits), len(targets)
    best = sum(1 / log2(2 + place) for place in range(min(n, k)))
    gain = sum(1 / log2(2 + place) for place, one in enumerate(hits) if one)
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, one in enumerate(hits) if one]
    return {
        f"hit@{k}": float(h > 0),
        f"recall@{k}": h / n,
        f"precision@{k}": h / k,
        f"f1@{k}": 2 * h / (k + n),
        f"ndcg@{k}": gain / best,
        f"mrr@{k}": 1 / (1 + hits.index(True)) if h else 0.0,
        f"map@{k}": sum(precisions) / n,
        "accuracy@1": float(bool(hits) and hits[0]),
    }


@QUICK
@given(asked(), st.integers(1, 6))
def test_under_mean_ties_each_metric_is_its_mean_over_all_orders(
    question: tuple[list[float], list[int]], k: int
) -> None:
    scores, targets = question
    each = [naive(order, targets, k) for order in orders(scores)]
    for name, values in accuracy_metrics(ranks_of(scores, targets), k).items():
        assert values[0] == pytest.approx(np.mean([one[name] for one in each]), abs=1e-12), name


@QUICK
@given(asked(), st.integers(1, 6))
def test_worst_and_best_are_orders_that_exist_and_frame_the_mean(
    question: tuple[list[float], list[int]], k: int
) -> None:
    scores, targets = question
    each = [naive(order, targets, k) for order in orders(scores)]
    for name, mean in accuracy_metrics(ranks_of(scores, targets), k).items():
        worst = accuracy_metrics(ranks_of(scores, targets, "worst"), k)[name][0]
        best = accuracy_metrics(ranks_of(scores, targets, "best"), k)[name][0]
        assert worst == pytest.approx(min(one[name] for one in each))
        assert best == pytest.approx(max(one[name] for one in each))
        assert worst - 1e-12 <= mean[0] <= best + 1e-12


@QUICK
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10**6))
def test_ranks_are_those_of_a_sort(n_questions: int, n_items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (n_questions, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    question = np.sort(rng.integers(0, n_questions, 8))
    item = rng.integers(0, n_items, 8)
    greater, at_least = count_above(scores, question, item)
    ranks = Ranks.from_counts(greater, at_least, question, n_questions)
    for place, (row, column) in enumerate(zip(question, item, strict=True)):
        own, ordered = scores[row, column], np.sort(scores[row])[::-1].tolist()
        if own == -np.inf:
            assert ranks.first[place] == ranks.last[place] == MISS
        else:
            assert ranks.first[place] == ordered.index(own) + 1
            assert ranks.last[place] == ordered.index(own) + ordered.count(own)


@QUICK
@given(
    st.integers(1, 5),
    st.sampled_from([1, 3, 63, 64, 65, 640, 1_000]),
    st.sampled_from([1, 2, 5, 70]),
    st.sampled_from([2, 50, 10**6]),
    st.integers(0, 10**6),
)
def test_top_k_is_the_head_of_a_stable_sort(
    n_rows: int, n_items: int, k: int, n_levels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_levels, (n_rows, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < rng.random()] = -np.inf
    items, values = top_k(scores, k)
    assert items.shape == values.shape == (n_rows, k)
    for row in range(n_rows):
        order = np.lexsort((np.arange(n_items), -scores[row]))
        order = order[scores[row][order] > -np.inf][:k]
        expected = order.tolist() + [-1] * (k - len(order))
        assert items[row].tolist() == expected
        assert values[row, : len(order)].tolist() == scores[row][order].tolist()
        assert (values[row, len(order) :] == -np.inf).all()


@QUICK
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=30))
def test_an_interval_lies_within_the_values_and_a_model_equals_itself(
    units: list[tuple[int, float]],
) -> None:
    user = np.array([one for one, _ in units])
    values = np.array([value for _, value in units])
    found = resample([values, values], user, 200, seed=1)
    low, high = found.interval(0)
    assert found.means[0] == pytest.approx(values.mean())
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    assert found.difference(0, 1) == (0.0, (0.0, 0.0), 1.0)


def test_metrics_are_those_of_ir_measures() -> None:
    import ir_measures
    from ir_measures import AP, RR, P, R, Success, nDCG

    rng = np.random.default_rng(5)
    n_questions, n_items = 40, 60
    scores = rng.permuted(np.tile(np.arange(n_items), (n_questions, 1)), axis=1)
    block = scores.astype(np.float32)
    targets = [rng.choice(n_items, rng.integers(1, 12), replace=False) for _ in block]
    question = np.repeat(np.arange(n_questions), [len(one) for one in targets])
    counts = count_above(block, question, np.concatenate(targets))
    ranks = Ranks.from_counts(*counts, question, n_questions)
    truth = {str(q): {str(item): 1 for item in one} for q, one in enumerate(targets)}
    run = {
        str(q): {str(item): float(score) for item, score in enumerate(row)}
        for q, row in enumerate(block)
    }
    for k in (1, 5, 10, 20):
        theirs = {
            f"hit@{k}": Success @ k,
            f"recall@{k}": R @ k,
            f"precision@{k}": P @ k,
            f"ndcg@{k}": nDCG @ k,
            f"mrr@{k}": RR @ k,
            f"map@{k}": AP @ k,
        }
        ours = accuracy_metrics(ranks, k)
        named = {measure: name for name, measure in theirs.items()}
        for one in ir_measures.iter_calc(list(theirs.values()), truth, run):
            expected = pytest.approx(one.value, abs=1e-6)
            assert ours[named[one.measure]][int(one.query_id)] == expected, one
