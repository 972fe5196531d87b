"""Text sources: by which encoder, and from which words, the text vectors of a model were made.

Words that come later, of a new item or of somebody who searches, have to become vectors by the same
encoder as those of training. So a model's folder names it, together with a sum over its files: an
encoder of that name with other weights is refused, and never mixed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self

from recency.content.item_texts import TEMPLATE
from recency.content.static_text import StaticTextEncoder
from recency.content.text import Encodes, Precision, TextEncoder
from recency.content.text_adapter import Floats, TextAdapter
from recency.errors import ConfigError

_TURN = Lock()  # two threads that make one encoder would make two
STATIC = "minishlab/potion-base-8M"  # what "static" means without a model behind it


@dataclass(frozen=True)
class TextSource:
    """Name an encoder and the columns that it reads.

    Attributes:
        kind: A network, or a table of word vectors.
        model: Folder, hub id or ``"minilm"``.
        identity: Of the encoder (`recency.content.text.Encodes.identity`).
        columns: Of the catalogue, in the order in which they are read.
        max_tokens: Longest text read, in tokens; a table of words has no limit.
        precision: As of `recency.TextEncoder`.
        adapter: What a fit has taught the network; None where it is as it came.
    """

    kind: Literal["network", "static"]
    model: str
    identity: str
    columns: tuple[str, ...] = TEMPLATE
    max_tokens: int | None = None
    precision: Precision = "float32"
    adapter: TextAdapter | None = None

    @classmethod
    def of(cls, encoder: Encodes, columns: Sequence[str]) -> Self | None:
        """Describe an encoder; None for one that Recency does not bring, and cannot make anew."""
        if isinstance(encoder, TextEncoder):
            name, tokens = _lasting(encoder.model.name), encoder.max_tokens
            how = (tokens, encoder.precision, encoder.adapter)
            return cls("network", name, encoder.identity, tuple(columns), *how)
        if isinstance(encoder, StaticTextEncoder):
            return cls("static", _lasting(encoder.name), encoder.identity, tuple(columns))
        return None

    def encoder(self) -> Encodes:
        """Give the encoder; the same one as long as it is among the last few asked for.

        Raises:
            ConfigError: it is missing, or has other weights than it had.
        """
        with _TURN:
            return _made(self)

    def tuned(self, adapter: TextAdapter) -> Self:
        """Name the same encoder after a fit has taught it."""
        made = TextEncoder(
            self.model, max_tokens=self.max_tokens, precision=self.precision, adapter=adapter
        )
        return replace(self, identity=made.identity, adapter=adapter)

    def to_dict(self) -> dict[str, Any]:
        """Give all as JSON, but for the weights of an adapter."""
        facts = asdict(replace(self, adapter=None)) | {"columns": list(self.columns)}
        del facts["adapter"]
        return facts if self.adapter is None else facts | {"rank": self.adapter.rank}

    @classmethod
    def from_dict(
        cls, facts: Mapping[str, Any], weights: Mapping[str, Floats] | None = None
    ) -> Self:
        """Read what `to_dict` has given, and the weights of an adapter if there is one."""
        given = {**facts, "columns": tuple(facts["columns"])}
        rank = given.pop("rank", None)
        return cls(**given, adapter=None if rank is None else TextAdapter.of(rank, weights or {}))


def encoder_named(name: str) -> Encodes:
    """Make an encoder of what a person says: ``minilm``, ``static``, ``static:MODEL``, or a model.

    Raises:
        ConfigError: there is none, or packages are missing.
    """
    if name == "static" or name.startswith("static:"):
        return StaticTextEncoder(name.removeprefix("static").removeprefix(":") or STATIC)
    return TextEncoder(name)


@lru_cache(maxsize=4)
def _made(source: TextSource) -> Encodes:
    encoder: Encodes
    if source.kind == "static":
        encoder = StaticTextEncoder(source.model)
    else:
        encoder = TextEncoder(
            source.model,
            max_tokens=source.max_tokens,
            precision=source.precision,
            adapter=source.adapter,
        )
    if encoder.identity != source.identity:
        raise ConfigError(
            f"expected the text encoder {source.model!r} as the model was fitted with "
            f"({source.identity}), found another of that name ({encoder.identity}); put the old "
            f"one back, or fit the model anew."
        )
    return encoder


def _lasting(name: str) -> str:
    """Give a folder's whole path, which means the same from everywhere; other names as they are."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name
