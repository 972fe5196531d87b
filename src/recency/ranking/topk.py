"""The best k of each row of scores, exactly, in one order: by score, then by item row.

Sorting or partitioning a whole row costs far more than finding the few items that can matter. Here
the items of a row are dealt into groups; the k-th best of the groups' maxima is a score that at
least k items reach, so only those that reach it are sorted.
"""

import numpy as np

from recency.errors import ConfigError, DataError
from recency.ranking.ranks import Ints, Scores

_CELLS = 2**20  # scores looked at together
_GROUP = 64  # items a group


def top_k(scores: Scores, k: int) -> tuple[Ints, Scores]:
    """List the k items of highest score of each row; ties go to the smaller item row.

    Args:
        scores: [m, n_items]; -inf is never listed.
        k: Length of the lists, at least 1; it may be more than there are items.

    Returns:
        Items [m, k], -1 where there are fewer than k, and their scores [m, k], -inf there.

    Raises:
        ConfigError: k is below 1.
        DataError: a score is NaN.
    """
    if k < 1:
        raise ConfigError(f"expected k of at least 1, found {k}.")
    items = np.full((len(scores), k), -1, np.int64)
    values = np.full((len(scores), k), -np.inf, np.float32)
    step = max(1, _CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        _fill(scores[part], items[part], values[part])
    return items, values


def _fill(scores: Scores, items: Ints, values: Scores) -> None:
    m, n = scores.shape
    k = items.shape[1]
    threshold = _reached_by(scores, min(k, n)) if n else np.empty(m, np.float32)
    # -inf itself must stay out, so the threshold is at least the lowest finite score.
    threshold = np.maximum(threshold, np.finfo(np.float32).min)
    found = np.flatnonzero(scores >= threshold[:, None])
    rows, columns = np.divmod(found, max(n, 1))
    reached = scores[rows, columns]
    order = np.lexsort((-reached, rows))  # stable: ties keep ascending columns
    rows = rows[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, np.arange(m))[rows]
    kept = place < k
    items[rows[kept], place[kept]] = columns[order][kept]
    values[rows[kept], place[kept]] = reached[order][kept]


def _reached_by(scores: Scores, k: int) -> Scores:
    """Give a score [m] that at least k items of each row reach, and few more than k."""
    m, n = scores.shape
    n_groups = n // _GROUP
    if n_groups < 2 * k:
        maxima = scores
    else:
        dealt = scores[:, : n_groups * _GROUP].reshape(m, _GROUP, n_groups)
        maxima = np.concatenate([dealt.max(axis=1), scores[:, n_groups * _GROUP :]], axis=1)
    # A maximum is NaN if any of its items is.
    if np.isnan(maxima).any():
        raise DataError(f"{int(np.isnan(scores).any(axis=1).sum())} rows of scores hold NaN.")
    place = maxima.shape[1] - k
    return np.partition(maxima, place, axis=1)[:, place]
