"""Words: sentences to rows of numbers, and an encoder that reads them to tell what they are."""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from recency.data.histories import NO_GAP
from recency.data.vocab import Vocab
from recency.nn.dropout import Dropout
from recency.nn.encoder import Clock, Encoder
from recency.units import SECOND

Sentence = str | Sequence[str]  # a text to be cut into words, or the words

PADDING, UNKNOWN, SPECIAL = 0, 1, 2  # rows of the table before the first word's
DROPOUT = 0.1
HIDDEN = 0.02  # share of the words read as unknown in training, so that the unknown is learned
_WORD = re.compile(r"\w+|[^\w\s]")


def words_of(sentence: Sentence) -> list[str]:
    """Cut a text into words and marks, in lower case; words that are given stay as they are."""
    if isinstance(sentence, str):
        return _WORD.findall(sentence.lower())
    return list(sentence)


def rows_of(sentences: Sequence[Sequence[str]], vocab: Vocab) -> list[Tensor]:
    """Turn words into rows of the table, one tensor a sentence; unknown words become `UNKNOWN`."""
    lengths = [len(words) for words in sentences]
    flat = pl.Series([word for words in sentences for word in words], dtype=pl.String)
    rows = vocab.rows(flat) + SPECIAL
    rows[rows < SPECIAL] = UNKNOWN
    return list(torch.split(torch.from_numpy(rows.astype(np.int64)), lengths))


class WordModel(nn.Module):
    """Classify sentences by the encoder's output after the last word.

    Words follow each other a second apart, so encoders with time in them see an even pace.

    Args:
        encoder: Reads the words; taken as it is, weights included.
        n_words: Words known.
        n_labels: Classes.
    """

    def __init__(self, encoder: Encoder, n_words: int, n_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.table = nn.Embedding(n_words + SPECIAL, encoder.dim, padding_idx=PADDING)
        self.norm = nn.LayerNorm(encoder.dim)
        self.dropout = Dropout(DROPOUT)
        self.answer = nn.Linear(encoder.dim, n_labels)

    def forward(self, sentences: Sequence[Tensor]) -> Tensor:
        """Give the logits [n, n_labels] of sentences, each a row of words of its own length."""
        lengths = torch.tensor([len(one) for one in sentences])
        words = nn.utils.rnn.pad_sequence(list(sentences), batch_first=True, padding_value=PADDING)
        outputs, _ = self.encoder(self.read(words), clock_of(words))
        return self.tell(outputs[torch.arange(len(words)), lengths - 1])

    def step(self, words: Tensor, place: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one more word of each sentence.

        Args:
            words: [n] rows of the table.
            place: Words before it.
            state: [n, state_size] of the encoder.

        Returns:
            Logits [n, n_labels] and states [n, state_size] after it.
        """
        whole = clock_of(words.unsqueeze(1).expand(-1, place + 1))
        clock = Clock(whole.gaps[:, -1:], whole.times[:, -1:])
        output, after = self.encoder.step(self.read(words), clock, state)
        return self.tell(output), after

    def read(self, words: Tensor) -> Tensor:
        """Give the vectors [..., dim] of words [...]."""
        if self.training:
            hidden = (torch.rand(words.shape) < HIDDEN) & (words != PADDING)
            words = torch.where(hidden, UNKNOWN, words)
        read: Tensor = self.dropout(self.norm(self.table(words)))
        return read

    def tell(self, outputs: Tensor) -> Tensor:
        """Give the logits [n, n_labels] of outputs [n, dim]."""
        logits: Tensor = self.answer(self.dropout(outputs))
        return logits


def clock_of(words: Tensor) -> Clock:
    """Say when words [n, length] come: a second apart."""
    places = torch.arange(words.shape[1]).expand(words.shape)
    return Clock(torch.where(places == 0, NO_GAP, 1.0), places * SECOND)
