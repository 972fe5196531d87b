"""AdamW that moves only the item vectors a batch touches.

A catalogue of a million items has a table of hundreds of megabytes. A dense gradient of it, and an
optimiser that reads and writes every row in every step, cost many times what the rest of the step
does; yet a batch touches some thousand rows: items read, told and drawn. So these rows are lent to
the model as a small table of their own for the length of a step, and put back afterwards.

The rule is AdamW's, row by row, with one difference: **a row that is not touched sleeps**. Its
moments, its count of steps (which corrects their start from zero) and its weight decay stand still,
while dense AdamW would go on moving it by old gradients and shrinking it. Where every batch touches
every row, both are the same. What a step computes is otherwise that of the whole table, the norm of
all gradients included, since untouched rows have none.

A row-wise Adagrad would need one number a row instead of two a weight; this rule is kept because it
behaves as the dense one does under the same learning rate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from recency.data.histories import UNKNOWN
from recency.nn.inputs import SPECIAL, Tensors
from recency.nn.losses import Sample
from recency.nn.model import SequenceModel


@dataclass(frozen=True)
class _Loan:
    """Hold a table, which of its rows are lent, and the small table that they make."""

    table: nn.Parameter
    rows: Tensor
    lent: nn.Parameter


class RowAdamW(torch.optim.AdamW):
    """Move a model's item vectors and biases row by row, all other weights as AdamW does.

    Args:
        model: Its ``items`` and ``bias`` have no gradient of their own; see `lend`.
        groups: Parameter groups as AdamW takes them, the two tables among them.
        **settings: Of AdamW.
    """

    def __init__(self, model: SequenceModel, groups: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, **settings)
        self._loans: list[_Loan] = []
        for table in (model.items, model.bias):
            self.state[table] = {
                "exp_avg": torch.zeros_like(table),
                "exp_avg_sq": torch.zeros_like(table),
                "step": torch.zeros(len(table), device=table.device),
            }

    @contextmanager
    def lend(self, model: SequenceModel, rows: Tensor) -> Iterator[None]:
        """Let a model have nothing but some items inside the block, so that gradients are small.

        Args:
            model: Its item rows count in the small table inside the block; call `step` there.
            rows: [n] item rows, ascending, each once.
        """
        special = torch.arange(SPECIAL, device=rows.device)
        loans = [
            _Loan(table, part, nn.Parameter(table.detach()[part]))
            for table, part in (
                (model.items, torch.cat((special, rows + SPECIAL))),
                (model.bias, rows),
            )
        ]
        self._loans = loans
        model.items, model.bias = (loan.lent for loan in loans)
        try:
            yield
        finally:
            model.items, model.bias = (loan.table for loan in loans)
            self._loans = []

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move all weights, of the tables those lent."""
        given = super().step(closure)
        for group in self.param_groups:
            for loan in self._loans:
                if any(loan.table is table for table in group["params"]):
                    self._move(loan, group)
        return given

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, those of what is lent too."""
        super().zero_grad(set_to_none)
        for loan in self._loans:
            loan.lent.grad = None

    def _move(self, loan: _Loan, group: dict[str, Any]) -> None:
        """Take one step of AdamW with the rows of a loan, and put them back."""
        weights, rows, memory = loan.lent.detach(), loan.rows, self.state[loan.table]
        gradient = torch.zeros_like(weights) if loan.lent.grad is None else loan.lent.grad
        first, second = group["betas"]
        mean = memory["exp_avg"][rows].lerp_(gradient, 1 - first)
        square = (
            memory["exp_avg_sq"][rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        )
        steps = memory["step"][rows].add_(1)
        for name, part in (("exp_avg", mean), ("exp_avg_sq", square), ("step", steps)):
            memory[name].index_copy_(0, rows, part)
        steps = steps.view(-1, *[1] * (weights.ndim - 1)).double()
        size = (group["lr"] / (1 - first**steps)).to(weights.dtype)
        root = square.sqrt_().div_((1 - second**steps).sqrt().to(weights.dtype)).add_(group["eps"])
        weights.mul_(1 - group["lr"] * group["weight_decay"]).sub_(size * mean / root)
        loan.table.detach().index_copy_(0, rows, weights)


def touched(n_items: int, *items: Tensor) -> Tensor:
    """Give the item rows of a catalogue, ascending and each once, that occur in tensors."""
    rows = torch.cat([part.flatten().long() for part in items])
    found: Tensor = torch.unique(rows[(rows >= 0) & (rows < n_items)])
    return found


def as_lent(batch: Tensors, rows: Tensor) -> Tensors:
    """Write a batch's items as places in the lent rows; sentinels stay, others are unknown."""
    items = batch.items.long()
    places = torch.searchsorted(rows, items).clamp_(max=len(rows) - 1)
    found = torch.where(rows[places] == items, places, UNKNOWN)
    return replace(batch, items=torch.where(items < 0, items, found).to(batch.items.dtype))


@contextmanager
def lent_rows(
    optimizer: torch.optim.Optimizer,
    model: SequenceModel,
    batch: Tensors,
    targets: Tensor,
    sample: Sample | None,
) -> Iterator[tuple[Tensors, Sample | None]]:
    """Lend a model the rows of one step, where its optimiser moves rows; else change nothing.

    Args:
        optimizer: Any; only a `RowAdamW` lends.
        model: To be trained by one step inside the block.
        batch: Events that are read.
        targets: [n] item rows.
        sample: Items drawn.

    Yields:
        Batch and sample as the model must be given them inside the block.
    """
    if not isinstance(optimizer, RowAdamW) or sample is None:
        yield batch, sample
        return
    rows = touched(model.n_items, batch.items, targets, sample.items)
    log_q = None if sample.log_q is None else sample.log_q[rows]
    with optimizer.lend(model, rows):
        yield as_lent(batch, rows), replace(sample, rows=rows, log_q=log_q)
