"""The adaptor: from what is known of an item to its vector and bias, learned with a model.

While a model learns, the adaptor's network is a part of it (`recency.nn.item_content`). Then what
it says is folded into the items' rows, and it stays beside the model for items that come later: one
that is described is scored at once, by its content alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

from recency.content.features import Content, Features
from recency.content.item_vectors import ItemVectors
from recency.content.item_words import ItemWords, Spoken
from recency.content.nearness import Places, TextIndex, cosines
from recency.content.tuned_texts import TextsToTune, TunedTexts
from recency.data.catalogue import Catalogue
from recency.data.histories import Ints
from recency.data.vocab import Id, Vocab
from recency.nn.inputs import SPECIAL
from recency.nn.item_content import ItemContent, describe, fold, follow
from recency.nn.learned_features import learned_features
from recency.nn.model import SequenceModel
from recency.nn.scored_items import untie

Arrays = dict[str, npt.NDArray[np.generic]]


class Adaptor:
    """Give items vectors and biases made of their content.

    Attributes:
        features: Turns what is known of an item into numbers.
        network: Turns those into a vector and a bias.
        items: Of which something may be known.
        known: [len(items), sum of widths] their numbers; zeros where nothing is known.

    Args:
        features: Fitted.
        network: Of the same widths.
        items: See above.
        known: See above.
        texts: Vectors of the items' texts, as they were encoded.
    """

    def __init__(
        self,
        features: Features,
        network: ItemContent,
        items: Vocab,
        known: npt.NDArray[np.float32],
        texts: TextIndex,
    ) -> None:
        self.features, self.network = features, network.eval()
        self.items, self.known, self.texts = items, known, texts
        self._places = Places()
        self._to_tune: TextsToTune | None = None

    @classmethod
    def fit(
        cls, content: Content, catalogue: Catalogue | None, items: Vocab, dim: int, seed: int = 0
    ) -> Self:
        """Fit features on the items of training, and draw a network that is still to learn.

        Args:
            content: What to read.
            catalogue: Attributes of items; None has none.
            items: Of training, all with rows of the model.
            dim: Width of the model's item vectors.
            seed: Of the network's first weights.
        """
        features = Features.fit(content, catalogue, items)
        every = Vocab.from_ids(items.ids)
        for ids in _described(content.vectors, catalogue):
            every.extend([items.coerce(one) for one in ids])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = ItemContent(dim, features.widths)
        known, texts = features.of(every, content.vectors, catalogue), content.vectors
        found = cls(features, network, every, known, TextIndex.of(texts, every))
        if content.tuned is not None:
            found._to_tune = TextsToTune(content.vectors, content.tuned, catalogue, every)
        return found

    def join(self, model: SequenceModel, content: Content, seed: int = 0) -> None:
        """Make a model's item vectors of their rows and content until `settle`, if both learn.

        Args:
            model: To be trained.
            content: As in `fit`.
            seed: Of what an encoder that is tuned learns.

        Raises:
            ConfigError: such an encoder, or a package for it, is missing.
        """
        alone, tune = model.experts is None, self._to_tune
        if content.learned == "joint" or (content.learned == "auto" and (alone or tune)):
            learned = None
            if tune is not None:
                columns = self.features.columns(tune.name)
                learned = tune.beside(self.features.whitenings, columns, model.n_items, seed)
            known = torch.from_numpy(self.known[: model.n_items])
            describe(model, self.network, known, content.hidden, learned)

    @torch.no_grad()
    def settle(self, model: SequenceModel, items: Vocab, counts: Ints) -> int:
        """Fold content into a trained model's rows, and give every other item described a row.

        Args:
            model: Trained; changed in place.
            items: Its items; those described join.
            counts: [its items] events of each.

        Returns:
            How many items joined: they can be recommended without ever having had an event.
        """
        if model.described is None:
            self.network.cpu()
            known = torch.from_numpy(self.known[: model.n_items])
            follow(model, self.network, known, torch.from_numpy(counts))
        self._read_tuned(model)
        fold(model)  # where the model is
        self.network.cpu().eval()
        described = np.flatnonzero(self.known.any(1))
        items.extend(self.items.take(described[described >= model.n_items].tolist()))
        joined = len(items) - model.n_items
        self.fill(model, items, model.n_items)
        return joined

    def _read_tuned(self, model: SequenceModel) -> None:
        """Read all items by the encoder as it was tuned from now on, if one was."""
        learned, tune = learned_features(model), self._to_tune
        if tune is None or model.described is None or not isinstance(learned, TunedTexts):
            return
        found = tune.vectors(learned)
        columns, whitening = self.features.columns(found.name), self.features.whitenings[found.name]
        self.known[:, columns] = whitening.apply(found.vectors)
        assert found.source is not None
        sources = {**self.features.sources, found.name: found.source}
        self.features = replace(self.features, sources=sources)
        self.texts.put(found, self.items)
        model.described.read(torch.from_numpy(self.known[: model.n_items]))
        self._to_tune = None

    @torch.no_grad()
    def fill(self, model: SequenceModel, items: Vocab, start: int) -> None:
        """Make the rows of items from ``start`` on of their content; add them where they lack.

        Items of which nothing is known get the rows of an average item.
        """
        device = model.bias.device
        model.grow(len(items))
        vectors, biases, known = self.rows([items.id_of(row) for row in range(start, len(items))])
        known = known.to(device)
        model.items[SPECIAL + start :][known] = vectors.to(device)[known]
        model.bias[start:][known] = biases.to(device)[known]

    @torch.no_grad()
    def take_in(
        self,
        model: SequenceModel,
        items: Vocab,
        vectors: Sequence[ItemVectors],
        catalogue: Catalogue | None,
    ) -> int:
        """Give new items rows of their content, in a model at work: no user's state changes.

        They are scored, and their events are read as those of unknown items until the model learns
        again (`recency.nn.scored_items`).

        Args:
            model: Changed in place, where an item is new to it.
            items: Its items, and those that came without weights; those described join.
            vectors: As of `learn`.
            catalogue: As of `learn`.

        Returns:
            How many items have weights now that had none.
        """
        told = self.learn(vectors, catalogue)
        rows = items.extend(
            [
                one
                for one, known in zip(told, self.rows(told)[2], strict=True)
                if known or items.row(one) >= 0
            ]
        )
        start = model.n_items
        if not (rows >= start).any():
            return 0
        untie(model, len(items))
        made, biases, known = self.rows([items.id_of(row) for row in range(start, len(items))])
        assert model.scored_items is not None
        model.scored_items[start:][known] = made[known].to(model.bias.device)
        model.bias[start:][known] = biases[known].to(model.bias.device)
        return int(known.sum())

    @torch.no_grad()
    def rows(self, ids: Sequence[Id]) -> tuple[Tensor, Tensor, Tensor]:
        """Give vectors [n, dim], biases [n], and [n] whether anything is known of the items."""
        numbers = torch.from_numpy(self.numbers(ids))
        vectors, biases = self.network(numbers)
        return vectors, biases, numbers.ne(0).any(1)

    def knows(self, item: Id) -> bool:
        """Tell whether anything is known of an item."""
        row = self.items.row(self.items.coerce(item))
        return row >= 0 and bool(self.known[row].any())

    def near(self, item: Id, items: Vocab) -> npt.NDArray[np.float32]:
        """Compare an item that is known with a vocabulary's, by features: [1, len(items)].

        Cosines in [-1, 1]; -inf where nothing is known of an item.
        """
        target = self.known[self.items.row(self.items.coerce(item))]
        return self._places.spread(cosines(self.known, target), self.items, items)

    def near_words(self, words: Spoken, items: Vocab) -> npt.NDArray[np.float32]:
        """Compare words with the texts of a vocabulary's items: [1, len(items)]; see `near`."""
        mean = self.features.whitenings[words.name].mean
        found = self.texts.cosines(words.name, words.vector, mean)
        return self._places.spread(found, self.items, items)

    def numbers(self, ids: Sequence[Id]) -> npt.NDArray[np.float32]:
        """Give what is known of items: [n, sum of widths], zeros for strangers."""
        rows = self.items.rows([self.items.coerce(one) for one in ids])
        found = np.zeros((len(rows), self.known.shape[1]), np.float32)
        found[rows >= 0] = self.known[rows[rows >= 0]]
        return found

    def with_words(
        self, vectors: Sequence[ItemVectors], catalogue: Catalogue | None
    ) -> list[ItemVectors]:
        """Add the vectors of a catalogue's words that only an encoder that was tuned can give.

        Raises:
            ConfigError: the encoder is missing, or another one than it was.
        """
        given = {one.name for one in vectors}
        sources = {
            name: one
            for name, one in self.features.sources.items()
            if one.adapter is not None and name not in given
        }
        told = [] if catalogue is None else ItemWords(sources).of_items(catalogue)
        return [*vectors, *told]

    def learn(self, vectors: Sequence[ItemVectors], catalogue: Catalogue | None) -> list[Id]:
        """Take in what is known of items, new ones and known ones; what was known of them goes.

        Returns:
            Their ids.

        Raises:
            DataError: vectors of another name or width than in training.
        """
        told = Vocab(self.items.dtype)
        for ids in _described(vectors, catalogue):
            told.extend([self.items.coerce(one) for one in ids])
        numbers = self.features.of(told, vectors, catalogue)
        before = len(self.items)
        rows = self.items.extend(told.ids)
        new = np.zeros((len(self.items) - before, self.known.shape[1]), np.float32)
        self.known = np.concatenate((self.known, new))
        self.known[rows] = numbers
        self.texts.take_in(vectors, self.items, rows)
        return [told.id_of(row) for row in range(len(told))]

    # --- keeping -------------------------------------------------------------------------------

    def arrays(self) -> Arrays:
        """Give what `restored` needs, but for ids and facts."""
        weights = self.network.state_dict().items()
        return {
            **self.features.arrays(),
            **{f"network.{name}": tensor.numpy() for name, tensor in weights},
            **{f"texts.{name}": one for name, one in self.texts.vectors.items()},
            "known": self.known,
        }

    @classmethod
    def restored(cls, facts: Mapping[str, Any], arrays: Mapping[str, Any], ids: pl.Series) -> Self:
        """Rebuild an adaptor from the facts of its features, its `arrays`, and its items' ids."""
        features = Features.restored(facts, arrays)
        weights = {
            name.removeprefix("network."): torch.from_numpy(np.array(array))
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        network = ItemContent(len(weights["projections.0.weight"]), features.widths)
        nn.Module.load_state_dict(network, weights)
        texts = TextIndex({name: np.array(arrays[f"texts.{name}"]) for name in features.sources})
        return cls(features, network, Vocab.from_ids(ids), np.array(arrays["known"]), texts)


def _described(vectors: Sequence[ItemVectors], catalogue: Catalogue | None) -> list[Sequence[Id]]:
    """List the ids that vectors and catalogue speak of."""
    listed: list[Sequence[Id]] = [one.ids for one in vectors]
    return listed if catalogue is None else [*listed, catalogue.frame["item_id"].to_list()]
