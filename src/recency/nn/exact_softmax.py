"""The softmax over all items and its gradients, computed chunk by chunk of targets.

With shares P = softmax(Q T' + b), gradients of the targets' -log P are products of P - onehot with
the table and with the queries. P stays in a processor's cache as long as a chunk is worked on, so
what costs is the three products alone and one pass of exponentials; ordinary operations read and
write matrices of that size a dozen times. Where the loss is the mean, its slope is known beforehand
and nothing of a chunk is kept. Where each target has a slope of its own, P is kept as long as it is
small, and else computed anew.
"""

from typing import Any

import torch
from torch import Tensor

CHUNK = 128  # targets: their shares of some thousand items fit into a cache
CELLS = 2**26  # shares held at once: 256 MB in float32
KEPT_CELLS = 2**23  # shares kept for the backward pass rather than computed anew: 32 MB
_FAINT = 1e-30  # shares below are too near the least float for their logarithm


def mean_nats(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Give the mean of -log softmax(queries @ table.T + bias)[target], float32, a scalar.

    Args:
        queries: [m, dim] float32, with m >= n; those beyond the targets count for nothing.
        table: [n_items, dim] float32.
        bias: [n_items] float32, or None.
        targets: [n] item rows.
    """
    found: Tensor = _Mean.apply(queries, table, bias, targets, torch.is_grad_enabled())  # type: ignore[no-untyped-call] # torch's
    return found


def nats(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Give the numbers [n] that `mean_nats` means over; the same arguments."""
    found: Tensor = _Each.apply(queries, table, bias, targets)  # type: ignore[no-untyped-call] # torch's
    return found


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, learn: bool
    ) -> Tensor:
        learn = learn and any(ctx.needs_input_grad)
        told = queries.new_empty(len(targets))
        slopes = _Slopes(queries, table, bias)
        scores = queries.new_empty(_rows(queries, table), len(table))
        shares = torch.empty_like(scores)
        for part in _parts(queries, table):
            s, p = scores[: part.stop - part.start], shares[: part.stop - part.start]
            _shares(queries[part], table, bias, s, p)
            told[part] = _nats(s, p, targets[part])
            if learn:
                slopes.add(part, p, queries[part], None, len(targets[part]))
        if learn:
            slopes.subtract(targets, queries[: len(targets)], None)
            ctx.save_for_backward(slopes.queries, slopes.table, slopes.bias)
        ctx.n = len(targets)
        return told.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / ctx.n
        to_queries, to_table, to_bias = ctx.saved_tensors
        return (
            to_queries * scale,
            to_table * scale,
            None if to_bias is None else to_bias * scale,
            None,
            None,
        )


class _Each(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        told = queries.new_empty(len(targets))
        kept = len(queries) * len(table) <= KEPT_CELLS
        size = len(queries) if kept else _rows(queries, table)
        shares = queries.new_empty(size, len(table))
        scores = queries.new_empty(_rows(queries, table), len(table))
        for part in _parts(queries, table):
            s = scores[: part.stop - part.start]
            p = shares[part] if kept else shares[: len(s)]
            _shares(queries[part], table, bias, s, p)
            told[part] = _nats(s, p, targets[part])
        ctx.save_for_backward(queries, table, bias, targets, shares if kept else None)
        return told

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, table, bias, targets, kept = ctx.saved_tensors
        n = len(targets)
        weights = torch.nn.functional.pad(grads[0], (0, len(queries) - n)).unsqueeze(1)
        weighed = queries * weights
        slopes = _Slopes(queries, table, bias)
        for part in _parts(queries, table):
            if kept is None:
                p = queries.new_empty(part.stop - part.start, len(table))
                _shares(queries[part], table, bias, torch.empty_like(p), p)
            else:
                p = kept[part]
            slopes.add(part, p, weighed[part], weights[part], len(targets[part]))
        slopes.subtract(targets, weighed[:n], grads[0])
        return slopes.queries, slopes.table, slopes.bias, None


class _Slopes:
    """Gather the gradients of a sum of weighed nats, chunk by chunk.

    A ``weights`` of None weighs all alike.
    """

    def __init__(self, queries: Tensor, table: Tensor, bias: Tensor | None) -> None:
        self.queries = torch.empty_like(queries)
        self.table = torch.zeros_like(table)
        self.bias = None if bias is None else torch.zeros_like(bias)
        self._from = table

    def add(self, part: slice, p: Tensor, weighed: Tensor, weights: Tensor | None, n: int) -> None:
        """Add a chunk's shares p [rows, n_items], of which n rows are asked for."""
        torch.mm(p, self._from, out=self.queries[part])
        if weights is not None:
            self.queries[part] *= weights
        torch.addmm(self.table, p.t(), weighed, out=self.table)
        if self.bias is not None:
            self.bias += p[:n].sum(0) if weights is None else weights[:n].t().mm(p[:n])[0]

    def subtract(self, targets: Tensor, weighed: Tensor, weights: Tensor | None) -> None:
        """Take the targets' own part away, and all of what is beyond them."""
        n = len(targets)
        own = self._from[targets]
        self.queries[:n] -= own if weights is None else own * weights.unsqueeze(1)
        self.queries[n:] = 0
        self.table.index_add_(0, targets, weighed, alpha=-1)
        if self.bias is not None:
            ones = torch.ones_like(self.queries[:n, 0]) if weights is None else weights
            self.bias.index_add_(0, targets, ones, alpha=-1)


def _parts(queries: Tensor, table: Tensor) -> list[slice]:
    step = _rows(queries, table)
    return [slice(at, min(at + step, len(queries))) for at in range(0, len(queries), step)]


def _rows(queries: Tensor, table: Tensor) -> int:
    return max(1, min(CHUNK, CELLS // max(1, len(table)), len(queries)))


def _shares(q: Tensor, table: Tensor, bias: Tensor | None, scores: Tensor, shares: Tensor) -> None:
    """Write scores and shares [rows, n_items]."""
    torch.mm(q, table.t(), out=scores)
    if bias is not None:
        scores += bias
    torch.softmax(scores, dim=1, out=shares)


def _nats(scores: Tensor, shares: Tensor, targets: Tensor) -> Tensor:
    """Give -log of the targets' shares, for the first rows."""
    n = len(targets)
    own = shares[:n].gather(1, targets.unsqueeze(1)).squeeze(1)
    faint = torch.nonzero(own < _FAINT).squeeze(1)
    told = -own.log()
    if len(faint):
        all_of_them = scores[faint]
        told[faint] = all_of_them.logsumexp(1) - all_of_them.gather(
            1, targets[faint].unsqueeze(1)
        ).squeeze(1)
    return told
