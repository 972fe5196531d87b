"""How sure a mean over targets is: the bootstrap over users, and the paired one between models.

Decisions: users are resampled, not targets, because a user's targets are no independent draws. All
models and metrics are resampled with the same users, so that a difference is a paired one. The
interval is the percentile interval of 95 %; p is twice the smaller share of resampled differences
on one side of 0, with one added above and below, so that it is never 0.

Source:
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CELLS = 2**22  # users drawn at once, over all samples of a block


@dataclass(frozen=True)
class Resampled:
    """Hold means of c columns over units, and over resampled users.

    Attributes:
        means: [c] means over all units.
        samples: [n_samples, c] means over the units of resampled users.
    """

    means: Floats
    samples: Floats

    def interval(self, column: int) -> tuple[float, float]:
        """Give the 95 % interval of one column's mean."""
        return _percentiles(self.samples[:, column])

    def difference(self, first: int, second: int) -> tuple[float, tuple[float, float], float]:
        """Compare two columns: difference of means, its 95 % interval, two-sided p."""
        differences = self.samples[:, first] - self.samples[:, second]
        differences = differences[~np.isnan(differences)]
        tails = min((differences <= 0).sum(), (differences >= 0).sum())
        p = min(1.0, 2 * (int(tails) + 1) / (len(differences) + 1))
        return float(self.means[first] - self.means[second]), _percentiles(differences), p


def resample(columns: Sequence[Floats], user: Ints, n_samples: int, seed: int) -> Resampled:
    """Draw users with replacement, and average the units of those drawn.

    Args:
        columns: c columns of [n_units] values; NaN is left out of its column's mean.
        user: [n_units] any integers that tell users apart.
        n_samples: Bootstrap samples.
        seed: Same seed, same samples.

    Returns:
        Means over all units and over each sample's units.
    """
    _, user = np.unique(user, return_inverse=True)
    n_users = int(user.max(initial=-1)) + 1
    sums, counts = np.empty((n_users, len(columns))), np.empty((n_users, len(columns)))
    for place, column in enumerate(columns):
        real = ~np.isnan(column)
        sums[:, place] = np.bincount(user, np.where(real, column, 0.0), n_users)
        counts[:, place] = np.bincount(user, real, n_users)
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // max(1, n_users))
    blocks = []
    for start in range(0, n_samples, step):
        drawn = _draw(rng, min(step, n_samples - start), n_users)
        blocks.append(_ratio(drawn @ sums, drawn @ counts))
    return Resampled(_ratio(sums.sum(axis=0), counts.sum(axis=0)), np.concatenate(blocks))


def _draw(rng: np.random.Generator, n_samples: int, n_users: int) -> Floats:
    """Count how often each user is drawn, [n_samples, n_users]."""
    drawn = rng.integers(0, n_users, (n_samples, n_users), dtype=np.int64)
    drawn += np.arange(n_samples)[:, None] * n_users
    counts = np.bincount(drawn.ravel(), minlength=n_samples * n_users)
    return counts.reshape(n_samples, n_users).astype(np.float64)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    ratio = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=ratio, where=counts > 0)
    return ratio


def _percentiles(samples: Floats) -> tuple[float, float]:
    if not len(samples) or np.isnan(samples).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return float(low), float(high)
