"""Metrics of foretold chances: do they part what happens from what does not, and are they true?

With p the chance foretold and y = 1 where it happened, over n questions:

    auc        P(p of one that happened > p of one that did not) + P(equal) / 2
    log_loss   mean -log(chance given to what came), nats; chances are kept 1e-7 off 0 and 1
    brier      mean (p - y)^2
    ece        sum over bins of n_bin / n * |mean p - mean y|: the expected calibration error
    accuracy, precision, recall, f1   of saying "it happens" where p >= threshold

Decisions: bins of the calibration error hold equal counts, equal chances never parted, since bins
of equal width are mostly empty where events are rare; ``"width"`` gives those that papers use. A
metric that nothing defines (AUC where all happened) is NaN, never an invented 0; precision where
nothing is said to happen is 0, as scikit-learn has it.

Source:
    Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 2006 (AUC under ties).
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation (3). arXiv:1706.04599
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.errors import ConfigError, DataError, raise_all

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bins = Literal["count", "width"]

SURE = 1e-7  # a chance of 0 for what happens would cost infinitely much
N_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Hold what was foretold and what happened, in bins of the chance, lowest first.

    Attributes:
        foretold: [n_bins] mean chance of each bin.
        happened: [n_bins] share of each bin that happened.
        n: [n_bins] questions in each, none of them empty.
    """

    foretold: Floats
    happened: Floats
    n: Ints

    @property
    def error(self) -> float:
        """Give the expected calibration error, in [0, 1], lower is better."""
        return float((self.n * np.abs(self.foretold - self.happened)).sum() / self.n.sum())

    def to_frame(self) -> pl.DataFrame:
        """Give one row a bin: ``foretold``, ``happened``, ``n``."""
        return pl.DataFrame({"foretold": self.foretold, "happened": self.happened, "n": self.n})


def chance_metrics(
    chance: npt.ArrayLike,
    happened: npt.ArrayLike,
    *,
    threshold: float = 0.5,
    n_bins: int = N_BINS,
    bins: Bins = "count",
) -> dict[str, float]:
    """Measure foretold chances against what happened.

    Args:
        chance: [n] in [0, 1].
        happened: [n] 0 or 1, or booleans.
        threshold: Chances from which "it happens" is said.
        n_bins: Of the calibration error.
        bins: ``"count"``, of equal counts, or ``"width"``, of equal width.

    Returns:
        ``auc``, ``log_loss``, ``brier``, ``ece``, ``accuracy``, ``precision``, ``recall``, ``f1``
        and ``rate``, the share that happened.

    Raises:
        DataError: nothing to measure, lengths differ, or something is no chance; all at once.
        ConfigError: ``n_bins`` or ``bins`` is impossible.
    """
    p, y = checked(chance, happened)
    said = p >= threshold
    right = int((said & y).sum())
    return {
        "auc": auc(p, y),
        "log_loss": float(log_losses(p, y).mean()),
        "brier": float(((p - y) ** 2).mean()),
        "ece": reliability(p, y, n_bins=n_bins, bins=bins).error,
        "accuracy": float((said == y).mean()),
        "precision": _share(right, int(said.sum())),
        "recall": _share(right, int(y.sum())),
        "f1": _share(2 * right, int(said.sum()) + int(y.sum())),
        "rate": float(y.mean()),
    }


def log_losses(chance: npt.ArrayLike, happened: npt.ArrayLike) -> Floats:
    """Give -log of the chance given to what came, [n] nats.

    Raises:
        DataError: as `chance_metrics`.
    """
    p, y = checked(chance, happened)
    losses: Floats = -np.log(np.where(y, p, 1 - p).clip(SURE, 1 - SURE))
    return losses


def auc(chance: Floats, happened: Bools, weights: Floats | None = None) -> float:
    """Give the chance that one that happened was ranked above one that did not; ties count half.

    Args:
        chance: [n] any scores, higher for what is likelier.
        happened: [n].
        weights: [n] how often each counts, such as how often its user was drawn; None: once.

    Returns:
        In [0, 1]; NaN where all or none happened.
    """
    _, place = np.unique(chance, return_inverse=True)
    ones = np.ones(len(place)) if weights is None else weights
    up = np.bincount(place, ones * happened)
    down = np.bincount(place, ones * ~happened)
    if not up.sum() or not down.sum():
        return float("nan")
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def reliability(
    chance: npt.ArrayLike, happened: npt.ArrayLike, *, n_bins: int = N_BINS, bins: Bins = "count"
) -> Reliability:
    """Put questions into bins of their chance, and tell what happened in each.

    Raises:
        DataError: as `chance_metrics`.
        ConfigError: fewer than one bin, or bins of neither kind.
    """
    faults = [] if n_bins >= 1 else [f"n_bins: expected at least 1, found {n_bins}."]
    if bins not in ("count", "width"):
        faults.append(f"bins: expected 'count' or 'width', found {bins!r}.")
    raise_all(faults, ConfigError)
    p, y = checked(chance, happened)
    if bins == "width":
        place = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
    else:
        values, first = np.unique(np.sort(p), return_index=True)
        # Equal chances go where the first of them goes.
        place = (first * n_bins // len(p))[np.searchsorted(values, p)]
    n = np.bincount(place, minlength=n_bins)
    real = n > 0
    foretold = np.bincount(place, p, n_bins)[real] / n[real]
    return Reliability(foretold, np.bincount(place, y, n_bins)[real] / n[real], n[real])


def checked(chance: npt.ArrayLike, happened: npt.ArrayLike) -> tuple[Floats, Bools]:
    """Give chances and outcomes as arrays.

    Raises:
        DataError: nothing to measure, lengths differ, a chance is outside [0, 1] or NaN, or an
            outcome is neither 0 nor 1; all faults at once.
    """
    p, y = np.asarray(chance, np.float64), np.asarray(happened)
    if p.shape != y.shape or p.ndim != 1:
        raise DataError(
            f"expected as many chances as outcomes, each in one row, found shapes {p.shape} "
            f"and {y.shape}."
        )
    if not len(p):
        raise DataError("expected at least one question, found none; is the test part empty?")
    faults = []
    if n_wrong := int((~((p >= 0) & (p <= 1))).sum()):
        found = p[~((p >= 0) & (p <= 1))][0]
        faults.append(
            f"expected chances in [0, 1], found {n_wrong:,} of {len(p):,} others, such as "
            f"{found:g}; pass probabilities, not scores or logits."
        )
    if n_wrong := int((~np.isin(y, (0, 1))).sum()):
        faults.append(
            f"expected outcomes of 0 or 1, found {n_wrong:,} of {len(y):,} others, such as "
            f"{y[~np.isin(y, (0, 1))][0]!r}."
        )
    raise_all(faults, DataError)
    return p, y.astype(bool)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
