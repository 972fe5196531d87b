"""Laws of a gap: a chance of "at once", else a mixture of log-normals; and what they foretell."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, logsumexp, ndtr

from recency.evaluation.times import AT_ONCE, Gaps, TimeForecast

Floats = npt.NDArray[np.float64]

_HALVINGS = 50
_LONGEST = np.log(3e9)  # a century, in log-seconds


@dataclass(frozen=True)
class Mixture:
    """Hold n laws of the gap.

    Attributes:
        at_once: [n] chance of a gap of at most a second, below 1.
        weights: [n, m] sum to 1.
        means: [n, m] of log-seconds.
        deviations: [n, m] of log-seconds.
    """

    at_once: Floats
    weights: Floats
    means: Floats
    deviations: Floats

    def longer(self, seconds: Floats) -> Floats:
        """Give the chance [n] of a gap longer than so many seconds, of at least one."""
        beyond = (self._logs(seconds) - self.means) / self.deviations
        return (1 - self.at_once) * (self.weights * ndtr(-beyond)).sum(1)

    def forecast(self, gaps: Gaps, horizons: tuple[float, ...]) -> TimeForecast:
        """Foretell gaps; see `recency.evaluation.times`."""
        return forecast(self.log_likelihood(gaps), self.longer, gaps, horizons)

    def log_likelihood(self, gaps: Gaps) -> Floats:
        """Give log P0, log-density of log-seconds, or log-survival, whichever came, [n]."""
        logs = self._logs(gaps.seconds)
        z = (logs - self.means) / self.deviations
        weights = np.log(self.weights + 1e-300)
        density = logsumexp(
            weights - z**2 / 2 - np.log(self.deviations) - np.log(2 * np.pi) / 2, axis=1
        )
        survival = logsumexp(weights + log_ndtr(-z), axis=1)
        later = np.log1p(-self.at_once) + np.where(gaps.ended, density, survival)
        at_once = gaps.ended & (gaps.seconds <= AT_ONCE)
        return np.where(at_once, np.log(self.at_once + 1e-300), later)

    def _logs(self, seconds: Floats) -> Floats:
        logs: Floats = np.log(np.maximum(seconds, AT_ONCE))[:, None]
        return logs


def forecast(
    log_likelihood: Floats,
    longer: Callable[[Floats], Floats],
    gaps: Gaps,
    horizons: tuple[float, ...],
) -> TimeForecast:
    """Put a forecast together from a likelihood and a law of survival."""
    n = len(gaps)
    low, high = np.zeros(n), np.full(n, _LONGEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = longer(np.exp(middle)) > 0.5
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    returns = {one: 1 - longer(np.full(n, one)) for one in horizons}
    return TimeForecast(log_likelihood, np.exp(high), returns)
