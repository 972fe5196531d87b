"""Text adapters: what was learned beside the matrices of a text encoder, which stay as they are.

Of each matrix W the adapter holds two thin ones, A [rank, in] and B [out, rank]; the encoder then
computes with W + scale B A (Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR
2022, equation 3). These are few numbers beside the encoder's own, so they lie in a model's folder,
where the encoder itself is only named.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TextAdapter:
    """Hold what was learned beside an encoder's matrices.

    Attributes:
        rank: Of the thin matrices.
        identity: A sum over all of it, 16 hexadecimal digits.
        weights: By their name in the encoder.
    """

    rank: int
    identity: str
    weights: Mapping[str, Floats] = field(repr=False, compare=False)

    @classmethod
    def of(cls, rank: int, weights: Mapping[str, Floats]) -> Self:
        """Sum up an adapter's weights."""
        found = hashlib.sha256(str(rank).encode())
        for name in sorted(weights):
            cells = np.ascontiguousarray(weights[name], np.float32)
            found.update(f"{name} {cells.shape}".encode())
            found.update(cells.data)
        return cls(rank, found.hexdigest()[:16], dict(weights))
