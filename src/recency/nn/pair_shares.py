"""PairShares: which items go with an item, as shares, looked up once and kept while nothing moves.

What people take mostly is asked about all the time, and its rows are the longest. A row is kept
until an event moves it, and the oldest rows give way when there are too many.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.data.pairs import PairCounts

Doubles = npt.NDArray[np.float64]
Row = tuple[Ints, Doubles, Doubles]  # other items [m], shares [half-lives, m], known [half-lives]

_MOST = 2**21  # shares kept, of one half-life


class PairShares:
    """Give items beside items at several half-lives.

    Args:
        pairs: Counts of the same pairs, one a half-life.
    """

    def __init__(self, pairs: Sequence[PairCounts]) -> None:
        self._pairs = pairs
        self._rows: dict[int, Row] = {}
        self._n_kept = 0

    def rows(self, items: Iterable[int]) -> dict[int, Row]:
        """Give for each item the others beside it, each maybe more than once, and their shares.

        A half-life's shares sum to 1, or to 0 where nothing is known; ``known`` tells which, as 1
        and 0.
        """
        asked = set(items)
        missing = [one for one in asked if one not in self._rows]
        found = dict(zip(missing, self._counted(missing), strict=True)) if missing else {}
        rows = {one: found[one] if one in found else self._rows[one] for one in asked}
        for one, row in found.items():
            self._rows[one] = row
            self._n_kept += len(row[0])
        while self._n_kept > _MOST:
            self.forget([next(iter(self._rows))])
        return rows

    def forget(self, items: Iterable[int]) -> None:
        """Look items up anew when they are next asked about."""
        for one in items:
            if (row := self._rows.pop(one, None)) is not None:
                self._n_kept -= len(row[0])

    def clear(self) -> None:
        """Look everything up anew."""
        self._rows, self._n_kept = {}, 0

    def _counted(self, items: list[int]) -> list[Row]:
        by_half_life = [pairs.rows(items) for pairs in self._pairs]
        return [_row(list(found)) for found in zip(*by_half_life, strict=True)]


def _row(found: list[tuple[list[tuple[Ints, Doubles]], float]]) -> Row:
    """Join one item's counts at all half-lives; their parts name the same items."""
    totals = np.array([total for _, total in found])
    known = (totals > 0).astype(np.float64)
    if not known.any():
        return np.empty(0, np.int64), np.empty((len(found), 0)), known
    columns = np.concatenate([others for others, _ in found[0][0]])
    counts = np.stack([np.concatenate([part for _, part in parts]) for parts, _ in found])
    counts *= (known / np.where(totals > 0, totals, 1.0))[:, None]
    return columns, counts, known
