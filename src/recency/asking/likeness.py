"""Likeness: items like an item, by what people do with them or by what they are; items by words."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from recency.asking.live_answers import Floats
from recency.content.adaptor import Adaptor
from recency.content.item_words import ItemWords, Spoken
from recency.data.vocab import Id
from recency.errors import ConfigError, UnknownIdError

if TYPE_CHECKING:
    from recency.asking.asking import Asking

By = Literal["behaviour", "content", "both"]
WAYS: tuple[By, ...] = ("behaviour", "content", "both")


def alike(asking: "Asking", item: Id, by: By) -> Floats:
    """Compare an item with all others: [1, items known], -inf for itself and what is not known.

    Raises:
        ConfigError: there is no such way, or the model knows nothing of what items are.
        UnknownIdError: the item has no vector.
    """
    if by not in WAYS:
        raise ConfigError(f"by: expected one of {', '.join(WAYS)}, found {by!r}.")
    row = asking.items.row(asking.items.coerce(item))
    if by == "behaviour":
        return _behaviour(asking, item, row)
    found = _content(_adaptor(asking), asking, item, row)
    if by == "content" or not _learned(asking, row):
        return found
    other = asking.live.cosines(row)
    both = np.isfinite(found) & np.isfinite(other)
    return np.where(both, (found + other) / 2, np.maximum(found, other))


def by_words(asking: "Asking", words: str | Spoken) -> Floats:
    """Compare words with the texts of all items: [1, items known], -inf for items without any.

    Raises:
        ConfigError: the model knows no texts, or their encoder is missing or another one.
        DataError: there are no words.
    """
    adaptor = _adaptor(asking)
    if isinstance(words, str):
        words = ItemWords(adaptor.features.sources).of_words(words)
    return adaptor.near_words(words, asking.items)


def _behaviour(asking: "Asking", item: Id, row: int) -> Floats:
    if not _learned(asking, row):
        seen = "was never seen" if row < 0 else "was seen only after the model learned"
        raise UnknownIdError(
            f"item {item!r} has no vector: it {seen}; learn from events on it first (partial_fit)."
        )
    return asking.live.cosines(row)


def _learned(asking: "Asking", row: int) -> bool:
    """Tell whether an item's row has weights; -1, of an unknown one, has none."""
    return bool(asking.live.vectors(np.array([row])).any())


def _content(adaptor: Adaptor, asking: "Asking", item: Id, row: int) -> Floats:
    if row < 0 or not adaptor.knows(item):
        raise UnknownIdError(
            f"item {item!r} is known by nothing but its events: nothing of its text, categories or "
            f"price is; describe it first (add_items, PUT /v1/items)."
        )
    found = adaptor.near(item, asking.items)
    found[0, row] = -np.inf
    return found


def _adaptor(asking: "Asking") -> Adaptor:
    if asking.adaptor is None:
        raise ConfigError(
            "the model knows items by their events alone; fit it with content=Content(...)."
        )
    return asking.adaptor
