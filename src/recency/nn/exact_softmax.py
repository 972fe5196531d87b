"""The softmax over all items and its gradients, computed chunk by chunk of targets.

With s the scores and y the target, E_i = exp(s_i - s_y) and Z = sum of E, the loss is log Z, shares
are P = E / Z, and gradients of the loss are products of P - onehot with the table and with the
queries. E is made chunk by chunk (`recency.nn.powers`); what divides by Z are vectors, not E. Where
the loss is the mean, its slope is known beforehand and nothing of a chunk is kept. Where each
target has a slope of its own, E is kept as long as it is small, and else computed anew.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recency.nn import powers
from recency.nn.powers import LARGEST, Powers, highest, kind_now


def mean_nats(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Give the mean of -log softmax(queries @ table.T + bias)[target], float32, a scalar.

    Args:
        queries: [m, dim] float32, with m >= n; those beyond the targets count for nothing.
        table: [n_items, dim] float32.
        bias: [n_items] float32, or None.
        targets: [n] item rows.
    """
    found: Tensor = _Mean.apply(  # type: ignore[no-untyped-call] # torch's
        queries, table, bias, targets, torch.is_grad_enabled(), kind_now()
    )
    return found


def nats(queries: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Give the numbers [n] that `mean_nats` means over; the same arguments."""
    found: Tensor = _Each.apply(  # type: ignore[no-untyped-call] # torch's
        queries, table, bias, targets, torch.is_grad_enabled(), kind_now()
    )
    return found


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        table: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        learn: bool,
        kind: torch.dtype,
    ) -> Tensor:
        given = _Given(queries, table, bias, targets)
        slopes = _Slopes(given, kind) if learn and any(ctx.needs_input_grad) else None
        asked = given.asked()

        def hear(part: slice, raised: Tensor, sums: Tensor) -> None:
            if slopes is not None:
                weights = asked[part] / sums
                slopes.ask(part, raised, weights)
                slopes.add(part, raised, weights)

        told, _ = _work_through(given, kind, hear, slopes)
        if slopes is not None:
            slopes.subtract(None)
            ctx.save_for_backward(slopes.queries, slopes.table, slopes.bias)
        ctx.n = len(targets)
        return told.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / ctx.n
        found = [None if part is None else part * scale for part in ctx.saved_tensors]
        return *found, None, None, None


class _Each(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        table: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        learn: bool,
        kind: torch.dtype,
    ) -> Tensor:
        given = _Given(queries, table, bias, targets)
        learn = learn and any(ctx.needs_input_grad)
        few = learn and len(queries) * len(table) <= powers.KEPT_CELLS
        kept = table.new_empty(len(queries), len(table), dtype=kind) if few else None
        sums = queries.new_empty(len(queries))

        def hear(part: slice, raised: Tensor, found: Tensor) -> None:
            sums[part] = found

        told, centres = _work_through(given, kind, hear, kept=kept)
        ctx.kind = kind
        ctx.save_for_backward(queries, table, bias, targets, centres, sums, kept)
        return told

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, table, bias, targets, centres, sums, kept = ctx.saved_tensors
        given = _Given(queries, table, bias, targets)
        slopes = _Slopes(given, ctx.kind)
        weights = nn.functional.pad(grads[0], (0, len(queries) - len(targets))) / sums
        made = given.powers(centres, ctx.kind, kept)
        for part in made.parts:
            raised = made.of(part) if kept is None else kept[part]
            slopes.ask(part, raised, weights[part])
            slopes.add(part, raised, weights[part])
        slopes.subtract(grads[0])
        return slopes.queries, slopes.table, slopes.bias, None, None, None


class _Given(NamedTuple):
    """Hold what a loss is asked of; see `mean_nats`."""

    queries: Tensor
    table: Tensor
    bias: Tensor | None
    targets: Tensor

    def own(self) -> Tensor:
        """Give the targets' scores [n]."""
        asked = self.queries[: len(self.targets)]
        own = (asked * self.table[self.targets]).sum(1)
        return own if self.bias is None else own + self.bias[self.targets]

    def powers(self, centres: Tensor, kind: torch.dtype, kept: Tensor | None) -> Powers:
        """Give the powers of all scores less what they start from."""
        return Powers(self.queries, self.table, self.bias, centres, kind, kept)

    def highest(self, step: int) -> Tensor:
        """Give the highest score of each target's query [n]."""
        return highest(self.queries[: len(self.targets)], self.table, self.bias, step)

    def asked(self) -> Tensor:
        """Give 1 for the queries that have a target, and else 0: [m]."""
        places = torch.arange(len(self.queries), device=self.queries.device)
        return (places < len(self.targets)).to(self.queries.dtype)


def _work_through(
    given: _Given,
    kind: torch.dtype,
    hear: Callable[[slice, Tensor, Tensor], None],
    slopes: "_Slopes | None" = None,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Show all chunks' powers and their sums; give the nats [n], and what powers start from [n].

    They start from the targets' scores, or, where others are so much higher that no float holds
    their powers, from the highest scores; then all are shown again.
    """
    own = centres = given.own()
    while True:
        made, total = given.powers(centres, kind, kept), own.new_empty(len(given.queries))
        for part in made.parts:
            raised = made.of(part)
            total[part] = made.sums(raised)
            hear(part, raised, total[part])
        total = total[: len(own)]
        if centres is not own or not bool((total > LARGEST).any()):
            return (total.log() + (centres - own)).clamp_(min=0), centres
        centres = given.highest(made.step)
        if slopes is not None:
            slopes.clear()


class _Slopes:
    """Gather the gradients of a sum of weighed nats, chunk by chunk."""

    def __init__(self, given: _Given, kind: torch.dtype) -> None:
        self._given, self._kind = given, kind
        self._items = given.table.to(kind)
        self.queries = torch.empty_like(given.queries)
        self.table = torch.zeros_like(given.table)
        self.bias = None if given.bias is None else torch.zeros_like(given.bias)

    def clear(self) -> None:
        """Begin anew."""
        self.table.zero_()
        if self.bias is not None:
            self.bias.zero_()

    def ask(self, part: slice, raised: Tensor, weights: Tensor) -> None:
        """Write what a chunk of queries moves by, from its powers [rows, n_items]."""
        torch.mul(torch.mm(raised, self._items), weights.unsqueeze(1), out=self.queries[part])

    def add(self, part: slice, raised: Tensor, weights: Tensor) -> None:
        """Add what a chunk moves the items by; weights [rows] divided by the powers' sums."""
        weighed = (self._given.queries[part] * weights.unsqueeze(1)).to(self._kind)
        if self._kind == torch.float32:
            torch.addmm(self.table, raised.t(), weighed, out=self.table)
        else:
            self.table += torch.mm(raised.t(), weighed)
        if self.bias is not None:
            self.bias += torch.mm(weights.to(self._kind).unsqueeze(0), raised)[0]

    def subtract(self, weights: Tensor | None) -> None:
        """Take the targets' own part away; None weighs all alike."""
        queries, table, _, targets = self._given
        n = len(targets)
        ones = torch.ones_like(self.queries[:n, 0]) if weights is None else weights
        self.queries[:n] -= table[targets] * ones.unsqueeze(1)
        self.queries[n:] = 0
        self.table.index_add_(0, targets, queries[:n] * ones.unsqueeze(1), alpha=-1)
        if self.bias is not None:
            self.bias.index_add_(0, targets, ones, alpha=-1)
