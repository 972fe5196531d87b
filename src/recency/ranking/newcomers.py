"""Newcomers: items that were described, and that no weight knows.

They were described after the weights were learned, or had no event to learn from. Perhaps no event
names them yet, but people can be shown them at once: the chance of a newcomer is at least that of
an item picked blindly from its categories, the mean over their learned items; with no category,
over all learned items. Means are taken of at most `SAMPLE`
items of a category, spread evenly over its items in the order in which they joined; of a shortlist,
over all items of the category, of which those not among the first `RELATIVES` count as nothing.
"""

import numpy as np
import numpy.typing as npt

from recency.data.appearances import Appearances
from recency.data.histories import Ints, ragged_positions
from recency.data.shelf import Shelf
from recency.ranking.filters import Mask
from recency.ranking.pool import Pool
from recency.ranking.ranks import Scores

SAMPLE = 256
RELATIVES = 256  # candidates of a shortlist from which the chances of categories are told
_JOINING = 256  # newcomers that may join a shortlist
Floats = npt.NDArray[np.float64]


class Newcomers:
    """Follow a shelf, and score those of its items that were not learned.

    Args:
        shelf: Describes items.
        n_learned: Items with weights: the first rows of the vocabulary.
        appearances: Count the events of items.
    """

    def __init__(self, shelf: Shelf, n_learned: int, appearances: Appearances) -> None:
        self.shelf, self.n_learned, self.appearances = shelf, n_learned, appearances
        self._read = -1  # how much of what the shelf was told since; -1 before all that it knows
        self._groups: dict[tuple[str, ...], int] = {}
        self._rows: Ints = np.empty(0, np.int64)  # ascending, whenever each was described
        self._group_of: Ints = np.empty(0, np.int64)
        self._members = self._rows, self._rows  # learned items, ascending, and a category of each
        self._counts: Ints = np.empty(0, np.int64)  # of learned items of each category
        self._sample: Ints = np.empty(0, np.int64)
        self._starts: Ints = np.empty(0, np.int64)
        self._sizes: Ints = np.empty(0, np.int64)
        self._shares: Floats = np.empty((0, 0))

    def __len__(self) -> int:
        self._catch_up()
        return int(self._unlearned(self._rows).sum())

    def join(self, pool: Pool, allowed: Mask | None) -> None:
        """Let newcomers score as their categories do, where they do not score more already.

        Args:
            pool: Of n lists.
            allowed: [n_items] what may be given at all; None for all.
        """
        self._catch_up()
        rows = self._rows
        kept = self._unlearned(rows)
        if allowed is not None:
            kept &= allowed[rows]
        rows, groups = rows[kept], self._group_of[kept]
        if not len(rows):
            return
        scores = self._of_groups(pool)[:, groups]
        if pool.items is not None and len(rows) > _JOINING:
            first = np.sort(np.argsort(-scores.max(axis=0), kind="stable")[:_JOINING])
            rows, scores = rows[first], scores[:, first]
        pool.raise_to(rows, scores)

    def _of_groups(self, pool: Pool) -> Scores:
        """Give the score of each group of categories in each list: [n, groups]."""
        # Of a shortlist always as many, so that the answer does not hang on how long it is.
        asked = pool.scores[:, self._sample] if pool.items is None else pool.scores[:, :RELATIVES]
        natural = asked / pool.unit[:, None]
        highest = natural.max(axis=1, keepdims=True, initial=-np.inf)
        highest = np.where(np.isfinite(highest), highest, 0)
        chances = np.exp(natural - highest)
        if pool.items is None:
            means = np.add.reduceat(chances, self._starts, axis=1) / self._sizes
        else:
            means = self._means(pool.items[:, :RELATIVES], chances)
        with np.errstate(divide="ignore"):
            logs = (np.log(means @ self._shares) + highest) * pool.unit[:, None]
        return self._at_least(np.round(logs, 6).astype(np.float32), pool)

    def _means(self, items: Ints, chances: Floats) -> Floats:
        """Give the mean chance of each category's items [n, parts] from shortlists [n, m]."""
        rows, parts = self._members
        start = np.searchsorted(rows, items.ravel(), "left")
        counts = np.searchsorted(rows, items.ravel(), "right") - start
        n_parts = len(self._counts)
        lists = np.repeat(np.arange(items.size) // items.shape[1], counts)
        places = lists * n_parts + parts[ragged_positions(start, counts)]
        weights = np.repeat(chances.ravel(), counts)
        sums = np.zeros(len(items) * n_parts)
        np.add.at(sums, places, weights)
        by_part = sums.reshape(-1, n_parts)
        # The first part is all learned items; what is listed of them stands for them.
        by_part[:, 0] = np.where(items < self.n_learned, chances, 0).sum(axis=1)
        found: Floats = by_part / self._counts
        return found

    def _at_least(self, logs: Scores, pool: Pool) -> Scores:
        """Let those of whom nothing can be said come last, and not be lost."""
        silent = np.isneginf(logs)
        if silent.any():
            known = np.where(np.isfinite(pool.scores), pool.scores, np.inf)
            lowest = known.min(axis=1, initial=np.inf)
            last = np.where(np.isfinite(lowest), lowest - 1, 0).astype(np.float32)
            logs = np.where(silent, last[:, None], logs)
        return logs

    def _unlearned(self, rows: Ints) -> Mask:
        """Mark the rows without weights, or without an event from which weights learn."""
        counts = self.appearances.counts(len(self.shelf))
        found: Mask = (rows >= self.n_learned) | (counts[rows] == 0)
        return found

    def _catch_up(self) -> None:
        told = self.shelf.touched[max(self._read, 0) :]
        if self._read < 0:
            told = self.shelf.described(0)
        if not told:
            return
        self._read = len(self.shelf.touched)
        rows = np.unique(np.array(told, np.int64))
        fresh = rows[self._unlearned(rows)]
        before = len(self._groups)
        # A learned item that changed may stand for other categories now.
        moved = before > 0 and bool((rows < self.n_learned).any())
        groups = []
        for row in fresh.tolist():
            own = tuple(sorted(set(self.shelf.categories_of(row))))
            groups.append(self._groups.setdefault(own, len(self._groups)))
        same = ~np.isin(self._rows, fresh)
        joined = np.concatenate((self._rows[same], fresh))
        order = np.argsort(joined, kind="stable")
        self._rows = joined[order]
        self._group_of = np.concatenate((self._group_of[same], np.array(groups, np.int64)))[order]
        if moved or len(self._groups) > before:
            self._take_samples()

    def _take_samples(self) -> None:
        """Choose the items whose mean stands for each category, and each group's share in them."""
        names = sorted({name for group in self._groups for name in group})
        parts = [np.arange(max(1, self.n_learned))]  # for those without a learned relative
        column = {}
        for name in names:
            members = self.shelf.members(name)
            if len(known := members[members < self.n_learned]):
                column[name] = len(parts)
                parts.append(known)
        self._counts = np.array([len(one) for one in parts])
        rows = np.concatenate([parts[0][:0], *parts[1:]])
        order = np.argsort(rows, kind="stable")
        of_category = np.repeat(np.arange(1, len(parts)), self._counts[1:])
        self._members = rows[order], of_category[order]
        spread = [_spread(one) for one in parts]
        self._sample = np.concatenate(spread)
        self._sizes = np.array([len(one) for one in spread])
        self._starts = np.append(0, np.cumsum(self._sizes)[:-1])
        self._shares = np.zeros((len(parts), len(self._groups)))
        for group, place in self._groups.items():
            columns = [column[name] for name in group if name in column] or [0]
            self._shares[columns, place] = 1 / len(columns)


def _spread(rows: Ints) -> Ints:
    """Take at most `SAMPLE` rows, evenly spread."""
    step = max(1, -(-len(rows) // SAMPLE))
    return rows[::step]
