"""Metrics of the lists themselves, whoever the targets are: how broad, how new, how varied, how
popular is what was recommended.

    coverage@k    share of the candidates that stand in at least one list
    novelty@k     mean over the list of -log2(share of the training events that the item has)
    popularity@k  mean over the list of the share of training items that are less popular, ties half
    diversity@k   mean over the pairs of the list of 1 - cosine(a, b)

An item without a training event counts as if it had one, so that its novelty is finite. Items are
vectors of the training users who took them (1 where a user has the item), or of their categories.

Source:
    Vargas and Castells, Rank and Relevance in Novelty and Diversity Metrics for Recommender
    Systems, RecSys 2011 (novelty as self-information; intra-list diversity).
"""

from typing import TYPE_CHECKING

import numpy as np

from recency.ranking.ranks import Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_PRODUCTS = 20_000_000  # multiplications of sparse rows at once: bounds the memory of a product


def coverage(lists: Ints, n_candidates: int) -> float:
    """Give the share, in [0, 1], of the candidates that stand in at least one list.

    Args:
        lists: [n, k] item rows, -1 where a list is shorter.
        n_candidates: Items that could be recommended.
    """
    return len(np.unique(lists[lists >= 0])) / n_candidates if n_candidates else 0.0


def novelty(lists: Ints, counts: Ints) -> Floats:
    """Measure the mean self-information of each list's items in bits, [n]; NaN for an empty list.

    Args:
        lists: [n, k] item rows, -1 where a list is shorter.
        counts: [n_items] training events of each item.
    """
    share = np.maximum(counts, 1) / max(int(counts.sum()), 1)
    return _mean_over_list(lists, -np.log2(share))


def popularity_percentile(lists: Ints, counts: Ints) -> Floats:
    """Measure how popular each list is, [n] in [0, 1]; about 0.5 for items drawn blindly.

    Args:
        lists: [n, k] item rows, -1 where a list is shorter.
        counts: [n_items] training events of each item; items without any have percentile 0.
    """
    ordered = np.sort(counts[counts > 0])
    below = np.searchsorted(ordered, counts, "left")
    level = np.searchsorted(ordered, counts, "right")
    return _mean_over_list(lists, (below + level) / 2 / max(len(ordered), 1))


def diversity(lists: Ints, vectors: "csr_matrix") -> Floats:
    """Measure the mean distance 1 - cosine between the items of each list, [n] in [0, 1].

    Exact: every pair that occurs is computed, once. An item without a vector is at distance 1 from
    all. NaN for a list of fewer than two items.

    Args:
        lists: [n, k] item rows, -1 where a list is shorter.
        vectors: [n_items, n_features] sparse, non-negative; see the module for which.
    """
    k = lists.shape[1]
    different, which = np.unique(lists, axis=0, return_inverse=True)
    left, right = np.triu_indices(k, 1)
    a, b = different[:, left], different[:, right]
    real = (a >= 0) & (b >= 0)
    low, high = np.minimum(a, b)[real].astype(np.int64), np.maximum(a, b)[real]
    pairs, place = np.unique(low * vectors.shape[0] + high, return_inverse=True)
    similar = np.zeros(real.shape)
    similar[real] = _cosines(vectors, *np.divmod(pairs, max(vectors.shape[0], 1)))[place]
    n_pairs = real.sum(axis=1)
    distance = np.full(len(different), np.nan)
    np.divide(n_pairs - similar.sum(axis=1), n_pairs, out=distance, where=n_pairs > 0)
    return distance[which.ravel()]


def _mean_over_list(lists: Ints, values: Floats) -> Floats:
    real = lists >= 0
    size = real.sum(axis=1)
    mean = np.full(len(lists), np.nan)
    total = np.where(real, values[lists], 0.0).sum(axis=1)  # -1 reads a value that is not used
    np.divide(total, size, out=mean, where=size > 0)
    return mean


def _cosines(vectors: "csr_matrix", a: Ints, b: Ints) -> Floats:
    """Give the cosine of each pair of rows; pairs ascend by ``a``, then ``b``."""
    from scipy import sparse

    used = np.unique(np.concatenate([a, b]))
    rows = sparse.csr_matrix(vectors[used], dtype=np.float64)
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    rows = sparse.diags(1 / np.maximum(norms, np.finfo(float).tiny)) @ rows
    a, b = np.searchsorted(used, a), np.searchsorted(used, b)
    turned = rows.T.tocsr()
    # One row of the product costs, for each of its features, the length of that feature's column.
    work = np.cumsum(rows.astype(bool) @ np.diff(turned.indptr))
    found = np.empty(len(a))
    start = 0
    while start < len(used):
        stop = int(np.searchsorted(work, (work[start - 1] if start else 0) + _PRODUCTS)) + 1
        product = (rows[start:stop] @ turned).tocsr()
        part = slice(*np.searchsorted(a, [start, stop]))
        found[part] = np.asarray(product[a[part] - start, b[part]]).ravel()
        start = stop
    return found
