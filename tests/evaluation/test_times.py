"""Metrics of foretold times, on laws whose answers are known."""

import numpy as np
import pytest
from scipy import stats

from recency.errors import DataError
from recency.evaluation.times import Gaps, TimeForecast, returned, time_metrics

HOUR, DAY = 3_600.0, 86_400.0


def drawn(n: int = 20_000) -> tuple[Gaps, stats.rv_continuous]:
    """Draw log-normal gaps, watched for ten days each."""
    law = stats.norm(np.log(DAY), 1.5)
    seconds = np.exp(law.rvs(n, random_state=np.random.default_rng(0)))
    watched = np.full(n, 10 * DAY)
    ended = seconds <= watched
    return Gaps(np.where(ended, seconds, watched), ended, watched), law


def forecast_of(law: stats.rv_continuous, gaps: Gaps) -> TimeForecast:
    logs = np.log(gaps.seconds)
    likelihood = np.where(gaps.ended, law.logpdf(logs), law.logsf(logs))
    chances = {days * DAY: np.full(len(gaps), law.cdf(np.log(days * DAY))) for days in (1, 7, 30)}
    return TimeForecast(likelihood, np.full(len(gaps), np.exp(law.median())), chances)


def test_the_true_law_is_calibrated_and_best() -> None:
    gaps, law = drawn()
    found = time_metrics(forecast_of(law, gaps), gaps)
    assert found["return 1 d ece"] < 0.01 and found["return 7 d ece"] < 0.01
    assert "return 30 d ece" not in found, "the log ends before the horizon does"
    for wrong in (stats.norm(np.log(DAY) + 0.2, 1.5), stats.norm(np.log(DAY), 1.8)):
        assert time_metrics(forecast_of(wrong, gaps), gaps)["nll"] > found["nll"]
    # The entropy of a normal law, less what the censored part does not tell.
    assert found["nll"] < law.entropy()


def test_worked_by_hand() -> None:
    gaps = Gaps(np.array([HOUR, 2 * HOUR, DAY]), np.array([True, True, False]), np.full(3, DAY))
    forecast = TimeForecast(np.log([0.5, 0.25, 0.1]), np.array([2 * HOUR, HOUR, HOUR]))
    found = time_metrics(forecast, gaps)
    assert found["nll"] == pytest.approx(-np.log([0.5, 0.25, 0.1]).mean())
    assert found["mae_log"] == pytest.approx(np.log(2))
    assert found["mae_hours"] == pytest.approx(1.0)
    assert found["n_censored"] == 1


def test_a_return_is_told_only_of_what_was_watched_to_its_end() -> None:
    gaps = Gaps(
        seconds=np.array([HOUR, 3 * DAY, 8 * DAY, DAY]),
        ended=np.array([True, True, True, False]),
        watched=np.array([9 * DAY, 9 * DAY, 9 * DAY, DAY]),
    )
    told, came = returned(gaps, 7 * DAY)
    assert told.tolist() == [True, True, True, False]
    assert came.tolist() == [True, True, False, False]


def test_what_cannot_be_measured_is_refused() -> None:
    gaps, law = drawn(4)
    right = forecast_of(law, gaps)
    with pytest.raises(DataError) as refusal:
        time_metrics(TimeForecast(right.log_likelihood[:2], right.median * np.nan), gaps)
    assert "log_likelihood: expected 4 numbers, one a gap, found 2" in str(refusal.value)
    assert "median: expected numbers, found 4 NaN" in str(refusal.value)
    none = Gaps(np.zeros(0), np.zeros(0, bool), np.zeros(0))
    with pytest.raises(DataError, match="at least one gap, found none"):
        time_metrics(TimeForecast(np.zeros(0), np.zeros(0)), none)
