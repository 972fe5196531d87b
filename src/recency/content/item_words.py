"""Item words: texts of items, and of people who search, as vectors of the kind a model knows.

Encoding takes milliseconds a text and needs nothing of the model but its sources, so it is done
apart from it, in whatever thread has time; only what comes out is given to the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recency.content.encoding import encode_texts
from recency.content.item_texts import item_texts, readable
from recency.content.item_vectors import ItemVectors
from recency.content.text_source import TextSource
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spoken:
    """Hold words as a vector.

    Attributes:
        name: Of the vectors that it can be compared with.
        vector: [1, dim] as the encoder gave it.
    """

    name: str
    vector: Floats


class ItemWords:
    """Encode words as a model's text vectors were encoded.

    Args:
        sources: Of the model's text vectors, by their name.
        cache: Folder to keep vectors of items in; None keeps none.
    """

    def __init__(self, sources: Mapping[str, TextSource], cache: str | Path | None = None) -> None:
        self.sources, self.cache = dict(sources), cache

    def of_items(self, catalogue: Catalogue) -> list[ItemVectors]:
        """Encode the words of items: one entry a source; an item without words has no vector.

        Raises:
            ConfigError: an encoder is missing, or is another one than it was.
        """
        found = []
        for name, source in self.sources.items():
            if not set(source.columns) & set(catalogue.frame.columns):
                continue
            texts = item_texts(catalogue, source.columns)
            vectors = encode_texts(texts.texts, source.encoder(), self.cache)
            vectors[[not text for text in texts.texts]] = np.nan
            found.append(ItemVectors(texts.ids, vectors, name, source))
        return found

    def of_words(self, words: str) -> Spoken:
        """Encode what somebody searches for.

        Raises:
            DataError: there are no words.
            ConfigError: the model knows no texts, or its encoder is missing or another one.
        """
        text = readable(words)
        if not text:
            raise DataError(f"expected words to search for, found {words!r}.")
        if not self.sources:
            raise ConfigError(
                "the model knows no texts of items to search in; fit it with content= of "
                "ItemVectors.of_texts, or with recency fit --text minilm --items FILE."
            )
        name, source = next(iter(self.sources.items()))
        return Spoken(name, source.encoder().encode([text]))

    def warm(self) -> None:
        """Load the encoders, so that the first text does not wait for them."""
        for source in self.sources.values():
            source.encoder().encode(["warm"])
