"""Static text encoder: a table of word vectors, for catalogues where seconds matter.

A text's vector is the mean of its tokens' vectors, without a network: far faster than an encoder,
and blind to the order of words. Models are those of the library model2vec.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recency.content.text import Floats, Told
from recency.errors import ConfigError

_BLOCK = 8_192  # texts


class StaticTextEncoder:
    """Encode texts with a model2vec model.

    Args:
        model: Folder or hub id.

    Raises:
        ConfigError: the package or the model is missing.
    """

    def __init__(self, model: str | Path) -> None:
        if find_spec("model2vec") is None:
            raise ConfigError("static vectors need another package: pip install 'recency[text]'.")
        from model2vec import StaticModel

        self.name = str(model)

        try:
            self._model: Any = StaticModel.from_pretrained(str(model))
        except Exception as error:  # the library passes on whatever its own libraries raise
            raise ConfigError(
                f"expected a folder or a hub id of a model2vec model, found {str(model)!r}: "
                f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
            ) from None

    @cached_property
    def identity(self) -> str:
        """Name the model by its vectors and its tokeniser."""
        table = np.ascontiguousarray(self._model.embedding)
        found = hashlib.sha256(table.tobytes())
        found.update(self._model.tokenizer.to_str().encode())
        return f"static-{found.hexdigest()[:16]}"

    @property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        return int(self._model.dim)

    def encode(self, texts: Sequence[str], done: Told | None = None) -> Floats:
        """Give one vector a text; see `recency.content.text.Encodes.encode`."""
        found = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), _BLOCK):
            part = list(texts[start : start + _BLOCK])
            vectors = np.asarray(self._model.encode(part, use_multiprocessing=False), np.float32)
            vectors[[not one for one in part]] = 0
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            found[start : start + len(part)] = vectors / np.maximum(lengths, 1e-12)
            if done is not None:
                done(len(part))
        return found
