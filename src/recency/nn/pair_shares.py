"""PairShares: which items go with an item, looked up once and kept while events move them.

What people take mostly is asked about all the time, and its rows are the longest. Events that come
one at a time are noted with the rows that they move, and brought in when these are next asked for;
many at once have their rows looked up anew. The rows that nobody has asked for longest give way
when there are too many.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.data.pairs import PairCounts, Part

Doubles = npt.NDArray[np.float64]

_MOST = 2**22  # counts kept, of one half-life
_ROOM = 16  # counts that a row may grow by, and a quarter more, before it is looked up anew


class Row(NamedTuple):
    """Hold what goes with one item.

    Attributes:
        others: [m] items, each maybe more than once.
        counts: [half-lives, m].
        scale: [half-lives] makes shares of counts, which sum to 1; 0 where nothing is known.
    """

    others: Ints
    counts: Doubles
    scale: Doubles

    @property
    def shares(self) -> Doubles:
        """Give the share of each count, [half-lives, m]."""
        return self.counts * self.scale[:, None]

    @property
    def known(self) -> Doubles:
        """Tell which half-lives know anything, as 1 and 0."""
        return (self.scale > 0).astype(np.float64)


class _Kept:
    """Keep a row with room to grow in, and the pairs that are still to be brought in."""

    __slots__ = ("_counts", "_others", "late", "row", "size", "totals")

    def __init__(self, found: Sequence[tuple[list[Part], float]]) -> None:
        self.late: list[tuple[int, int, int]] = []  # other item, events apart, microseconds
        n = sum(len(others) for others, _ in found[0][0])
        self.size = n + n // 4 + _ROOM
        self._others = np.empty(self.size, np.int64)
        self._counts = np.empty((len(found), self.size))
        start = 0
        for parts in zip(*(parts for parts, _ in found), strict=True):
            stop = start + len(parts[0][0])
            self._others[start:stop] = parts[0][0]
            for row, (_, weights) in zip(self._counts, parts, strict=True):
                row[start:stop] = weights
            start = stop
        self.totals = np.array([total for _, total in found])
        self.row = self._row(n)

    @property
    def is_full(self) -> bool:
        """Tell whether what came late is more than there is room for."""
        return len(self.row.others) + len(self.late) > self.size

    def bring_in(self, others: Ints, counts: Doubles) -> None:
        """Put counts [half-lives, m] behind those that are here."""
        start = len(self.row.others)
        stop = start + len(others)
        self._others[start:stop] = others
        self._counts[:, start:stop] = counts
        self.totals += counts.sum(axis=1)
        self.late = []
        self.row = self._row(stop)

    def _row(self, n: int) -> Row:
        known = self.totals > 0
        scale = known / np.where(known, self.totals, 1.0)
        return Row(self._others[:n], self._counts[:, :n], scale)


class PairShares:
    """Give items beside items at several half-lives.

    Args:
        pairs: Counts of the same pairs, one a half-life.
    """

    def __init__(self, pairs: Sequence[PairCounts]) -> None:
        self._pairs = pairs
        self._half_lives = np.array([[one.half_life] for one in pairs])
        self._references: list[int | None] = []  # instants to which kept counts are decayed
        self._kept: dict[int, _Kept] = {}
        self._n_kept = 0

    def rows(self, items: Iterable[int]) -> dict[int, Row]:
        """Give for each item the others beside it, and their counts."""
        self._follow()
        asked, known = dict.fromkeys(items), self._kept
        moved = [one for one in asked if one in known and known[one].late]
        self.forget([one for one in moved if known[one].is_full])
        self._bring_in([known[one] for one in moved if one in known])
        missing = [one for one in asked if one not in known]
        looked_up = (pairs.rows(missing) for pairs in self._pairs)
        for one, *found in zip(missing, *looked_up, strict=True):
            known[one] = _Kept(found)
            self._n_kept += known[one].size
        rows = {}
        for one in asked:
            kept = known[one] = known.pop(one)  # behind all others
            rows[one] = kept.row
        while self._n_kept > _MOST:
            self.forget([next(iter(known))])
        return rows

    def add(self, item: int, before: Sequence[int], time: int) -> None:
        """Note an event that the pairs have just counted; see `PairCounts.add`."""
        self._follow()
        known, own = self._kept, self._kept.get(item)
        for apart, other in enumerate(before, start=1):
            if other < 0 or item < 0 or other == item:
                continue
            if own is not None:
                own.late.append((other, apart, time))
            if (kept := known.get(other)) is not None:
                kept.late.append((item, apart, time))

    def forget(self, items: Iterable[int]) -> None:
        """Look items up anew when they are next asked about."""
        for one in items:
            if (kept := self._kept.pop(one, None)) is not None:
                self._n_kept -= kept.size

    def clear(self) -> None:
        """Look everything up anew."""
        self._kept, self._n_kept = {}, 0

    def _follow(self) -> None:
        """Forget all where counts are decayed to another instant than those kept."""
        references = [one.reference for one in self._pairs]
        if references != self._references:
            self.clear()
            self._references = references

    def _bring_in(self, moved: Sequence[_Kept]) -> None:
        """Count what was noted with some rows."""
        if not moved:
            return
        late = [cell for kept in moved for cell in kept.late]
        others, apart, times = np.array(late, np.int64).T
        references = np.array(self._references)[:, None]
        counts = np.exp2((times - references) / 1e6 / self._half_lives) * apart**-0.5
        stop = 0
        for kept in moved:
            start, stop = stop, stop + len(kept.late)
            kept.bring_in(others[start:stop], counts[:, start:stop])
