"""Ratings: what value does a user give an item?

Every rating at or after the cut is asked about, from what was known strictly before its second:
users and items of whom nothing is known are asked about too. Weights are those of before the cut.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import recency as rc
from benchmarks.heads import peers
from benchmarks.heads.bias import GRID, Ratings, fit_biases, frozen, running
from benchmarks.heads.exams import Exam, Settings, fit
from benchmarks.heads.judging import rmse_gain
from benchmarks.record import Row
from recency.evaluation.values import squared_errors, value_metrics

Floats = npt.NDArray[np.float64]

PROTOCOL = "rating · time · split at the 0.9 quantile of time · every later rating, asked from what was known strictly before its second"  # noqa: E501
# The better on the newest tenth before the cut is taken: strong shrinkage, and the usual one.
SVDPP: tuple[dict[str, Any], ...] = (
    {"n_factors": 20, "reg_all": 0.1, "random_state": 0},
    {"n_factors": 20, "reg_all": 0.02, "random_state": 0},
)


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Foretell all ratings of the test by everything, and measure it."""
    ratings = ratings_of(exam)
    start = exam.n_train
    given, users = ratings.values[start:], ratings.users[start:]
    known = np.isin(users, ratings.users[:start])
    said = _baselines(exam, ratings, start)
    errors = {name: squared_errors(value, given) for name, (value, _) in said.items()}
    found = []
    for name, (value, about) in said.items():
        metrics = value_metrics(value, given) | _slices(errors[name], known)
        found.append(exam.row(PROTOCOL, name, None, metrics, about))
    for seed in seeds:
        value, seconds = ours(exam, settings, seed)
        error = squared_errors(value, given)
        metrics = value_metrics(value, given) | _slices(error, known)
        names = {"bias": "rmse_gain_over_bias", "bias, running": "rmse_gain_over_running_bias"}
        names["SVD++"] = "rmse_gain_over_svdpp"
        for name, label in names.items():
            if name in errors:
                metrics |= rmse_gain(error, errors[name], users, label)
        name = f"{settings['encoder']['name']}, rating head"
        found.append(exam.row(PROTOCOL, name, seed, metrics, {"train_seconds": seconds}))
    return [one | {"n_targets": len(given)} for one in found]


def ratings_of(exam: Exam) -> Ratings:
    """Give all ratings in the order of time."""
    events = exam.events
    return Ratings(events.users, events.items, events.times, events.amounts)


def ours(exam: Exam, settings: Settings, seed: int) -> tuple[Floats, float]:
    """Fit ours, and foretell each rating of the test; give seconds of learning too."""
    fitted = fit(exam, [head(settings)], settings, seed)
    return told(fitted.model, exam), fitted.seconds


def head(settings: Settings) -> rc.RatingHead:
    """Make the head that is asked."""
    return rc.RatingHead(**settings["head"])


def told(model: rc.SequenceRecommender, exam: Exam) -> Floats:
    """Ask a model that has observed the test for each of its ratings."""
    test = exam.test.events
    users, items = test["user_id"].to_list(), test["item_id"].to_list()
    return model.rate(users, items, exam.test.times)["rating"].to_numpy().astype(np.float64)


def _baselines(
    exam: Exam, ratings: Ratings, start: int
) -> dict[str, tuple[Floats, dict[str, Any]]]:
    inner = exam.inner().n_train
    low, high = ratings.values[:start].min(), ratings.values[:start].max()
    mean = np.full(len(ratings) - start, ratings.values[:start].mean())
    found: dict[str, tuple[Floats, dict[str, Any]]] = {"constant": (mean, {})}
    shape = (int(ratings.users.max()) + 1, int(ratings.items.max()) + 1)
    for name in ("bias", "bias, running"):
        weights = _chosen(name, ratings.part(0, start), shape, inner)
        value = _biased(name, ratings, shape, weights, start)
        found[name] = (value.clip(low, high), {})
    if peers.there():
        found["SVD++"] = _svdpp(ratings, inner, start)
    return found


def _biased(
    name: str, ratings: Ratings, shape: tuple[int, int], weights: tuple[float, float], start: int
) -> Floats:
    biases = fit_biases(ratings.part(0, start), shape, weights)
    if name == "bias":
        return frozen(biases, ratings.part(start, len(ratings)))
    return running(biases, ratings, start)


def _chosen(name: str, train: Ratings, shape: tuple[int, int], inner: int) -> tuple[float, float]:
    given = train.values[inner:]
    losses = {
        weights: float(squared_errors(_biased(name, train, shape, weights, inner), given).mean())
        for weights in itertools.product(GRID, GRID)
    }
    return min(losses, key=losses.__getitem__)


def _svdpp(ratings: Ratings, inner: int, start: int) -> tuple[Floats, dict[str, Any]]:
    train = ratings.part(0, start)
    losses = []
    for settings in SVDPP:
        value, _ = _asked_svdpp(train, inner, settings)
        losses.append(float(squared_errors(value, train.values[inner:]).mean()))
    return _asked_svdpp(ratings, start, SVDPP[int(np.argmin(losses))])


def _asked_svdpp(
    ratings: Ratings, start: int, settings: dict[str, Any]
) -> tuple[Floats, dict[str, Any]]:
    past, asked = ratings.part(0, start), ratings.part(start, len(ratings))
    arrays = {"user": past.users, "item": past.items, "value": past.values}
    arrays |= {"asked_user": asked.users, "asked_item": asked.items}
    found, about = peers.run("surprise_way", arrays, settings)
    return found["value"], about


def _slices(errors: Floats, known: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Tell users of training from new ones: a frozen model knows nothing of the latter."""
    parts = {"rmse, users of training": errors[known], "rmse, new users": errors[~known]}
    return {name: float(np.sqrt(one.mean())) for name, one in parts.items() if len(one)}
