"""Metrics of chances: those of scikit-learn, calibration that is known, the reliability picture."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from recency.errors import ConfigError, DataError
from recency.evaluation.chances import Bins, auc, chance_metrics, log_losses, reliability
from recency.evaluation.reliability_picture import reliability_picture


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Draw 2,000 true chances, many of them equal, and what happens."""
    rng = np.random.default_rng(3)
    chance = rng.random(2_000).round(2)
    return chance, rng.random(2_000) < chance


def test_all_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    chance, happened = drawn
    said = chance >= 0.4
    ours = chance_metrics(chance, happened, threshold=0.4)
    assert ours.pop("ece") < 0.05
    assert ours == pytest.approx(
        {
            "auc": metrics.roc_auc_score(happened, chance),
            "log_loss": metrics.log_loss(happened, chance.clip(1e-7, 1 - 1e-7)),
            "brier": metrics.brier_score_loss(happened, chance),
            "accuracy": metrics.accuracy_score(happened, said),
            "precision": metrics.precision_score(happened, said),
            "recall": metrics.recall_score(happened, said),
            "f1": metrics.f1_score(happened, said),
            "rate": happened.mean(),
        }
    )


def test_a_weighted_auc_counts_as_often_as_it_says(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    chance, happened = drawn
    weights = np.random.default_rng(1).integers(0, 4, len(chance)).astype(float)
    expected = metrics.roc_auc_score(happened, chance, sample_weight=weights)
    assert auc(chance, happened, weights) == pytest.approx(expected)
    times = weights.astype(int)
    assert auc(chance.repeat(times), happened.repeat(times)) == pytest.approx(expected)


def test_bins_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    chance, happened = rng.random(700), rng.random(700) < 0.3
    kinds: list[tuple[Bins, str]] = [("width", "uniform"), ("count", "quantile")]
    for bins, strategy in kinds:
        found = reliability(chance, happened, n_bins=7, bins=bins)
        share, mean = calibration_curve(happened, chance, n_bins=7, strategy=strategy)
        assert found.happened == pytest.approx(share), bins
        assert found.foretold == pytest.approx(mean), bins
        assert found.n.sum() == 700


def test_calibration_worked_by_hand() -> None:
    """Four said .25, of which one came; four said .9, of which two: (0 * 4 + .4 * 4) / 8."""
    chance = [0.25] * 4 + [0.9] * 4
    happened = [1, 0, 0, 0, 1, 1, 0, 0]
    found = reliability(chance, happened, n_bins=3)
    assert found.error == pytest.approx(0.2)
    assert found.to_frame().rows() == [
        (0.25, 0.25, 4),
        (pytest.approx(0.9), 0.5, 4),
    ]
    assert chance_metrics([0.3] * 10, [1, 1, 1] + [0] * 7)["ece"] == pytest.approx(0, abs=1e-12)


def test_what_nothing_defines_is_not_invented() -> None:
    ours = chance_metrics([0.1, 0.2], [0, 0])
    assert np.isnan(ours["auc"]) and ours["precision"] == ours["recall"] == ours["f1"] == 0
    assert log_losses([0.0, 1.0], [1, 1]).tolist() == pytest.approx([-np.log(1e-7), 1e-7])


def test_what_is_no_chance_is_refused() -> None:
    with pytest.raises(DataError) as refusal:
        chance_metrics([0.5, 1.5, np.nan], [0, 1, 3])
    assert "chances in [0, 1], found 2 of 3 others, such as 1.5" in str(refusal.value)
    assert "outcomes of 0 or 1, found 1 of 3 others, such as" in str(refusal.value)
    with pytest.raises(DataError, match=r"found shapes \(1,\) and \(2,\)"):
        chance_metrics([0.5], [0, 1])
    with pytest.raises(DataError, match="at least one question, found none"):
        chance_metrics([], [])
    with pytest.raises(ConfigError) as wrong:
        reliability([0.5], [1], n_bins=0, bins="wide")  # type: ignore[arg-type]  # is refused
    assert "n_bins: expected at least 1, found 0" in str(wrong.value)
    assert "expected 'count' or 'width', found 'wide'" in str(wrong.value)


def test_the_picture_is_a_png(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    picture = reliability_picture(reliability(*drawn), "likes, tide")
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000
    assert picture != reliability_picture(reliability(drawn[0], ~drawn[1]), "likes, tide")
