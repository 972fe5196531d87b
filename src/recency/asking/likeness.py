"""Likeness: items like an item, by what people do with them or by what they are; items by words."""

from typing import Literal

import numpy as np

from recency.asking.live_answers import Floats, Live
from recency.content.adaptor import Adaptor
from recency.content.item_words import ItemWords, Spoken
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, UnknownIdError

By = Literal["behaviour", "content", "both"]
WAYS: tuple[By, ...] = ("behaviour", "content", "both")


def alike(live: Live, adaptor: Adaptor | None, item: Id, by: By) -> Floats:
    """Compare an item with all others: [1, items known], -inf for itself and what is not known.

    Args:
        live: Knows behaviour.
        adaptor: Knows content; None where nothing does.
        item: Id.
        by: What is compared.

    Raises:
        ConfigError: there is no such way, or the model knows nothing of what items are.
        UnknownIdError: the item has no vector.
    """
    if by not in WAYS:
        raise ConfigError(f"by: expected one of {', '.join(WAYS)}, found {by!r}.")
    items = live.vocabs.items
    row = items.row(items.coerce(item))
    if by == "behaviour":
        return _behaviour(live, item, row)
    found = _content(_known(adaptor), items, item, row)
    if by == "content" or not _learned(live, row):
        return found
    other = live.cosines(row)
    both = np.isfinite(found) & np.isfinite(other)
    return np.where(both, (found + other) / 2, np.maximum(found, other))


def by_words(adaptor: Adaptor | None, items: Vocab, words: str | Spoken) -> Floats:
    """Compare words with the texts of all items: [1, items known], -inf for items without any.

    Raises:
        ConfigError: the model knows no texts, or their encoder is missing or another one.
        DataError: there are no words.
    """
    adaptor = _known(adaptor)
    if isinstance(words, str):
        words = ItemWords(adaptor.features.sources).of_words(words)
    return adaptor.near_words(words, items)


def _behaviour(live: Live, item: Id, row: int) -> Floats:
    if not _learned(live, row):
        seen = "was never seen" if row < 0 else "was seen only after the model learned"
        raise UnknownIdError(
            f"item {item!r} has no vector: it {seen}; learn from events on it first (partial_fit)."
        )
    return live.cosines(row)


def _learned(live: Live, row: int) -> bool:
    """Tell whether an item's row has weights; -1, of an unknown one, has none."""
    return bool(live.vectors(np.array([row])).any())


def _content(adaptor: Adaptor, items: Vocab, item: Id, row: int) -> Floats:
    if row < 0 or not adaptor.knows(item):
        raise UnknownIdError(
            f"item {item!r} is known by nothing but its events: nothing of its text, categories or "
            f"price is; describe it first (add_items, PUT /v1/items)."
        )
    found = adaptor.near(item, items)
    found[0, row] = -np.inf
    return found


def _known(adaptor: Adaptor | None) -> Adaptor:
    if adaptor is None:
        raise ConfigError(
            "the model knows items by their events alone; fit it with content=Content(...)."
        )
    return adaptor
