"""Language losses: what a text encoder learns from texts that nobody has labelled.

- **Masked**: some words are hidden, and told from those on both sides. Of the words chosen, 80 %
  are replaced by the mask, 10 % by another word, 10 % stay: Devlin et al., BERT: Pre-training of
  Deep Bidirectional Transformers for Language Understanding, NAACL 2019, section 3.1.
- **Causal**: each word is told from those before it, under a mask that hides the later ones:
  Radford et al., Improving Language Understanding by Generative Pre-Training, 2018, equation 1.

A word is told by the product with the encoder's own word vectors, as in both papers, after a small
transformation for each of the two losses. Told apart are the words of the shop alone, a tenth or
less of the encoder's: no other is ever right, and products with all of them would cost more than
the encoder.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recency.errors import ConfigError

_REPLACED, _OTHER = 0.8, 0.9  # below the first: the mask; below the second: another word
_NO_WORD = -1


@dataclass(frozen=True)
class Rows:
    """Hold a batch of texts as tokens.

    Attributes:
        tokens: [n, length], padded on the right.
        real: [n, length] bool, which are no padding.
        words: [n, length] place of each token among the words told apart, -1 for padding and marks.
    """

    tokens: Tensor
    real: Tensor
    words: Tensor


class _Reader(nn.Module):
    """Turn what the encoder says at a place into a vector to compare with word vectors."""

    def __init__(self, dim: int, width: int, n_words: int) -> None:
        super().__init__()
        self.turn = nn.Linear(dim, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(n_words))

    def forward(self, hidden: Tensor, vectors: Tensor) -> Tensor:
        read = self.norm(nn.functional.gelu(self.turn(hidden)))
        return nn.functional.linear(read, vectors, self.bias)


class LanguageModel(nn.Module):
    """Measure both losses of a text encoder.

    Args:
        network: A Hugging Face encoder; learned in place.
        words: [n_words] tokens told apart, ascending.
        mask: Token that hides a word.
    """

    def __init__(self, network: Any, words: Tensor, mask: int) -> None:
        super().__init__()
        self.network, self.mask = network, mask
        width = network.get_input_embeddings().weight.shape[1]
        dim = int(network.config.hidden_size)
        self.masked = _Reader(dim, width, len(words))
        self.causal = _Reader(dim, width, len(words))
        self.register_buffer("spoken", words, persistent=False)
        self.spoken: Tensor

    def masked_nats(self, rows: Rows, share: float, draw: torch.Generator) -> Tensor:
        """Give mean nats of the words hidden, a scalar; one at least of each text is."""
        inputs, chosen = hide(rows, share, self.mask, self.spoken, draw)
        hidden = self._read(inputs, rows.real.long())
        return self._nats(self.masked, hidden[chosen], rows.words[chosen])

    def causal_nats(self, rows: Rows) -> Tensor:
        """Give mean nats of all words after the first token, a scalar."""
        hidden = self._read(rows.tokens, causal_mask(rows.real))[:, :-1]
        after = rows.words[:, 1:]
        told = after != _NO_WORD
        return self._nats(self.causal, hidden[told], after[told])

    def refuse_deaf(self) -> None:
        """Make sure that the encoder keeps to a causal mask.

        Raises:
            ConfigError: it lets later words through, or cannot take such a mask.
        """
        tokens = self.spoken[:1].repeat(2, 3)
        tokens[1, 2] = self.mask
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                read = self._read(tokens, causal_mask(torch.ones_like(tokens, dtype=torch.bool)))
            kept = torch.allclose(read[0, :2], read[1, :2], atol=1e-5)
        except (RuntimeError, ValueError, IndexError):
            kept = False
        self.network.train(training)
        if not kept:
            raise ConfigError(
                f"causal: expected an encoder that reads under a causal mask, found "
                f"{type(self.network).__name__}, which does not; use masked words alone."
            )

    def _read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.network(input_ids=tokens, attention_mask=mask).last_hidden_state
        return found

    def _nats(self, reader: _Reader, hidden: Tensor, words: Tensor) -> Tensor:
        vectors = self.network.get_input_embeddings().weight[self.spoken]
        return nn.functional.cross_entropy(reader(hidden, vectors).float(), words)


def hide(
    rows: Rows, share: float, mask: int, spoken: Tensor, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hide some words of each text, one at least.

    Args:
        rows: Texts that hold a word each.
        share: Of the words.
        mask: Token that hides.
        spoken: [n_words] tokens to replace some by.
        draw: Decides which.

    Returns:
        Tokens [n, length] as they are shown, and which [n, length] are to be told.
    """
    device = rows.tokens.device
    chance = torch.rand(rows.tokens.shape, generator=draw).to(device)
    chance = chance.masked_fill(rows.words == _NO_WORD, 2.0)
    least = chance.argmin(1, keepdim=True)
    chosen = (chance < share).scatter(1, least, value=True)
    how = torch.rand(rows.tokens.shape, generator=draw).to(device)
    other = spoken[torch.randint(len(spoken), rows.tokens.shape, generator=draw).to(device)]
    shown = torch.where(chosen & (how < _REPLACED), mask, rows.tokens)
    return torch.where(chosen & (how >= _REPLACED) & (how < _OTHER), other, shown), chosen


def causal_mask(real: Tensor) -> Tensor:
    """Give the mask [n, 1, length, length] under which each token sees itself and earlier ones."""
    n, length = real.shape
    earlier = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    return earlier.expand(n, 1, length, length)
