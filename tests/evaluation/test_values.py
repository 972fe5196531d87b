"""Errors of foretold values: those of scikit-learn, and refusals that say what is wrong."""

import numpy as np
import pytest
from sklearn import metrics

from recency.errors import DataError
from recency.evaluation.values import squared_errors, value_metrics


def test_rmse_and_mae_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    given, foretold = rng.integers(1, 6, 500), rng.normal(3.5, 1, 500)
    assert value_metrics(foretold, given) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(given, foretold),
            "mae": metrics.mean_absolute_error(given, foretold),
        }
    )


def test_worked_by_hand() -> None:
    """Errors 0, 3 and 4: the mean square is 25 / 3, the mean 7 / 3."""
    assert value_metrics([1, 2, 3], [1, 5, -1]) == pytest.approx(
        {"rmse": (25 / 3) ** 0.5, "mae": 7 / 3}
    )
    assert squared_errors([1, 2, 3], [1, 5, -1]).tolist() == [0, 9, 16]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match=r"found shapes \(2,\) and \(3,\)"):
        value_metrics([1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="at least one target, found none"):
        value_metrics([], [])
    with pytest.raises(DataError) as refusal:
        value_metrics([1.0, np.nan], [np.inf, 2.0])
    assert "finite foretold values, found 1 of 2" in str(refusal.value)
    assert "finite given values, found 1 of 2" in str(refusal.value)
