"""LSTM with additive attention over its own newest states.

The LSTM remembers order, attention finds the recent state that matters now. Attention is banded:
each event sees the newest ``window`` states, its own included, so a state stays bounded and `step`
costs the same however long the history. The ring keeps the LSTM's outputs only: their keys are one
small product away and would double the state.

A score sums dim terms for each pair of an event and a state it sees, 50 million in a usual batch.
They are computed a few users and one distance at a time, so that they stay in the processor's
cache, and once more in the backward pass instead of being kept.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recency.errors import ConfigError, raise_all
from recency.nn.encoder import Clock, Encoder, Setting, check_sizes
from recency.nn.recurrent import LSTM
from recency.nn.ring import LARGEST, Ring

_CELLS = 2**16  # terms computed at once: 256 KB in float32


class LSTMAttention(Encoder):
    """Encode histories with an LSTM and additive attention over its newest states.

    score_tj = v . sigmoid(A h_t + B h_j) for j = t - window + 1 … t,
    p_t = softmax(score_t),  y_t = C [h_t; sum_j p_tj h_j]

    The scores are those of Li et al., Neural Attentive Session-based Recommendation, CIKM 2017;
    the softmax over them is that of Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly
    Learning to Align and Translate, ICLR 2015, which also writes tanh for sigmoid: the same but for
    factors that A, B and v learn and a sum that the softmax cancels. C starts as the sum of both
    halves.

    Args:
        dim: Width of inputs, outputs, states and of the score's sum.
        layers: Layers of the LSTM; attention sees the last one.
        window: States seen, the newest included, 2 to 2048.
        dropout: Share dropped in training between layers and of the outputs, in [0, 1).

    Raises:
        ConfigError: a size or the share is impossible.
    """

    def __init__(
        self, dim: int = 64, layers: int = 1, window: int = 32, dropout: float = 0.0
    ) -> None:
        _check(dim, layers, window, dropout)
        super().__init__()
        self.dim, self.dropout = dim, dropout
        self.lstm = LSTM(dim, layers, dropout)
        self.ring = Ring(window, dim)
        self.state_size = self.lstm.state_size + self.ring.size
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.score = nn.Parameter(torch.empty(dim).normal_(std=dim**-0.5))
        self.combine = nn.Linear(2 * dim, dim, bias=False)
        with torch.no_grad():
            self.combine.weight.copy_(torch.eye(dim).repeat(1, 2))

    def config(self) -> dict[str, Setting]:
        """Give ``dim``, ``layers``, ``window`` and ``dropout``."""
        layers, window = self.lstm.cells.num_layers, self.ring.window
        return {"dim": self.dim, "layers": layers, "window": window, "dropout": self.dropout}

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        before, kept = self._parts(self.initial_state(len(x)) if state is None else state)
        hidden, after = self.lstm(x, clock, before)
        return self._attend(hidden, kept), torch.cat((after, self.ring.extend(kept, hidden)), dim=1)

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        before, kept = self._parts(state)
        hidden, after = self.lstm.step(x, clock, before)
        kept = self.ring.push(kept, hidden)
        seen, filled = self.ring.read(kept)
        scores = torch.sigmoid(self.query(hidden).unsqueeze(1) + self.key(seen)) @ self.score
        shares = torch.softmax(scores.masked_fill(~filled, -torch.inf), dim=1)
        found = torch.bmm(shares.unsqueeze(1), seen)[:, 0]
        return self._combine(hidden, found), torch.cat((after, kept), dim=1)

    def _parts(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Split a state into the LSTM's and the ring."""
        size = self.lstm.state_size
        return state[:, :size].contiguous(), state[:, size:]

    def _attend(self, hidden: Tensor, kept: Tensor) -> Tensor:
        """Give the outputs [batch, length, dim] for the LSTM's, after a ring of earlier ones."""
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = hidden.float()
            band, filled = self.ring.join(kept.float(), hidden)
            band, filled = band[:, 1:], filled[:, 1:]  # the oldest has left the first window
            queries, keys = self.query(hidden), self.key(band)
            found: Tensor = _Band.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                queries, keys, self.score, band, filled
            )
            return self._combine(hidden, found)

    def _combine(self, hidden: Tensor, found: Tensor) -> Tensor:
        """Give the outputs from the LSTM's and what attention found."""
        outputs = self.combine(torch.cat((hidden, found), dim=-1))
        return nn.functional.dropout(outputs, self.dropout, self.training)


class _Band(torch.autograd.Function):
    """Attend within a band.

    Takes queries [batch, length, dim], keys [batch, window - 1 + length, dim], v [dim], values like
    the keys, and which of them are real. Query t sees the places t to t + window - 1. Gives the
    attended sums [batch, length, dim].
    """

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, score: Tensor, values: Tensor, filled: Tensor
    ) -> Tensor:
        batch, length, _ = queries.shape
        window = keys.shape[1] - length + 1
        shares = queries.new_empty(batch, length, window)
        found = torch.zeros_like(values[:, :length])
        for rows in _blocks(queries):
            q, k, v = queries[rows], keys[rows], values[rows]
            for at in range(window):
                shares[rows, :, at] = torch.sigmoid(q + k[:, at : at + length]) @ score
            unseen = ~filled[rows].unfold(1, window, 1)
            p = torch.softmax(shares[rows].masked_fill(unseen, -torch.inf), dim=-1)
            shares[rows] = p
            for at in range(window):
                found[rows].addcmul_(p[:, :, at : at + 1], v[:, at : at + length])
        ctx.save_for_backward(queries, keys, score, values, shares)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, score, values, shares = ctx.saved_tensors
        length, window = shares.shape[1:]
        found = tuple(torch.zeros_like(x) for x in (queries, keys, score, values))
        for rows in _blocks(queries):
            grad, p = grads[0][rows], shares[rows]
            to_p = torch.empty_like(p)
            for at in range(window):
                stretch = slice(at, at + length)
                found[3][rows, stretch].addcmul_(p[:, :, at : at + 1], grad)
                torch.sum(grad * values[rows, stretch], dim=-1, out=to_p[:, :, at])
            to_scores = torch.ops.aten._softmax_backward_data(to_p, p, -1, p.dtype)
            ends = (queries[rows], keys[rows])
            _through_scores(ends, score, to_scores, (found[0][rows], found[1][rows]), found[2])
        return (*found, None)


def _through_scores(
    ends: tuple[Tensor, Tensor],
    score: Tensor,
    grads: Tensor,
    to_ends: tuple[Tensor, Tensor],
    to_score: Tensor,
) -> None:
    """Add to the gradients of queries and keys and of v what those of all scores tell."""
    length, window = grads.shape[1:]
    for at in range(window):
        stretch = slice(at, at + length)
        opened = torch.sigmoid(ends[0] + ends[1][:, stretch])
        grad = grads[:, :, at : at + 1]
        to_score.addmv_(opened.flatten(0, 1).T, grad.flatten())
        slope = torch.ops.aten.sigmoid_backward(grad * score, opened)
        to_ends[0].add_(slope)
        to_ends[1][:, stretch].add_(slope)


def _blocks(queries: Tensor) -> list[slice]:
    """Cut the users into blocks of about `_CELLS` numbers."""
    batch, length, dim = queries.shape
    size = max(1, _CELLS // (length * dim))
    return [slice(start, start + size) for start in range(0, batch, size)]


def _check(dim: int, layers: int, window: int, dropout: float) -> None:
    faults = []
    try:
        check_sizes("LSTMAttention", dim, layers, dropout)
    except ConfigError as fault:
        faults.append(str(fault))
    whole = isinstance(window, int) and not isinstance(window, bool)
    if not whole or not 2 <= window <= LARGEST:
        faults.append(
            f"LSTMAttention(window={window!r}): expected a whole number from 2 to {LARGEST}; "
            "for none but the newest state, use LSTM."
        )
    raise_all(faults, ConfigError)
