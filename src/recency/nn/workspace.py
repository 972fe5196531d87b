"""Workspace: arrays lent anew at every call, because new pages cost more than the work in them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Ints


class Workspace:
    """Lend arrays; what is lent holds until the same is asked for again."""

    def __init__(self) -> None:
        self._cells = torch.empty(0)
        self._lent = _parts(0)

    def cells(self, n: int, m: int) -> Tensor:
        """Lend [n, m] of float32."""
        if len(self._cells) < n * m:
            self._cells = torch.empty(n * m)
        return self._cells[: n * m].view(n, m)

    def parts(self, n: int) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Lend [n] of int64, of float64 and of float32."""
        if len(self._lent[0]) < n:
            self._lent = _parts(n + n // 4)
        ints, doubles, floats = self._lent
        return ints[:n], doubles[:n], floats[:n]


def _parts(n: int) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    return np.empty(n, np.int64), np.empty(n), np.empty(n, np.float32)
