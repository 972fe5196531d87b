"""RoughTable: item vectors as whole numbers of 8 bits, and how far a score by them can be off.

Reading all item vectors is what a question costs in a large catalogue. In 8 bits they are a quarter
as long and quicker to multiply, and what that loses is bounded for every item at once:
with v = v' + e and q = q' + f, where primes are rounded, Cauchy and Schwarz give

    |q.v - q'.v'| <= |q| max|e| + |f| max|v'|

so whoever looks at all items that come within twice the bound of the best by the rough score has
the best among them, whatever the vectors are. Rounding errors are as good as drawn evenly, so the
variance of a score's error is known as well, and with it by how much sums of exponentials come out
too large. An index of neighbours has no such bound; its recall
hangs on how vectors are spread, and vectors of a model that learned little hardly have neighbours.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

_LARGEST = 127


class RoughTable:
    """Score items by rounded vectors.

    Args:
        vectors: [n_items, dim] float32, on the CPU.
    """

    def __init__(self, vectors: Tensor) -> None:
        self._unit = vectors.abs().amax().clamp(min=1e-30) / _LARGEST
        rounded = (vectors / self._unit).round_()
        self._vectors = _bytes(rounded)
        self._room = torch.empty(0, dtype=torch.int32)
        rounded.mul_(self._unit)
        self._longest = float(rounded.norm(dim=1).max())
        lost = vectors - rounded
        self._farthest = float(lost.norm(dim=1).max())
        self._lost, self._kept = (float(one.square().mean()) for one in (lost, rounded))

    def scores(self, queries: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """Write rough products with queries.

        Args:
            queries: [n, dim].
            out: [n, n_items], written to.

        Returns:
            What the products of each query may be off by at most, and the variance of what they
            are off by, [n] each.
        """
        units = queries.abs().amax(dim=1, keepdim=True).clamp(min=1e-30) / _LARGEST
        rounded = (queries / units).round_()
        cells = len(queries) * len(self._vectors)
        if len(self._room) < cells:
            self._room = torch.empty(cells, dtype=torch.int32)
        products = self._room[:cells].view(len(queries), -1)
        torch._int_mm(_bytes(rounded), self._vectors.t(), out=products)
        torch.mul(products, units * self._unit, out=out)
        length, lost = queries.norm(dim=1), (queries - rounded * units).norm(dim=1)
        variance = length.square() * self._lost + lost.square() * self._kept
        return length * self._farthest + lost * self._longest, variance


def _bytes(rounded: Tensor) -> Tensor:
    """Pack whole numbers [n, dim], with zeros to a multiple of 8: torch errs with one column."""
    return pad(rounded, (0, -rounded.shape[1] % 8)).to(torch.int8)
