"""Metrics of a foretold time to the next event: its density, its median, and chances of return.

A question is asked right after an event; its answer is the gap to the same user's next event, or
that none came until the log ended (censored). With f the density of log-seconds that a model gives,
P0 its chance of a gap of at most a second, and S the chance of a gap longer than what was seen:

    nll                 mean nats: -log P0 where the gap is at most 1 s, -log f(log gap) for other
                        gaps (f integrates to 1 - P0), -log S where censored
    mae_log             mean |log median - log gap| over gaps that ended, of at least 1 s each
    mae_hours           mean |median - gap| over gaps that ended, in hours
    return 7d ece, …    calibration of the chance of a return within a horizon

Decisions: the density is that of log-time, as the rest of the literature on neural point processes
has it (it does not depend on the unit of time, but for a constant). The error of the median looks
at ended gaps alone, which favours models that foretell short gaps: read it beside the NLL, which
does not. A chance of return is judged only where the horizon ends before the log does.

Source:
    Shchur, Biloš and Günnemann, Intensity-Free Learning of Temporal Point Processes, ICLR 2020,
    section 5. arXiv:1909.12127
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recency.errors import DataError, raise_all
from recency.evaluation.chances import Bools, chance_metrics
from recency.units import format_duration

Floats = npt.NDArray[np.float64]

AT_ONCE = 1.0  # seconds; a gap of at most this is "at once"


@dataclass(frozen=True)
class Gaps:
    """Hold what came after n events.

    Attributes:
        seconds: [n] to the next event; where censored, to the end of the log.
        ended: [n] whether a next event came.
        watched: [n] seconds from the event to the end of the log.
    """

    seconds: Floats
    ended: Bools
    watched: Floats

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True)
class TimeForecast:
    """Hold what a model foretold of n gaps.

    Attributes:
        log_likelihood: [n] log of the density of log-seconds at an ended gap, of P0 for one of at
            most a second, of the chance to last longer for a censored one.
        median: [n] seconds.
        returns: Horizon in seconds to [n] chances of a next event within it.
    """

    log_likelihood: Floats
    median: Floats
    returns: Mapping[float, Floats] = field(default_factory=dict)


def time_metrics(forecast: TimeForecast, gaps: Gaps) -> dict[str, float]:
    """Measure foretold times against what came.

    Args:
        forecast: Of n gaps.
        gaps: The n gaps.

    Returns:
        ``nll``, ``mae_log``, ``mae_hours``, ``n_censored``, and for each horizon such as ``7 d``
        ``"return 7 d ece"``, ``"return 7 d auc"`` and ``"return 7 d log_loss"``, where it ends
        before the log for at least one question.

    Raises:
        DataError: lengths differ, nothing to measure, or a likelihood or median is NaN; all at
            once.
    """
    raise_all(_faults(forecast, gaps), DataError)
    found = {
        "nll": float(-forecast.log_likelihood.mean()),
        "n_censored": float((~gaps.ended).sum()),
    }
    if gaps.ended.any():
        median, seconds = forecast.median[gaps.ended], gaps.seconds[gaps.ended]
        logs = np.log(np.maximum(median, AT_ONCE)) - np.log(np.maximum(seconds, AT_ONCE))
        found["mae_log"] = float(np.abs(logs).mean())
        found["mae_hours"] = float(np.abs(median - seconds).mean() / 3_600)
    for horizon, chance in forecast.returns.items():
        closed, came = returned(gaps, horizon)
        if closed.any():
            measured = chance_metrics(chance[closed], came[closed])
            label = f"return {format_duration(horizon)}"
            found |= {f"{label} {name}": measured[name] for name in ("ece", "auc", "log_loss")}
    return found


def returned(gaps: Gaps, horizon: float) -> tuple[Bools, Bools]:
    """Tell for which questions a horizon ended before the log, and after which a next event came.

    Args:
        gaps: What came.
        horizon: Seconds.

    Returns:
        [n] whether it can be told, [n] whether the user came back within the horizon.
    """
    return gaps.watched >= horizon, gaps.ended & (gaps.seconds <= horizon)


def _faults(forecast: TimeForecast, gaps: Gaps) -> list[str]:
    columns = {"log_likelihood": forecast.log_likelihood, "median": forecast.median}
    columns |= {f"returns[{horizon:g}]": chance for horizon, chance in forecast.returns.items()}
    if not len(gaps):
        return ["expected at least one gap, found none; is the test part empty?"]
    faults = [
        f"{name}: expected {len(gaps):,} numbers, one a gap, found {len(column):,}."
        for name, column in columns.items()
        if len(column) != len(gaps)
    ]
    faults += [
        f"{name}: expected numbers, found {int(np.isnan(column).sum()):,} NaN."
        for name, column in columns.items()
        if np.isnan(column).any()
    ]
    return faults
