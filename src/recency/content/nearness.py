"""Nearness: which items are alike, or like some words, by what is known of them.

Items alike are compared by their features: whitened, so that no direction counts for more than
another. Few numbers are enough to learn from, but not to search in, so the vectors of texts are
kept as their encoder gave them too, in 16 bits; from them the mean over items is taken off, which
says "this is a title" and no more.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recency.content.item_vectors import ItemVectors
from recency.data.histories import Ints
from recency.data.vocab import Vocab

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
_AT_ONCE = 65_536  # rows brought to 32 bits together


class TextIndex:
    """Keep the vectors of texts, as encoded, for searches.

    Args:
        vectors: By their name: [items, dim]; zeros where an item has no text.
    """

    def __init__(self, vectors: Mapping[str, Halves]) -> None:
        self.vectors = dict(vectors)

    @classmethod
    def of(cls, vectors: Sequence[ItemVectors], items: Vocab) -> "TextIndex":
        """Keep those of some vectors that were made of words, in the order of items."""
        made = [one for one in vectors if one.source is not None]
        return cls({one.name: _halves(one.aligned(items)) for one in made})

    def put(self, vectors: ItemVectors, items: Vocab) -> None:
        """Take in texts of all items that are described, in the place of what was there."""
        self.vectors[vectors.name] = _halves(vectors.aligned(items))

    def take_in(self, vectors: Sequence[ItemVectors], items: Vocab, rows: Ints) -> None:
        """Take in the texts of the items at ``rows``; what was known of them goes.

        Args:
            vectors: Of some of these items.
            items: All that are described, in order, new ones at the end.
            rows: [n].
        """
        given = {one.name: one for one in vectors}
        for name, kept in self.vectors.items():
            wide = np.zeros((len(items) - len(kept), kept.shape[1]), np.float16)
            table = np.concatenate((kept, wide))
            table[rows] = 0
            if name in given:
                one = given[name]
                told = items.rows([items.coerce(item) for item in one.ids])
                table[told] = _halves(one.vectors)
            self.vectors[name] = table

    def cosines(self, name: str, target: Floats, mean: Floats) -> Floats:
        """Give the cosine of each item's text with a vector [1, dim]: [items], -inf without text.

        Args:
            name: Of the vectors.
            target: As encoded.
            mean: [dim] taken off both.
        """
        table = self.vectors[name]
        parts = [
            _centred(table[start : start + _AT_ONCE].astype(np.float32), mean, target[0])
            for start in range(0, len(table), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


class Places:
    """Tell where described items stand in another vocabulary; both only ever grow."""

    def __init__(self) -> None:
        self._of: tuple[Vocab | None, int, int] = (None, 0, 0)
        self._rows: Ints = np.empty(0, np.int64)

    def spread(self, found: Floats, described: Vocab, items: Vocab) -> Floats:
        """Bring numbers of described items [len(described)] into the order of ``items``.

        Returns:
            [1, len(items)], -inf where an item is not described.
        """
        now = (items, len(described), len(items))
        if self._of[0] is not items or self._of[1:] != now[1:]:
            self._of, self._rows = now, items.rows(described.ids)
        spread = np.full((1, len(items)), -np.inf, np.float32)
        spread[0, self._rows[self._rows >= 0]] = found[self._rows >= 0]
        return spread


def cosines(features: Floats, target: Floats) -> Floats:
    """Give the cosine in [-1, 1] of each row with a target [width]: [n].

    It is -inf for rows of zeros, of which nothing is known, and for all if the target is zero.
    """
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(target)
    found = np.full(len(features), -np.inf, np.float32)
    there = lengths > 0
    found[there] = (features[there] @ target) / lengths[there]
    return found


def _centred(rows: Floats, mean: Floats, target: Floats) -> Floats:
    there = rows.any(1)
    found = cosines(rows - mean, target - mean)
    found[~there] = -np.inf
    return found


def _halves(vectors: Floats) -> Halves:
    return np.nan_to_num(vectors).astype(np.float16)
