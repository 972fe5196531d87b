"""Leaders: the few cells of a block that can be among the best k of their row, found in one pass.

The items of a row are dealt into groups, as in `recency.ranking.topk`; only groups whose maximum
reaches the k-th best of the maxima are looked into. What is found is to be scored more exactly, so
cells a little below the k-th best are given too.
"""

import numpy as np
import numpy.typing as npt

from recency.errors import DataError
from recency.ranking.ranks import Ints

Cells = npt.NDArray[np.floating]

_GROUPS = 1_024  # groups a row, about
_SMALLEST = 32  # items a group


def leaders(
    values: Cells,
    k: int,
    shares: Cells | float = 1.0,
    least: float = float(np.finfo(np.float32).min),
    spare: Cells | float = 0.0,
) -> tuple[Ints, Ints]:
    """Find the cells that nearly reach the k-th best of their row.

    Args:
        values: [m, n].
        k: At least 1.
        shares: Of the k-th best that are enough, [m] or one for all; below 1 only where what counts
            is above 0.
        least: What does not lie above it is never found; by default, -inf.
        spare: How far below it is near enough, [m] or one for all.

    Returns:
        Rows, ascending, and columns, in no order: all cells that reach so much, and few others.

    Raises:
        DataError: a value is NaN.
    """
    m, n = values.shape
    size = max(_SMALLEST, n // _GROUPS)
    n_groups = n // size
    if n_groups < 2 * k:
        reached = _reached(values, k, shares, spare)
        rows, columns = np.nonzero((values >= reached[:, None]) & (values > least))
        return rows.astype(np.int64), columns.astype(np.int64)
    dealt = values[:, : n_groups * size].reshape(m, size, n_groups)
    maxima = dealt.max(axis=1)
    reached = _reached(maxima, k, shares, spare)
    rows, groups = np.nonzero((maxima >= reached[:, None]) & (maxima > least))
    cells = dealt[rows, :, groups]
    hit, place = np.nonzero((cells >= reached[rows, None]) & (cells > least))
    rows, columns = rows[hit], place * n_groups + groups[hit]
    if n_groups * size < n:
        rest = values[:, n_groups * size :]
        more, place = np.nonzero((rest >= reached[:, None]) & (rest > least))
        rows = np.concatenate((rows, more))
        columns = np.concatenate((columns, place + n_groups * size))
        order = np.argsort(rows, kind="stable")
        rows, columns = rows[order], columns[order]
    return rows, columns


def _reached(values: Cells, k: int, shares: Cells | float, spare: Cells | float) -> Cells:
    """Give what at least k cells of each row reach, and a little less."""
    n = values.shape[1]
    if np.isnan(values).any():
        raise DataError(f"{int(np.isnan(values).any(axis=1).sum())} rows of scores hold NaN.")
    if k >= n:
        return np.full(len(values), -np.inf)
    reached: Cells = np.partition(values, n - k, axis=1)[:, n - k] * shares - spare
    return reached


def ranked(
    rows: Ints, columns: Ints, scores: Cells, shape: tuple[int, int]
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """List the best of some cells; ties go to the smaller column.

    Args:
        rows: [c] ascending.
        columns: [c].
        scores: [c]; -inf is never listed.
        shape: Rows, and most columns a list.

    Returns:
        Columns, -1 where there are fewer, and scores, -inf there; both of the shape.
    """
    listed = scores > -np.inf
    rows, columns, scores = rows[listed], columns[listed], scores[listed]
    order = np.lexsort((columns, -scores, rows))
    ordered = rows[order]
    place = np.arange(len(rows)) - np.searchsorted(ordered, np.arange(shape[0]))[ordered]
    kept = place < shape[1]
    items = np.full(shape, -1, np.int64)
    values = np.full(shape, -np.inf, np.float32)
    items[ordered[kept], place[kept]] = columns[order][kept]
    values[ordered[kept], place[kept]] = scores[order][kept]
    return items, values
