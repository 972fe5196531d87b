"""Metrics of foretold baskets: is what they hold on top of the list, and are the chances true?

A question is a user's basket; what it held are its targets, all other items known are not. Lists
are measured as `recency.ranking.metrics` has it, chances over all pairs of basket and item as
`recency.evaluation.chances` has it. Nearly all pairs are of items that are not held, so compare a
log-loss with that of another way to tell the same baskets, not with one of another question.
"""

import numpy as np
import numpy.typing as npt

from recency.errors import DataError
from recency.evaluation.chances import log_losses, reliability
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import Ranks, count_above

Floats = npt.NDArray[np.float64]


def basket_metrics(chance: npt.ArrayLike, held: npt.ArrayLike, k: int = 10) -> dict[str, float]:
    """Measure foretold baskets against what they held.

    Args:
        chance: [n, m] of each of m items to be in each of n baskets; NaN where an item is no
            candidate.
        held: [n, m] 0 or 1, or booleans.
        k: Length of the lists.

    Returns:
        Means over baskets that held a candidate of ``hit@k``, ``recall@k``, ``precision@k``,
        ``f1@k``, ``ndcg@k``, ``mrr@k``, ``map@k``; ``log_loss`` and ``ece`` over all candidates;
        ``log_loss_of_baskets``, nats a basket; and ``rate``, the share of candidates held.

    Raises:
        DataError: shapes differ, nothing is to be measured, or something is no chance.
    """
    found = {name: float(np.nanmean(one)) for name, one in list_metrics(chance, held, k).items()}
    p, y = np.asarray(chance), np.asarray(held)
    there = ~np.isnan(p)
    losses = log_losses(p[there], y[there])
    return found | {
        "log_loss": float(losses.mean()),
        "log_loss_of_baskets": float(losses.sum() / len(p)),
        "ece": reliability(p[there], y[there]).error,
        "rate": float(y[there].mean()),
    }


def list_metrics(chance: npt.ArrayLike, held: npt.ArrayLike, k: int = 10) -> dict[str, Floats]:
    """Measure the list of each basket: [n] values a metric, NaN where it held no candidate.

    Raises:
        DataError: shapes differ, or there is no basket.
    """
    p, y = np.asarray(chance, np.float32), np.asarray(held).astype(bool)
    if p.ndim != 2 or p.shape != y.shape or not p.size:
        raise DataError(
            f"expected chances and what was held of the same baskets and items, in tables of one "
            f"shape, found {p.shape} and {y.shape}."
        )
    scores = np.where(np.isnan(p), np.float32(-np.inf), p)
    rows, items = np.nonzero(y & np.isfinite(scores))
    if not len(rows):
        raise DataError("expected baskets that hold a candidate, found none.")
    ranks = Ranks.from_counts(*count_above(scores, rows, items), rows, len(p))
    return accuracy_metrics(ranks, k)
