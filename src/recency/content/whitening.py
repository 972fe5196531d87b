"""Whitening: vectors of any model brought to one scale, without the directions all of them share.

Vectors of language models lie in a narrow cone: most of their length says "this is a text", and few
directions carry most of the variance. Taken as they are, a model learns little from them. So their
mean is taken off, and they are turned and scaled until no number follows from the others and each
has the same variance; only the strongest directions are kept: the Whitening-k of Su et al.,
Whitening Sentence Representations for Better Semantics and Faster Retrieval, 2021 (arXiv
2103.15316).

It is fitted on items that training knows, never on later ones.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recency.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]
_LEAST = 1e-6  # of the largest variance; a direction below carries rounding alone


@dataclass(frozen=True)
class Whitening:
    """Turn vectors into few numbers of mean 0 and variance 1.

    Attributes:
        mean: [given] of the vectors it was fitted on.
        projection: [given, dim] onto the strongest directions, each scaled to variance 1.
    """

    mean: Floats
    projection: Floats

    @property
    def dim(self) -> int:
        """Count the numbers that vectors become."""
        return int(self.projection.shape[1])

    @classmethod
    def fit(cls, vectors: Floats, dim: int = 64) -> Self:
        """Find mean and strongest directions.

        Args:
            vectors: [items, given]; rows of NaN are left out.
            dim: Most numbers to keep; fewer where vectors have fewer directions, or where there are
                not more items than that.

        Raises:
            ConfigError: ``dim`` is no whole number of at least 1.
            DataError: fewer than two vectors are known, or all are equal.
        """
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise ConfigError(f"dim: expected a whole number of at least 1, found {dim!r}.")
        known = vectors[~np.isnan(vectors).any(1)].astype(np.float64)
        if len(known) < 2:
            raise DataError(
                f"expected vectors of two items at least to whiten them, found {len(known)}; "
                f"check that the vectors' ids are those of the log."
            )
        mean = known.mean(0)
        spread, directions = np.linalg.eigh(
            np.cov(known - mean, rowvar=False).reshape(len(mean), -1)
        )
        spread, directions = spread[::-1], directions[:, ::-1]  # the strongest first
        kept = int(np.count_nonzero(spread > max(_LEAST * spread[0], 1e-12)))
        if not kept:
            raise DataError("expected vectors that differ, found all equal: they tell nothing.")
        kept = min(kept, dim)
        # The sign of a direction is arbitrary; fixed here, so that a fit repeats.
        chosen = directions[:, :kept]
        signs = np.sign(chosen[np.abs(chosen).argmax(0), np.arange(kept)])
        scaled = chosen * signs / np.sqrt(spread[:kept])
        return cls(mean.astype(np.float32), scaled.astype(np.float32))

    def apply(self, vectors: Floats) -> Floats:
        """Whiten vectors [n, given] to [n, dim]; zeros, the mean, where a row is not known.

        Raises:
            DataError: of another width than those it was fitted on.
        """
        if vectors.shape[1] != len(self.mean):
            raise DataError(
                f"expected vectors of {len(self.mean)} numbers, as in training, found "
                f"{vectors.shape[1]}; encode them with the same model."
            )
        found: Floats = np.nan_to_num((vectors - self.mean) @ self.projection)
        return found
