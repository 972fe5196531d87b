"""Pool: what may come into lists, with scores: every item, or a shortlist for each list.

Rules change scores before the best are taken. They are written once, for both kinds of pool.
"""

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories
from recency.ranking.filters import Mask, drop_history, keep_items
from recency.ranking.ranks import Ints, Scores
from recency.ranking.topk import top_k

_FEW = 65_536  # comparisons, up to which they cost less than a table does to set up


class Pool:
    """Hold the candidates of n lists.

    Args:
        scores: [n, m], written to; -inf for what cannot be given.
        items: [n, m] item rows, -1 where a list has fewer; None where column j is item j.
        unit: [n] what one natural logarithm of a chance counts in each row's scores.

    Attributes:
        scores: As given; rules change them in place.
        items: As given.
    """

    def __init__(self, scores: Scores, items: Ints | None = None, unit: Scores | None = None):
        self.scores, self.items = scores, items
        self.unit = np.ones(len(scores), np.float32) if unit is None else unit

    def __len__(self) -> int:
        return len(self.scores)

    def weigh(self, logs: Scores) -> None:
        """Multiply the chances of items.

        Args:
            logs: [n_items] natural logarithm of each item's factor.
        """
        if self.items is None:
            self.scores += self.unit[:, None] * logs
        else:
            self.scores += self.unit[:, None] * np.append(logs, np.float32(0))[self.items]

    def weigh_row(self, row: int, items: Ints, logs: Scores) -> None:
        """Multiply the chances of a few items in one list.

        Args:
            row: Of the list.
            items: [j] item rows, each once.
            logs: [j] natural logarithm of each one's factor.
        """
        if self.items is None:
            self.scores[row, items] += self.unit[row] * logs
            return
        order = np.argsort(items)
        ordered = items[order]
        place = np.minimum(np.searchsorted(ordered, self.items[row]), len(items) - 1)
        same = ordered[place] == self.items[row]
        self.scores[row, same] += self.unit[row] * logs[order[place[same]]]

    def raise_to(self, items: Ints, scores: Scores) -> None:
        """Let items score at least so much: those that were not among the candidates join.

        Args:
            items: [j] item rows.
            scores: [n, j].
        """
        if self.items is None:
            self.scores[:, items] = np.maximum(self.scores[:, items], scores)
            return
        joining = scores.astype(np.float32)
        for row, own in enumerate(self.items):
            there = np.isin(items, own)
            for place in np.flatnonzero(there):
                at = own == items[place]
                self.scores[row, at] = np.maximum(self.scores[row, at], scores[row, place])
            joining[row, there] = -np.inf
        self.items = np.concatenate((self.items, np.broadcast_to(items, scores.shape)), axis=1)
        self.scores = np.concatenate((self.scores, joining), axis=1)

    def keep(self, allowed: Mask) -> None:
        """Refuse all other items; ``allowed`` is [n_items]."""
        if self.items is None:
            keep_items(self.scores, allowed)
        else:
            self.scores[~np.append(allowed, False)[self.items]] = -np.inf

    def drop(self, seen: Histories) -> None:
        """Refuse each list the items of its own history; ``seen`` holds n."""
        if self.items is None:
            drop_history(self.scores, seen, seen.offsets[:-1], seen.offsets[1:])
            return
        for row in range(len(self)):
            own = seen.items[seen.offsets[row] : seen.offsets[row + 1]]
            self.scores[row, _among(self.items[row], own)] = -np.inf

    def best(self, m: int) -> tuple[Ints, Scores]:
        """Give the m best of each list: rows [n, m], -1 where there are fewer, and scores.

        Ties go to the smaller item row.
        """
        if self.items is None:
            return top_k(self.scores, m)
        items = np.where(np.isneginf(self.scores), -1, self.items)
        order = np.lexsort((items, -self.scores), axis=1)[:, :m]
        found = np.take_along_axis(items, order, axis=1)
        values = np.take_along_axis(self.scores, order, axis=1)
        short = m - found.shape[1]
        if short > 0:
            found = np.pad(found, ((0, 0), (0, short)), constant_values=-1)
            values = np.pad(values, ((0, 0), (0, short)), constant_values=-np.inf)
        return found, values

    def score_of(self, row: int, item: int) -> float:
        """Give an item's score in one list; -inf where it is no candidate."""
        if self.items is None:
            return float(self.scores[row, item])
        at = np.flatnonzero(self.items[row] == item)
        return float(self.scores[row, at[0]]) if len(at) else -np.inf


def _among(items: Ints, own: npt.NDArray[np.integer]) -> Mask:
    """Tell which items are among others; where both are few, each is held against each."""
    if len(items) * len(own) > _FEW:
        return np.isin(items, own)
    found: Mask = (items[:, None] == own).any(axis=1)
    return found
