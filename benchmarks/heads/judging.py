"""How sure a difference is: the bootstrap over users, for means, root means and AUC."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recency.evaluation.chances import auc, chance_metrics, log_losses
from recency.evaluation.intervals import resample

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESAMPLES, SEED = 1_000, 0


def rmse_gain(ours: Floats, other: Floats, users: Ints, name: str) -> dict[str, float]:
    """Say by what share a root mean square lies under another's, with a 95 % interval.

    Args:
        ours: [n] squared errors.
        other: [n] of the other.
        users: [n] whose they are.
        name: Of the metric.
    """
    resampled = resample([ours, other], users, RESAMPLES, SEED)
    shares = 1 - np.sqrt(resampled.samples[:, 0] / resampled.samples[:, 1])
    low, high = np.percentile(shares, [2.5, 97.5])
    gain = 1 - np.sqrt(resampled.means[0] / resampled.means[1])
    p = resampled.difference(0, 1)[2]
    return {name: float(gain), f"{name} low": float(low), f"{name} high": float(high)} | {
        f"{name} p": p
    }


def mean_gain(ours: Floats, other: Floats, users: Ints, name: str) -> dict[str, float]:
    """Say how far a mean loss lies under another's, with a 95 % interval and p."""
    resampled = resample([other, ours], users, RESAMPLES, SEED)
    gain, (low, high), p = resampled.difference(0, 1)
    return {name: gain, f"{name} low": low, f"{name} high": high, f"{name} p": p}


def chance_gains(
    ours: Floats, others: Mapping[str, Floats], happened: Bools, users: Ints
) -> dict[str, float]:
    """Compare chances with the best baseline: that with the best AUC, and with the best log-loss.

    Args:
        ours: [n] chances.
        others: Name to [n] chances.
        happened: [n].
        users: [n] whose questions they are.
    """
    by_auc = max(others, key=lambda name: auc(others[name], happened))
    losses = {name: log_losses(one, happened) for name, one in others.items()}
    by_loss = min(losses, key=lambda name: float(losses[name].mean()))
    found = _auc_gain(ours, others[by_auc], happened, users)
    return found | mean_gain(
        log_losses(ours, happened), losses[by_loss], users, "log_loss_gain_over_best_baseline"
    )


def measured(chances: Floats, happened: Bools) -> dict[str, float]:
    """Give the metrics of chances that a row shows."""
    found = chance_metrics(chances, happened)
    shown = ("auc", "log_loss", "ece", "brier", "accuracy", "precision", "recall", "f1", "rate")
    width = chance_metrics(chances, happened, bins="width")["ece"]
    kept = {name: found[name] for name in shown} | {"ece of equal widths": width}
    return {name: value for name, value in kept.items() if np.isfinite(value)}


def _auc_gain(ours: Floats, other: Floats, happened: Bools, users: Ints) -> dict[str, float]:
    _, place = np.unique(users, return_inverse=True)
    n_users = int(place.max()) + 1
    # Ranks in place of chances: they sort faster, and AUC looks at order alone.
    ranks = [np.unique(one, return_inverse=True)[1].astype(np.float64) for one in (ours, other)]
    rng, gains = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(0, n_users, n_users), minlength=n_users)
        weights = drawn[place].astype(np.float64)
        first, second = (auc(one, happened, weights) for one in ranks)
        gains.append(first - second)
    differences = np.array(gains)
    low, high = np.nanpercentile(differences, [2.5, 97.5])
    tails = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    name = "auc_gain_over_best_baseline"
    return {
        name: auc(ours, happened) - auc(other, happened),
        f"{name} low": float(low),
        f"{name} high": float(high),
        f"{name} p": min(1.0, 2 * (tails + 1) / (RESAMPLES + 1)),
    }
