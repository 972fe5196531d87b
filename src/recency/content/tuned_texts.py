"""Tuned texts: vectors of items' texts, made anew as their encoder learns with the recommender.

What is done, and what it costs, stands at `recency.content.text_tuning.TextTuning`. Vectors are
whitened as they were before anything was learned: mean and directions stay, so that what the
adaptor has learned of them goes on to hold.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recency.content.encoding import Progress, encode_texts
from recency.content.item_texts import item_texts
from recency.content.item_vectors import ItemVectors
from recency.content.text import GPU_TOKENS, TOKENS, TextEncoder, alike
from recency.content.text_adapter import TextAdapter
from recency.content.text_network import (
    adapted,
    learned_beside,
    load_network,
    padded,
    text_vectors,
)
from recency.content.text_source import TextSource
from recency.content.text_tuning import TextTuning, tunable
from recency.content.whitening import Whitening
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError
from recency.nn.learned_features import LearnedFeatures
from recency.nn.products import quick_products


class TunedTexts(LearnedFeatures):
    """Encode the texts of items, and let the encoder learn by LoRA.

    Args:
        tuning: How.
        source: Names the encoder, which has learned nothing yet.
        texts: Of the model's items, in their order; ``""`` where there is none.
        whitening: Of the vectors that the encoder gives before it learns.
        columns: Of the table of features, where whitened vectors stand.
        seed: Of the matrices that learn.

    Raises:
        ConfigError: the encoder or a package is missing.
    """

    def __init__(
        self,
        tuning: TextTuning,
        source: TextSource,
        texts: Sequence[str],
        whitening: Whitening,
        columns: slice,
        seed: int,
    ) -> None:
        super().__init__()
        encoder = source.encoder()
        assert isinstance(encoder, TextEncoder)
        self.tuning, self.learning_rate, self._columns = tuning, tuning.learning_rate, columns
        self._identity, self._pooling = source.identity, encoder.pooling
        tokenizer, network, _ = load_network(encoder.model, "cpu")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = adapted(network, tuning.rank).eval()  # no dropout: as texts are read later
        # In a tuple, or the encoder's own weights would be a part of the model's.
        self._network, learned = (network,), learned_beside(network)
        self._names, self.weights = list(learned), nn.ParameterList(learned.values())
        self._pad = int(tokenizer.pad_token_id or 0)
        said = [n for n, text in enumerate(texts) if text]
        read = [texts[n] for n in said]
        rows = tokenizer(read, truncation=True, max_length=encoder.max_tokens)["input_ids"]
        self._rows: dict[int, list[int]] = dict(zip(said, rows, strict=True))
        spoken = torch.zeros(len(texts), dtype=torch.bool)
        spoken[said] = True
        for name, cells in (
            ("spoken", spoken),
            ("mean", torch.from_numpy(whitening.mean)),
            ("projection", torch.from_numpy(whitening.projection)),
        ):
            self.register_buffer(name, cells, persistent=False)
        self.spoken: Tensor
        self.mean: Tensor
        self.projection: Tensor
        self._learning = False
        self._begun: Tensor = self._flat()  # weights before anything was learned
        self._given: Tensor | None = None  # features by these
        self._made_by: Tensor | None = self._begun  # weights that the table was made by, if by one
        self.cost = (
            f"texts: up to {tuning.texts_per_step:,} of a step are encoded with gradients in the "
            f"first {tuning.epochs:,} epochs of a stage, and all {len(said):,} once in each."
        )

    def begin(self, epoch: int) -> None:
        """Learn in the first epochs of a stage only."""
        self._learning = epoch < self.tuning.epochs

    @torch.no_grad()
    def renew(self, features: Tensor) -> None:
        """Encode all texts anew, if weights have moved since that was done."""
        now = self._flat()
        if self._given is None:
            self._given = features[:, self._columns].clone()
        if self._made_by is not None and torch.equal(now, self._made_by):
            return
        if torch.equal(now, self._begun):
            features[:, self._columns] = self._given
        else:
            self._encode_all(features, self.tuning.progress)
        self._made_by = now

    def study(self, features: Tensor, items: Tensor) -> Tensor | None:
        """Encode the texts of some items with gradients, and keep what comes out."""
        if not self._learning:
            return None
        rows = torch.unique(items[(items >= 0) & (items < len(self.spoken))])
        rows = rows[self.spoken[rows]]
        drawn = torch.randperm(len(rows))[: self.tuning.texts_per_step]
        if not len(drawn):
            return None
        rows = rows[drawn.to(rows.device)]
        found = self._encode(rows.tolist(), features.device)
        self._made_by = None
        with torch.no_grad():
            features[rows, self._columns] = found
        made = features.clone()
        made[rows, self._columns] = found
        return made

    def facts(self) -> dict[str, Any]:
        """Give the settings, the encoder that they are for, and a sum over what it reads."""
        told = ("rank", "learning_rate", "epochs", "texts_per_step")
        said = hashlib.sha256(repr(self._rows).encode()).hexdigest()
        settings = {one: getattr(self.tuning, one) for one in told}
        return {"encoder": self._identity, "texts": said, **settings}

    def adapter(self) -> TextAdapter:
        """Give what was learned."""
        learned = {
            name: weight.detach().cpu().numpy().copy()
            for name, weight in zip(self._names, self.weights, strict=True)
        }
        return TextAdapter.of(self.tuning.rank, learned)

    def _encode(self, items: Sequence[int], device: torch.device) -> Tensor:
        """Read the texts of items: [n, dims] whitened."""
        network = self._network[0].to(device)
        tokens, mask = padded([self._rows[one] for one in items], self._pad, device)
        with quick_products():
            vectors = text_vectors(network, tokens, mask, self._pooling)
        whitened: Tensor = (vectors - self.mean) @ self.projection
        return whitened

    def _encode_all(self, features: Tensor, progress: Progress | None) -> None:
        said, done = list(self._rows), 0
        lengths = np.array([len(self._rows[one]) for one in said], np.int64)
        for batch in alike(lengths, TOKENS if features.device.type == "cpu" else GPU_TOKENS):
            rows = [said[one] for one in batch]
            features[rows, self._columns] = self._encode(rows, features.device)
            done += len(rows)
            if progress is not None:
                progress(done, len(said))

    def _flat(self) -> Tensor:
        return torch.cat([one.detach().flatten().clone().cpu() for one in self.weights])


class TextsToTune:
    """Hold the texts of items until a fit with `TextTuning` has settled.

    Args:
        vectors: The encoder of one of them learns.
        tuning: How.
        catalogue: Has the words of items.
        items: All that anything is known of, those of training first.

    Raises:
        ConfigError: there is no catalogue, or it has no words.
        DataError: it lacks the words of items whose vectors are given.
    """

    def __init__(
        self,
        vectors: Sequence[ItemVectors],
        tuning: TextTuning,
        catalogue: Catalogue | None,
        items: Vocab,
    ) -> None:
        self._vectors, self._tuning, self._items = tunable(vectors)[0], tuning, items
        self.name = self._vectors.name
        self.texts = _texts_of(self._vectors, catalogue, items)

    def beside(
        self, whitenings: Mapping[str, Whitening], columns: slice, n_items: int, seed: int
    ) -> TunedTexts:
        """Make what learns with a model of the first ``n_items``; see `TunedTexts`."""
        source = self._vectors.source
        assert source is not None
        texts = self.texts[:n_items]
        return TunedTexts(self._tuning, source, texts, whitenings[self.name], columns, seed)

    def vectors(self, learned: TunedTexts) -> ItemVectors:
        """Encode the texts of all items by what was learned; those without a text have none."""
        source = self._vectors.source
        assert source is not None
        source = source.tuned(learned.adapter())
        tuning = self._tuning
        rows = encode_texts(self.texts, source.encoder(), tuning.cache, tuning.progress)
        rows[[not text for text in self.texts]] = np.nan
        return ItemVectors(self._items.ids.to_list(), rows, self.name, source)


def _texts_of(vectors: ItemVectors, catalogue: Catalogue | None, items: Vocab) -> list[str]:
    """Give the text of each item; ``""`` for one whose vector is not known."""
    assert vectors.source is not None
    if catalogue is None:
        raise ConfigError(
            "Content(tuned=...) reads the words of items as it learns, and there are none; pass "
            "the catalogue that was encoded, fit(log, items, content=...)."
        )
    said = item_texts(catalogue, vectors.source.columns)
    texts = dict(zip([items.coerce(one) for one in said.ids], said.texts, strict=True))
    known = [one for one, there in zip(vectors.ids, vectors.known, strict=True) if there]
    wanted = {items.coerce(one) for one in known}
    if silent := [one for one in wanted if not texts.get(one)]:
        raise DataError(
            f"Content(tuned=...): expected the words of all {len(wanted):,} items whose vectors "
            f"{vectors.name!r} are known, found none of {len(silent):,}, such as "
            f"{min(silent, key=str)!r}; pass the catalogue that was encoded."
        )
    return [texts[one] if one in wanted else "" for one in items.ids.to_list()]
