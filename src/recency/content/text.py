"""Text encoders: any BERT-class sentence encoder, from texts to vectors of length 1.

What makes it quick on a processor: texts of like length are read together, so that little is
padded; batches are small enough for its caches; a text that occurs twice is read once (see
`encoding`); matrices are multiplied by the faster of torch's two libraries; and with
``precision="bfloat16"`` the network itself is rounded, which halves what is read and doubles what
is multiplied at once.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from recency.content.sentence_model import BUNDLED, SentenceModel
from recency.content.text_adapter import TextAdapter
from recency.errors import ConfigError, raise_all

Floats = npt.NDArray[np.float32]
Precision = Literal["float32", "bfloat16"]
Told = Callable[[int], None]  # how many texts more are done
TOKENS = 1_024  # of a batch, padding included: more fall out of a processor's caches
GPU_TOKENS = 32_768  # a GPU wants more at once


class Encodes(Protocol):
    """What turns texts into vectors.

    Attributes:
        identity: Equal for encoders that give equal vectors.
        dim: Numbers of a vector.
    """

    @property
    def identity(self) -> str:
        """Name the encoder by what it computes."""
        ...

    @property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        ...

    def encode(self, texts: Sequence[str], done: Told | None = None) -> Floats:
        """Give one vector a text, [n, dim], each of length 1; zeros for an empty text."""
        ...


class TextEncoder:
    """Encode texts with a Hugging Face encoder.

    Args:
        model: Folder or hub id of a sentence encoder or a plain BERT-class model; ``"minilm"``
            (all-MiniLM-L6-v2, 384 numbers) comes with the extra ``text``.
        max_tokens: Longest text read; None takes what the model was made for.
        device: ``"cpu"``, ``"cuda"``, …; None takes a GPU where there is one.
        precision: ``"bfloat16"`` rounds the network: faster where the processor has units for it,
            slower where it has none, and vectors move a little.
        adapter: What a fit has taught the encoder (`recency.TextTuning`).

    Raises:
        ConfigError: the packages or the model are missing, or an argument is impossible.
    """

    def __init__(
        self,
        model: str | Path = BUNDLED,
        *,
        max_tokens: int | None = None,
        device: str | None = None,
        precision: Precision = "float32",
        adapter: TextAdapter | None = None,
    ) -> None:
        _check(max_tokens, precision)
        self.model = SentenceModel.find(model)
        self.max_tokens = min(max_tokens or self.model.max_tokens, self.model.max_tokens)
        self.pooling = self.model.pooling
        self.precision: Precision = precision
        self.adapter = adapter
        self._device = device
        self._loaded: tuple[Any, Any, Any] | None = None  # tokenizer, network, device
        self._turn = threading.Lock()  # neither loading nor a tokeniser is for two threads

    @property
    def identity(self) -> str:
        """Name model, length, precision and adapter by what they compute."""
        tuned = "" if self.adapter is None else f"-lora-{self.adapter.identity}"
        return f"{self.model.identity}-{self.max_tokens}-{self.precision}{tuned}"

    @property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        return int(self._load()[1].config.hidden_size)

    def encode(self, texts: Sequence[str], done: Told | None = None) -> Floats:
        """Give one vector a text.

        Args:
            texts: n texts; what is beyond ``max_tokens`` is not read.
            done: Called with the number of texts of each batch read.

        Returns:
            [n, dim] float32, each row of length 1; zeros for an empty text.
        """
        import torch

        tokenizer, network, device = self._load()
        most = TOKENS if device.type == "cpu" else GPU_TOKENS
        found = np.zeros((len(texts), network.config.hidden_size), np.float32)
        spoken = [place for place, text in enumerate(texts) if text]
        if done is not None and len(spoken) < len(texts):
            done(len(texts) - len(spoken))
        if not spoken:
            return found
        read = [texts[place] for place in spoken]
        with self._turn:
            rows = tokenizer(read, truncation=True, max_length=self.max_tokens)["input_ids"]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        with torch.inference_mode():
            for batch in alike(lengths, most):
                vectors = self._read([rows[one] for one in batch])
                found[[spoken[one] for one in batch]] = vectors
                if done is not None:
                    done(len(batch))
        return found

    def _read(self, rows: list[list[int]]) -> Floats:
        """Encode one batch of token rows."""
        from recency.content.text_network import padded, text_vectors
        from recency.nn.products import quick_products

        tokenizer, network, device = self._load()
        tokens, mask = padded(rows, int(tokenizer.pad_token_id or 0), device)
        with quick_products():
            vectors: Floats = text_vectors(network, tokens, mask, self.pooling).cpu().numpy()
        return vectors

    def _load(self) -> tuple[Any, Any, Any]:
        with self._turn:
            if self._loaded is None:
                import torch

                from recency.content.text_network import load_network, with_adapter

                tokenizer, network, device = load_network(self.model, self._device)
                if self.adapter is not None:
                    network = with_adapter(network, self.adapter)
                if self.precision == "bfloat16":
                    network = network.to(torch.bfloat16)
                self._loaded = (tokenizer, network.eval(), device)
            return self._loaded


def alike(lengths: npt.NDArray[np.int64], most: int) -> list[list[int]]:
    """Group texts of like length, the longest first, so that memory is found out at once."""
    order = np.argsort(-lengths, kind="stable").tolist()
    batches, start = [], 0
    while start < len(order):
        size = max(1, most // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def _check(max_tokens: int | None, precision: str) -> None:
    faults = []
    if max_tokens is not None and (isinstance(max_tokens, bool) or max_tokens < 3):
        faults.append(f"max_tokens: expected at least 3 (two mark the ends), found {max_tokens!r}.")
    if precision not in ("float32", "bfloat16"):
        faults.append(f"precision: expected 'float32' or 'bfloat16', found {precision!r}.")
    raise_all(faults, ConfigError)
