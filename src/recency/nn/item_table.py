"""ItemTable: the item vectors of a model as a question meets them, scored for many at once.

All items are scored in float32, or, in catalogues so large that it pays on this machine, roughly
(`recency.nn.rough_table`); then what matters is scored again in float64. Which is faster is
measured once for a table, as it hangs on the processor as much as on the catalogue.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Ints
from recency.nn.losses import cosine
from recency.nn.model import SequenceModel
from recency.nn.rough_table import RoughTable

Doubles = npt.NDArray[np.float64]

SMALLEST = 32_768  # items below which rough scores cannot save much
_GAIN = 1.25  # times faster that rough scores must be
_TRIALS = 3


@dataclass(frozen=True)
class Search:
    """Tell how the best items are looked for, and what was measured.

    Attributes:
        rough: Whether items are first scored in 8 bits; the answers are exact either way.
        n_items: Items with weights.
        exact_ms: Milliseconds to score all items for one question in float32; None where the
            catalogue is too small to ask.
        rough_ms: The same in 8 bits.
    """

    rough: bool
    n_items: int
    exact_ms: float | None = None
    rough_ms: float | None = None

    def __str__(self) -> str:
        how = "by 8 bits first, then exactly" if self.rough else "exactly"
        if self.exact_ms is None or self.rough_ms is None:
            return f"{self.n_items:,} items are searched {how}"
        return (
            f"{self.n_items:,} items are searched {how} "
            f"({self.exact_ms:.2f} ms a question in float32, {self.rough_ms:.2f} ms in 8 bits)"
        )


class ItemTable:
    """Score items by the encoder alone.

    Args:
        model: On the CPU; its weights are taken as they are now.
        rough: Whether to score in 8 bits first; None measures what is faster.
    """

    def __init__(self, model: SequenceModel, rough: bool | None = None) -> None:
        self._temperature = model.temperature
        vectors, self.bias = model.vectors.detach(), model.bias.detach()
        if model.temperature is not None:
            _, vectors = cosine(vectors[:0], vectors, model.temperature)
        self.vectors = vectors
        self._of = _identity(model)
        large = len(self) >= SMALLEST if rough is None else rough
        self._rough = RoughTable(vectors) if large else None
        self.search = Search(large, len(self))
        if large and rough is None:
            self.search = self._measured()
            self._rough = self._rough if self.search.rough else None

    def __len__(self) -> int:
        return len(self.bias)

    @property
    def rough(self) -> bool:
        """Tell whether scores of all items are rough."""
        return self._rough is not None

    def is_of(self, model: SequenceModel) -> bool:
        """Tell whether the weights are still those of the model."""
        return self._of == _identity(model)

    def asked(self, queries: Tensor) -> Tensor:
        """Turn queries [n, dim] into vectors whose products with the items' are scores."""
        if self._temperature is None:
            return queries
        return cosine(queries, self.vectors[:0], self._temperature)[0]

    def scores(self, asked: Tensor, out: Tensor) -> tuple[Doubles, Doubles]:
        """Write the scores of all items, [n, items].

        Returns:
            What each row may be off by at most, and the variance of what it is off by, [n] each.
        """
        if self._rough is None:
            torch.addmm(self.bias, asked, self.vectors.t(), out=out)
            return np.zeros(len(asked)), np.zeros(len(asked))
        most, variance = self._rough.scores(asked, out)
        out += self.bias
        return most.double().numpy(), variance.double().numpy()

    def scores_of(self, asked: Tensor, rows: Ints, items: Ints) -> Doubles:
        """Score some items in float64: question ``rows`` [m] about ``items`` [m]."""
        vectors = self.vectors.numpy()[items].astype(np.float64)
        found: Doubles = np.einsum("nd,nd->n", asked.numpy()[rows], vectors)
        found += self.bias.numpy()[items]
        return found

    def _measured(self) -> Search:
        """Time both ways for one question."""
        asked, out = self.vectors[:1].clone(), torch.empty(1, len(self))
        exact = _fastest(lambda: torch.mm(asked, self.vectors.t(), out=out))
        rough = _fastest(lambda: self.scores(asked, out))
        return Search(exact > _GAIN * rough, len(self), 1000 * exact, 1000 * rough)


def _fastest(function: Callable[[], object]) -> float:
    taken = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _identity(model: SequenceModel) -> tuple[int, ...]:
    """Name the weights as they are: another tensor, or the same one changed, has another name."""
    weights = (model.vectors, model.bias)
    return tuple(part for one in weights for part in (one.data_ptr(), one._version, len(one)))
