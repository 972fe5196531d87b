"""Logistic regression and gradient-boosted trees on hand-made features, both of scikit-learn.

Their settings are chosen by the log-loss of the newest part of training, and then they learn all of
it. Counts and spans enter the regression as logarithms, standardised on what is learned from, with
a column that tells where something never happened; trees take numbers as they are.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recency.evaluation.chances import log_losses

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Settings = dict[str, Any]

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
TREES = [
    {"learning_rate": 0.05, "max_iter": n, "max_leaf_nodes": leaves, "l2_regularization": 20.0}
    for leaves in (4, 8, 16)
    for n in (50, 100, 200, 400)
]


@dataclass(frozen=True)
class Lesson:
    """Hold questions whose answers are known: [n, n_features], [n], and which are the newest."""

    features: Floats
    happened: Bools
    newest: Bools


def logistic_regression(lesson: Lesson, asked: Floats) -> tuple[Floats, Settings]:
    """Fit with the best strength, and give chances [m]."""
    lesson = Lesson(_logs(lesson.features), lesson.happened, lesson.newest)
    return _best(lesson, _logs(asked), [{"C": one} for one in STRENGTHS], _regression)


def boosted_trees(lesson: Lesson, asked: Floats) -> tuple[Floats, Settings]:
    """Fit with the best size, and give chances [m]."""
    return _best(lesson, asked, TREES, _trees)


def _best(
    lesson: Lesson, asked: Floats, grid: Sequence[Settings], make: Callable[[Settings], Any]
) -> tuple[Floats, Settings]:
    older, newest = ~lesson.newest, lesson.newest
    losses = []
    for settings in grid:
        tried = _fitted(make(settings), lesson.features[older], lesson.happened[older])
        chances = tried.predict_proba(lesson.features[newest])[:, 1]
        losses.append(float(log_losses(chances, lesson.happened[newest]).mean()))
    chosen = grid[int(np.argmin(losses))]
    final = _fitted(make(chosen), lesson.features, lesson.happened)
    return final.predict_proba(asked)[:, 1], chosen


def _fitted(model: Any, features: Floats, happened: Bools) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, happened)


def _regression(settings: Settings) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, **settings))


def _trees(settings: Settings) -> Any:
    return HistGradientBoostingClassifier(
        early_stopping=False, min_samples_leaf=20, random_state=0, **settings
    )


def _logs(features: Floats) -> Floats:
    never = np.isnan(features)
    sized = np.sign(features) * np.log1p(np.abs(features))
    return np.concatenate([np.where(never, 0.0, sized), never.astype(np.float64)], axis=1)
