"""The softmax over a target and some drawn items, and its gradients, chunk by chunk of targets.

With s_y the target's score, d_j those of the drawn items that are not the target, and E_j =
exp(d_j - s_y + l), where l corrects for drawing, the loss is log Z with Z = 1 + sum of E. Shares
are E / Z, and gradients of the loss are products of them with the drawn vectors and the queries;
that of s_y is 1 / Z - 1. E is made by `recency.nn.powers` and kept for the backward pass as long as
it is small, and else computed anew.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recency.nn import powers
from recency.nn.powers import LARGEST, Powers, highest, kind_now


def drawn_nats(
    queries: Tensor,
    drawn: Tensor,
    bias: Tensor | None,
    own: Tensor,
    lift: Tensor,
    hits: tuple[Tensor, Tensor],
) -> Tensor:
    """Give log(1 + sum_j exp(queries @ drawn.T + bias - own + lift)) of each target, [n] float32.

    Args:
        queries: [m, dim] float32, with m >= n; those beyond the targets count for nothing.
        drawn: [k, dim] float32 vectors.
        bias: [k] float32, or None.
        own: [n] scores of the targets.
        lift: [n] logarithms of what the sums are multiplied with; moves nothing.
        hits: Pairs (target, drawn) that are left out: two vectors of places, the first ascending.
    """
    found: Tensor = _Drawn.apply(  # type: ignore[no-untyped-call] # torch's
        queries, drawn, bias, own, lift, *hits, torch.is_grad_enabled(), kind_now()
    )
    return found


class _Drawn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        drawn: Tensor,
        bias: Tensor | None,
        own: Tensor,
        lift: Tensor,
        rows: Tensor,
        columns: Tensor,
        learn: bool,
        kind: torch.dtype,
    ) -> Tensor:
        few = learn and any(ctx.needs_input_grad)
        few = few and len(queries) * len(drawn) <= powers.KEPT_CELLS
        kept = queries.new_empty(len(queries), len(drawn), dtype=kind) if few else None
        start = centres = own - lift
        while True:
            made = Powers(queries, drawn, bias, centres, kind, kept)
            found = [made.sums(raised) for _, raised in _chunks(made, rows, columns)]
            sums = torch.cat(found)[: len(own)]
            if centres is not start or not bool((sums > LARGEST).any()):
                break
            centres = torch.maximum(start, highest(queries[: len(own)], drawn, bias, made.step))
        target = (start - centres).exp()
        total = target + sums
        ctx.kind = kind
        ctx.save_for_backward(queries, drawn, bias, centres, rows, columns, kept, sums, total)
        return total.log() + (centres - start)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, drawn, bias, centres, rows, columns, kept, sums, total = ctx.saved_tensors
        weights = nn.functional.pad(grads[0] / total, (0, len(queries) - len(total)))
        table = drawn.to(ctx.kind)
        by_query, by_item = torch.empty_like(queries), torch.zeros_like(drawn)
        by_bias = None if bias is None else torch.zeros_like(bias)
        if kept is None:
            made = Powers(queries, drawn, bias, centres, ctx.kind)
            chunks = _chunks(made, rows, columns)
        else:
            chunks = iter([(slice(0, len(kept)), kept)])
        for part, raised in chunks:
            weight = weights[part].unsqueeze(1)
            torch.mul(torch.mm(raised, table), weight, out=by_query[part])
            by_item += torch.mm(raised.t(), (queries[part] * weight).to(ctx.kind))
            if by_bias is not None:
                by_bias += torch.mm(weight.t().to(ctx.kind), raised)[0]
        return by_query, by_item, by_bias, -grads[0] * sums / total, None, None, None, None, None


def _chunks(made: Powers, rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Give the powers chunk by chunk, 0 at the hits."""
    ends = torch.tensor([part.stop for part in made.parts], device=rows.device)
    last = 0
    for part, stop in zip(made.parts, torch.searchsorted(rows, ends).tolist(), strict=True):
        raised = made.of(part)
        if stop > last:
            raised[rows[last:stop] - part.start, columns[last:stop]] = 0
            last = stop
        yield part, raised
