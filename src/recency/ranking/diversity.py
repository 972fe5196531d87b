"""Diversity: lists whose items differ, and that do not hold too many of one category.

Maximal marginal relevance takes items one by one, each time the one that is best among those left:

    argmax_{i in R \\ S}  l * relevance(i) - (1 - l) * max_{j in S} similarity(i, j)

R are the candidates, S those taken. Relevance is the score, scaled so that the candidates' lowest
is 0 and their highest 1. At l = 1 the order is that of the scores.

Source:
    Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering Documents and
    Producing Summaries, SIGIR 1998 (the formula in section 2).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recency.ranking.ranks import Scores

Floats = npt.NDArray[np.float32]
Categories = Sequence[tuple[str, ...]]


class Arranger:
    """Take items from candidates one by one.

    Args:
        scores: [m] finite, descending.
        relevance_weight: The l of the formula, in [0, 1].
        likeness: Of the candidates; None at l = 1.
        categories: [m] of each candidate; empty where ``most`` is None.
        most: Most items of one category in the list; None for any number. An item of several
            categories counts for each.
    """

    def __init__(
        self,
        scores: Scores,
        relevance_weight: float = 1.0,
        likeness: "Likeness | None" = None,
        categories: Categories = (),
        most: int | None = None,
    ) -> None:
        low, high = (scores[-1], scores[0]) if len(scores) else (0.0, 1.0)
        self._relevance = relevance_weight * (scores - low) / max(high - low, 1e-12)
        self._weight, self._likeness = 1 - relevance_weight, likeness
        self._nearest = np.full(len(scores), -np.inf)  # to what was taken
        self._left = np.ones(len(scores), dtype=bool)
        self._categories, self._most = categories, most
        self._counts: Counter[str] = Counter()

    def fits(self, categories: Sequence[str]) -> bool:
        """Tell whether the list may hold one more item of these categories."""
        return self._most is None or all(self._counts[one] < self._most for one in categories)

    def count(self, categories: Sequence[str]) -> None:
        """Take note of an item that came into the list in another way."""
        self._counts.update(categories)

    def leave_out(self, place: int) -> None:
        """Do not take the candidate at a place."""
        self._left[place] = False

    def next(self) -> int:
        """Take a candidate and give its place; -1 where none fits any more."""
        while self._left.any():
            place = self._best()
            self._left[place] = False
            if self._most is None:
                self._take(place)
                return place
            if self.fits(self._categories[place]):
                self.count(self._categories[place])
                self._take(place)
                return place
        return -1

    def _best(self) -> int:
        if self._likeness is None or not self._weight:
            return int(np.argmax(self._left))  # the first one left
        taken = np.where(np.isneginf(self._nearest), 0.0, self._nearest)
        worth = np.where(self._left, self._relevance - self._weight * taken, -np.inf)
        return int(np.argmax(worth))

    def _take(self, place: int) -> None:
        if self._likeness is not None and self._weight:
            self._nearest = np.maximum(self._nearest, self._likeness.to(place))


class Likeness:
    """Measure how alike candidates are, for one of them at a time.

    Args:
        vectors: [m, dim] of length 1; a row of zeros for an item that has none.
        categories: [m]; where one of a pair has no vector, the share of categories that both have
            among those that any of them has stands for the cosine.
    """

    def __init__(self, vectors: Floats, categories: Categories) -> None:
        self._vectors = vectors
        self._bare = ~np.asarray(vectors.any(axis=1))
        names = {name: n for n, name in enumerate({one for row in categories for one in row})}
        self._has = np.zeros((len(categories), len(names) if self._bare.any() else 0), np.float32)
        if self._bare.any():
            for row, own in enumerate(categories):
                self._has[row, [names[one] for one in own]] = 1
        self._sizes = self._has.sum(axis=1)

    def to(self, place: int) -> Floats:
        """Give how like the candidate at a place each one is: [m] in [-1, 1]."""
        found: Floats = self._vectors @ self._vectors[place]
        if not self._bare.any():
            return found
        both = self._has @ self._has[place]
        overlap = both / np.maximum(self._sizes + self._sizes[place] - both, 1)
        return np.where(self._bare | self._bare[place], overlap, found).astype(np.float32)
