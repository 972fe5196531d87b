"""The sentence classifier: the encoders of event histories, on words.

It is small on purpose: it shows that a memory which tells a user's next item also tells what the
order of words means. There are no pre-trained vectors in it.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from recency.data.histories import Ints
from recency.data.vocab import Id, Vocab
from recency.errors import DataError, DataWarning, NotFittedError, raise_all
from recency.nn.encoder import Encoder
from recency.nn.recurrent import GRU
from recency.sequences.folder import give_weights, read_arguments, written_model
from recency.sequences.learning import FEWEST_HELD_BACK, Batches, Learned, Learning, checked
from recency.sequences.words import Sentence, WordModel, rows_of, words_of
from recency.training.config import Progress, TrainConfig
from recency.training.plan import tokens_for

_AT_ONCE = 512  # sentences classified at once
Examples = tuple[list[Tensor], Tensor]  # rows of words, rows of labels


class SequenceClassifier:
    """Tell the class of a sentence from its words and their order.

    Args:
        encoder: Reads the words, such as ``recency.LSTM(dim=32)``; default ``GRU(dim=32)``. Only
            its configuration is used: each `fit` makes a fresh one.
        training: How weights are learned; the settings that `recency.Forecaster` takes count, of
            longer sentences the last ``max_len`` words.
        seed: Repeats a fit bit by bit.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        training: TrainConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder = GRU(dim=32) if encoder is None else encoder
        self.training = checked(training, "SequenceClassifier")
        self.seed = seed
        self.learned: Learned | None = None
        self._fitted: tuple[WordModel, Vocab, Vocab] | None = None

    @property
    def labels(self) -> list[Id]:
        """List the classes, in the order in which training met them."""
        return self._ready()[2].ids.to_list()

    def fit(
        self, sentences: Sequence[Sentence], labels: Sequence[Id], progress: Progress | None = None
    ) -> Self:
        """Learn from sentences, forgetting what was learned before.

        The last share of each class (``training.valid_share``), in the order given, chooses the
        number of epochs; then everything is learned for so many. So give the newest last.

        Args:
            sentences: Texts, cut into words in lower case; or lists of words, kept as they are.
            labels: The class of each: all text, or all integers.
            progress: Called after every training batch.

        Raises:
            DataError: the numbers of sentences and labels differ, there are fewer than two classes,
                or a sentence is empty; all faults together.
            TrainingDivergedError: the loss is no longer finite.

        Warns:
            DataWarning: sentences are longer than ``max_len`` words.
        """
        words = [words_of(one) for one in sentences]
        _refuse(words, labels)
        classes = Vocab.from_ids(pl.Series(labels))
        known = Vocab.from_ids(pl.Series([word for one in words for word in one], dtype=pl.String))
        right = torch.from_numpy(classes.rows(pl.Series(labels, dtype=classes.dtype)))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = WordModel(self.encoder.clone(), len(known), len(classes))
            examples = rows_of(self._shortened(words), known), right
            self.learned = self._learn(model, examples, progress)
        self._fitted = model, known, classes
        return self

    def predict(self, sentences: Sequence[Sentence]) -> list[Id]:
        """Tell the likeliest class of each sentence.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: a sentence is empty.
        """
        _, _, classes = self._ready()
        return classes.take(self._logits(sentences).argmax(dim=1).tolist())

    def chances(self, sentences: Sequence[Sentence]) -> pl.DataFrame:
        """Give each class's probability: a row a sentence, a column a class.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: a sentence is empty.
        """
        shares = torch.softmax(self._logits(sentences).double(), dim=1).numpy()
        return pl.DataFrame({str(one): shares[:, n] for n, one in enumerate(self.labels)})

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder, without pickle.

        Raises:
            NotFittedError: before `fit` or `load`.
            FormatError: the folder exists, is not empty, and holds no model.
        """
        model, known, classes = self._ready()
        settings = {"training": self.training.what_is_learned(), "seed": self.seed}
        with written_model(folder, "SequenceClassifier", self.encoder, settings, model) as draft:
            for name, vocab in (("words", known), ("labels", classes)):
                vocab.ids.rename("id").to_frame().write_parquet(draft / f"{name}.parquet")

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder | None = None) -> Self:
        """Read a classifier from a folder.

        Args:
            folder: Written by `save`.
            encoder: Of the same configuration, for an encoder that Recency does not bring.

        Raises:
            FormatError: the folder is no classifier, damaged, or newer than this version.
            ConfigError: the encoder is none of Recency's and was not passed.
        """
        manifest, arguments = read_arguments(folder, "SequenceClassifier", encoder)
        one = cls(**arguments)
        known, classes = (
            Vocab.from_frame(pl.read_parquet(manifest.path(f"{name}.parquet")))
            for name in ("words", "labels")
        )
        model = WordModel(one.encoder.clone(), len(known), len(classes))
        give_weights(model, manifest)
        one._fitted = model, known, classes
        return one

    def _learn(self, model: WordModel, examples: Examples, progress: Progress | None) -> Learned:
        def loss(batch: Examples) -> tuple[Tensor, int]:
            return nn.functional.cross_entropy(model(batch[0]), batch[1]), len(batch[1])

        rows, right = examples
        tokens = self.training.tokens or tokens_for(sum(map(len, rows)))
        newest = _newest(right.numpy(), self.training.valid_share)
        older = np.setdiff1d(np.arange(len(rows)), newest)
        everything = _epochs(examples, np.arange(len(rows)), tokens)
        learning = Learning(model, loss, self.training, self.seed, progress)
        if len(newest) >= FEWEST_HELD_BACK:
            search = (_epochs(examples, older, tokens), _epochs(examples, newest, tokens))
            return learning.run(everything, search)
        note = (
            f"the last {self.training.valid_share:.0%} of each class are {len(newest):,} "
            f"sentences, too few to judge epochs on; learned all {self.training.epochs} epochs."
        )
        return learning.run(everything, None, [note] if self.training.valid_share else [])

    def _shortened(self, words: list[list[str]]) -> list[list[str]]:
        most = self.training.max_len
        if long := sum(len(one) > most for one in words):
            warnings.warn(
                f"{long:,} of {len(words):,} sentences are longer than {most:,} words; of these "
                f"the last {most:,} are read. Raise TrainConfig(max_len=...) to read more.",
                DataWarning,
                stacklevel=3,
            )
        return [one[-most:] for one in words]

    @torch.no_grad()
    def _logits(self, sentences: Sequence[Sentence]) -> Tensor:
        model, known, classes = self._ready()
        words = [words_of(one) for one in sentences]
        raise_all(_empty(words), DataError)
        rows = rows_of(self._shortened(words), known)
        parts = [model(rows[at : at + _AT_ONCE]) for at in range(0, len(rows), _AT_ONCE)]
        return torch.cat(parts) if parts else torch.empty(0, len(classes))

    def _ready(self) -> tuple[WordModel, Vocab, Vocab]:
        if self._fitted is None:
            raise NotFittedError(
                "the classifier has learned nothing yet; call fit(sentences, labels) first."
            )
        return self._fitted


def _refuse(words: list[list[str]], labels: Sequence[Id]) -> None:
    faults = _empty(words)
    if len(words) != len(labels):
        faults.append(
            f"expected a label for every sentence, found {len(words):,} sentences and "
            f"{len(labels):,} labels."
        )
    if len({type(one) for one in labels}) > 1 or not isinstance(next(iter(labels), ""), str | int):
        kinds = sorted({type(one).__name__ for one in labels})
        faults.append(f"expected labels that are all text or all integers, found {kinds}.")
    elif len(set(labels)) <= 1:
        faults.append(f"expected at least two classes, found {sorted(set(labels))}.")
    raise_all(faults, DataError)


def _empty(words: list[list[str]]) -> list[str]:
    empty = [at for at, one in enumerate(words) if not one]
    if not empty:
        return []
    return [
        f"expected words in every sentence, found none in {len(empty):,} of {len(words):,} "
        f"(first: number {empty[0]}); drop these."
    ]


def _newest(right: Ints, share: float) -> Ints:
    """Give the places of the last share of each class; of a class of one, none."""
    places = [np.flatnonzero(right == label) for label in np.unique(right)]
    last = [one[len(one) - int(share * len(one)) :] for one in places]
    return np.concatenate(last)


def _epochs(examples: Examples, chosen: Ints, tokens: int) -> Batches[Examples]:
    """Batch sentences of like length, in an order of their own in every epoch."""
    rows, right = examples
    lengths = np.array([len(one) for one in rows])

    def epoch(rng: np.random.Generator) -> list[Examples]:
        order = rng.permutation(chosen)
        order = order[np.argsort(lengths[order], kind="stable")]
        size = max(1, tokens // int(lengths[order].max()))
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        shuffled = [parts[at] for at in rng.permutation(len(parts))]
        return [([rows[at] for at in part], right[torch.from_numpy(part)]) for part in shuffled]

    return epoch
