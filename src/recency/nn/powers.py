"""Powers: exponentials of scores, made chunk by chunk for softmax losses with gradients by hand.

    E_ij = exp(q_i . v_j + b_j - c_i)

c_i starts the powers of row i near 0, so that floats hold them. Nothing touches E beside one
product, one pass of powers and one of sums, and a chunk of it stays in a processor's cache as long
as it is worked on: bias and c are columns of the product. Powers are of two, which torch computes
faster than those of e.

Inside `half_softmax` E and what it is multiplied with are bfloat16, for processors that have units
for it. Sums stay float32, and so does all that is handed in and out, so what is rounded is single
shares, to eight bits, and not the loss.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

CHUNK = 256  # targets: their E of some thousand items fits into a cache
CELLS = 2**26  # of E held at once: 256 MB in float32
KEPT_CELLS = 2**23  # of E kept for the backward pass rather than computed anew: 32 MB
LARGEST = 1e30  # of sums; beyond, powers come near the largest float and start from another number
_BINARY = math.log2(math.e)

_half: ContextVar[bool] = ContextVar("half", default=False)


@contextmanager
def half_softmax(wanted: bool = True) -> Iterator[None]:
    """Multiply in bfloat16 inside the block, where that is wanted."""
    token = _half.set(wanted)
    try:
        yield
    finally:
        _half.reset(token)


def kind_now() -> torch.dtype:
    """Give what E is made of here: bfloat16 inside `half_softmax`, else float32."""
    return torch.bfloat16 if _half.get() else torch.float32


class Powers:
    """Raise 2 to the scores less a number a row, both in binary digits, chunk by chunk.

    Args:
        queries: [m, dim] float32.
        table: [n_items, dim] float32.
        bias: [n_items] float32, or None.
        centres: [n] what is subtracted, with n <= m; nothing is from the rest.
        kind: Of the powers.
        kept: [m, n_items] where all are written; None uses one chunk's memory over and over.
    """

    def __init__(
        self,
        queries: Tensor,
        table: Tensor,
        bias: Tensor | None,
        centres: Tensor,
        kind: torch.dtype,
        kept: Tensor | None = None,
    ) -> None:
        self.step = max(1, min(CHUNK, CELLS // max(1, len(table)), len(queries)))
        steps = range(0, len(queries), self.step)
        self.parts = [slice(at, min(at + self.step, len(queries))) for at in steps]
        lower = nn.functional.pad(-_BINARY * centres, (0, len(queries) - len(centres)))
        starts = _columns(lower, kind)
        ones = [torch.ones_like(column) for column in starts]
        left, right = [(_BINARY * queries).to(kind), *starts], [table.to(kind)]
        right += [column.new_ones(len(table), 1) for column in starts]
        if bias is not None:
            left, right = left + ones, right + _columns(_BINARY * bias, kind)
        self._left, self._right = torch.cat(left, 1), torch.cat(right, 1).t()
        self._kept = kept
        self._chunk = table.new_empty(0 if kept is not None else self.step, len(table), dtype=kind)
        self._wide = None if kind == torch.float32 else table.new_empty(self.step, len(table))

    def of(self, part: slice) -> Tensor:
        """Give the powers [rows, n_items] of a chunk."""
        place = self._chunk[: part.stop - part.start] if self._kept is None else self._kept[part]
        torch.mm(self._left[part], self._right, out=place)
        return torch.exp2(place, out=place)

    def sums(self, raised: Tensor) -> Tensor:
        """Add the powers [rows, n_items] of each row up, in float32."""
        if self._wide is None:
            return raised.sum(1)
        return self._wide[: len(raised)].copy_(raised).sum(1)  # torch's own cast takes memory anew


def highest(queries: Tensor, table: Tensor, bias: Tensor | None, step: int) -> Tensor:
    """Give the highest score of each query [n], so many at once."""
    bias = torch.zeros_like(table[:, 0]) if bias is None else bias
    parts = torch.split(queries, step)
    return torch.cat([torch.addmm(bias, part, table.t()).amax(1) for part in parts])


def _columns(numbers: Tensor, kind: torch.dtype) -> list[Tensor]:
    """Write numbers [n] as columns [n, 1] that add up to them, each as exact as the kind allows."""
    coarse = numbers.to(kind)
    if kind == torch.float32:
        return [coarse.unsqueeze(1)]
    return [coarse.unsqueeze(1), (numbers - coarse.float()).to(kind).unsqueeze(1)]
