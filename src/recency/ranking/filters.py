"""Filters: which cells of a block of scores may be recommended. They write -inf, in place."""

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories, ragged_positions
from recency.ranking.ranks import Ints, Scores

Mask = npt.NDArray[np.bool_]


def keep_items(scores: Scores, allowed: Mask) -> None:
    """Allow only some items, the same for every row.

    Args:
        scores: [m, n_items], written to.
        allowed: [n_items].
    """
    refused = np.flatnonzero(~allowed)
    if len(refused):
        scores[:, refused] = -np.inf


def drop_history(scores: Scores, histories: Histories, starts: Ints, stops: Ints) -> None:
    """Refuse each row the items of its own history.

    Args:
        scores: [m, n_items], written to.
        histories: Rows of the same items; unknown ones are passed over.
        starts: [m] first position of each row's history.
        stops: [m] position after its last event.
    """
    lengths = stops - starts
    items = histories.items[ragged_positions(starts, lengths)]
    rows = np.repeat(np.arange(len(scores)), lengths)
    known = (items >= 0) & (items < scores.shape[1])
    scores[rows[known], items[known]] = -np.inf


def drop_unavailable(scores: Scores, opens: Ints, closes: Ints, at: Ints) -> None:
    """Refuse each row the items that may not be offered at the row's instant.

    Args:
        scores: [m, n_items], written to.
        opens: [n_items] instant from which each item may be offered, microseconds.
        closes: [n_items] instant from which it may no more.
        at: [m] instant of each row.
    """
    if not len(at):
        return
    # Most items may be offered all the time; only the others are looked at row by row.
    some = np.flatnonzero((opens > at.min()) | (closes <= at.max()))
    if len(some):
        shut = (opens[some][None, :] > at[:, None]) | (closes[some][None, :] <= at[:, None])
        row, column = np.nonzero(shut)
        scores[row, some[column]] = -np.inf
