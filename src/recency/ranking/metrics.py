"""Accuracy metrics of ranks: one number a question, exact under ties.

With T targets of a question, r_1 < … < r_T their ranks and h = #{t: r_t <= k}:

    hit@k        1 if h > 0
    recall@k     h / T
    precision@k  h / k
    f1@k         2 h / (k + T), the harmonic mean of precision and recall
    ndcg@k       sum of 1 / log2(1 + r_t) over r_t <= k, divided by the best such sum of T targets
    mrr@k        1 / r_1 if r_1 <= k
    map@k        sum of (targets at ranks <= r_t) / r_t over r_t <= k, divided by T
    accuracy@1   1 if r_1 = 1

With one target a question, hit equals recall and map equals mrr. Under ``ties="mean"`` each number
is the exact mean over all orders of the tied items, none is drawn.

Source:
    McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in the
    Presence of Tied Scores, ECIR 2008, sections 2.2 to 2.6.
    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002 (NDCG).
"""

from dataclasses import dataclass

import numpy as np

from recency.ranking.ranks import Floats, Ints, Ranks


def accuracy_metrics(ranks: Ranks, k: int) -> dict[str, Floats]:
    """Compute every accuracy metric of each question at one cut-off.

    Args:
        ranks: Targets of n questions.
        k: Length of the list, at least 1.

    Returns:
        Metric name, such as ``"ndcg@10"``, to [n_questions] values in [0, 1]; NaN for a question
        without a target.
    """
    found = {
        "hit": hit(ranks, k),
        "recall": recall(ranks, k),
        "precision": precision(ranks, k),
        "f1": f1(ranks, k),
        "ndcg": ndcg(ranks, k),
        "mrr": mrr(ranks, k),
        "map": average_precision(ranks, k),
    }
    return {f"{name}@{k}": values for name, values in found.items()} | {"accuracy@1": hit(ranks, 1)}


def hit(ranks: Ranks, k: int) -> Floats:
    """Tell how likely each question's list of k holds a target: 1 or 0 without ties."""
    return _of_first_target(ranks, k, np.ones(k))


def recall(ranks: Ranks, k: int) -> Floats:
    """Give the share of each question's targets within rank k."""
    return _ratio(_gain(ranks, np.ones(k)), ranks.n_targets)


def precision(ranks: Ranks, k: int) -> Floats:
    """Give the share of each question's list of k that are targets."""
    return _ratio(_gain(ranks, np.ones(k)), np.where(ranks.n_targets > 0, k, 0))


def f1(ranks: Ranks, k: int) -> Floats:
    """Give the harmonic mean of precision and recall: 2 h / (k + T)."""
    size = np.where(ranks.n_targets > 0, k + ranks.n_targets, 0)
    return _ratio(2 * _gain(ranks, np.ones(k)), size)


def ndcg(ranks: Ranks, k: int) -> Floats:
    """Give the discounted gain of the targets within rank k, as a share of the best possible."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(ranks.n_targets, k)]
    return _ratio(_gain(ranks, discount), best)


def mrr(ranks: Ranks, k: int) -> Floats:
    """Give the reciprocal rank of each question's best target, 0 beyond rank k."""
    return _of_first_target(ranks, k, 1 / np.arange(1, k + 1))


def average_precision(ranks: Ranks, k: int) -> Floats:
    """Give the mean, over a question's targets, of the precision at each one's rank, 0 beyond k."""
    ties = _Ties.of(ranks)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k + 1))])
    low, high = np.minimum(ties.first - 1, k), np.minimum(ties.last, k)
    reciprocals = harmonic[high] - harmonic[low]
    # A place of the tie holds a target with probability m / n; above it stand the targets of higher
    # ties, and of this tie's other m - 1 targets the share of places that lie above.
    others = (ties.n_targets - 1) / np.maximum(ties.size - 1, 1)
    inside = others * (high - low - ties.first * reciprocals)
    gain = ties.n_targets / ties.size * ((ties.n_above + 1) * reciprocals + inside)
    return _ratio(_summed(ties.question, np.where(high > low, gain, 0.0), ranks), ranks.n_targets)


@dataclass(frozen=True)
class _Ties:
    """Hold groups of a question's targets that share a span of ranks, best first.

    Attributes:
        question: Question of the group.
        first: Best rank of the span.
        last: Worst rank of the span.
        n_targets: Targets in the group.
        n_above: Targets of the same question in better groups.
    """

    question: Ints
    first: Ints
    last: Ints
    n_targets: Ints
    n_above: Ints

    @property
    def size(self) -> Ints:
        return self.last - self.first + 1

    @classmethod
    def of(cls, ranks: Ranks) -> "_Ties":
        order = np.lexsort((ranks.first, ranks.question))
        question, first = ranks.question[order], ranks.first[order]
        opens = np.ones(len(order), bool)
        opens[1:] = (np.diff(question) != 0) | (np.diff(first) != 0)
        starts = np.flatnonzero(opens)
        counts = np.diff(np.append(starts, len(order)))
        before = np.concatenate([[0], np.cumsum(ranks.n_targets)])[question[starts]]
        return cls(
            question=question[starts],
            first=first[starts],
            last=ranks.last[order][starts],
            n_targets=counts,
            n_above=starts - before,
        )


def _gain(ranks: Ranks, weights: Floats) -> Floats:
    """Sum, over a question's targets, the mean weight of the ranks that each may take."""
    k = len(weights)
    below = np.concatenate([[0.0], np.cumsum(weights)])
    total = below[np.minimum(ranks.last, k)] - below[np.minimum(ranks.first - 1, k)]
    return _summed(ranks.question, total / (ranks.last - ranks.first + 1), ranks)


def _of_first_target(ranks: Ranks, k: int, weights: Floats) -> Floats:
    """Give the mean weight of the rank of each question's best target, 0 beyond rank k."""
    ties = _Ties.of(ranks)
    top = np.flatnonzero((ties.n_above == 0) & (ties.first <= k))
    first, size, n_targets = ties.first[top], ties.size[top], ties.n_targets[top]
    gain, none_yet = np.zeros(len(top)), np.ones(len(top))
    for step in range(int(np.minimum(size, k).max(initial=0))):
        rank, left = first + step, size - step
        open_ = (rank <= k) & (left > 0) & (none_yet > 0)
        if not open_.any():
            break
        chance = np.where(open_, n_targets / np.maximum(left, 1), 0.0).clip(max=1.0)
        gain += none_yet * chance * weights[np.minimum(rank, k) - 1]
        none_yet *= 1 - chance
    total = np.zeros(ranks.n_questions)
    total[ties.question[top]] = gain
    return np.where(ranks.n_targets > 0, total, np.nan)


def _summed(question: Ints, values: Floats, ranks: Ranks) -> Floats:
    return np.bincount(question, values, ranks.n_questions).astype(np.float64)


def _ratio(values: Floats, by: Floats | Ints) -> Floats:
    ratio = np.full(len(values), np.nan)
    np.divide(values, by, out=ratio, where=by > 0)
    return ratio
