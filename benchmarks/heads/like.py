"""Likes: does a user like or bookmark what they view for the first time?

A question is a user's first view of an item; it came true if the user liked or bookmarked the item
within a day. Questions of the test are those at or after the cut whose day ends before the log
does; those learned from are those whose day ends before the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import recency as rc
from benchmarks.heads.classifiers import Lesson, boosted_trees, logistic_regression
from benchmarks.heads.exams import Exam, Settings, fit, ids_of
from benchmarks.heads.features import DAY, Events, of_impressions
from benchmarks.heads.judging import chance_gains, measured
from benchmarks.record import Row
from recency.units import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GOOD = ("LIKE", "BOOKMARK")
WITHIN = DAY
PROTOCOL = "like · time · split at the 0.9 quantile of time · each first view of an item: liked or bookmarked within a day?"  # noqa: E501
VALID = 0.85  # of the questions learned from; settings are chosen on the rest


@dataclass(frozen=True)
class Asked:
    """Hold m questions in the order of time.

    Attributes:
        users: [m] rows.
        items: [m] rows.
        at: [m] seconds since 1970.
        happened: [m].
        learned: [m] whether the answer was known by the cut.
        tested: [m] whether it is asked after the cut and the answer can be told.
    """

    users: Ints
    items: Ints
    at: Ints
    happened: Bools
    learned: Bools
    tested: Bools


def questions(events: Events, cut: int) -> Asked:
    """List first views, with what came of them."""
    seen = events.kinds == "VIEW"
    views = events.of(seen)
    pair = views.users * (int(events.items.max()) + 1) + views.items
    views = views.of(np.isin(np.arange(len(pair)), np.unique(pair, return_index=True)[1]))
    good = events.of(np.isin(events.kinds, GOOD))
    liked = pl.DataFrame({"user": good.users, "item": good.items, "liked": good.times})
    asked = pl.DataFrame({"user": views.users, "item": views.items, "at": views.times})
    first = liked.group_by("user", "item").agg(pl.col("liked").min())
    found = asked.join(first, ["user", "item"], how="left", maintain_order="left")["liked"]
    first_like = found.fill_null(-1).to_numpy()
    before = (first_like >= 0) & (first_like < views.times)
    happened = (first_like >= views.times) & (first_like <= views.times + WITHIN)
    end = int(events.times.max())
    return Asked(
        users=views.users,
        items=views.items,
        at=views.times,
        happened=happened,
        learned=(views.times + WITHIN < cut) & ~before,
        tested=(views.times >= cut) & (views.times + WITHIN <= end) & ~before,
    )


def baselines(events: Events, asked: Asked) -> dict[str, tuple[Floats, dict[str, Any]]]:
    """Foretell the tested questions by what is usual; give chances and settings by name."""
    learned = asked.learned
    prior = float(asked.happened[learned].mean())
    _, features = of_impressions(events, asked.users, asked.items, asked.at, GOOD, prior)
    newest = asked.at[learned] >= np.quantile(asked.at[learned], VALID)
    lesson = Lesson(features[learned], asked.happened[learned], newest)
    rate = np.full(int(asked.tested.sum()), prior)
    return {
        "constant": (rate, {}),
        "logistic regression": logistic_regression(lesson, features[asked.tested]),
        "boosted trees": boosted_trees(lesson, features[asked.tested]),
    }


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Foretell all questions of the test by everything, and measure it."""
    asked = questions(exam.events, exam.cut)
    happened, users = asked.happened[asked.tested], asked.users[asked.tested]
    said = baselines(exam.events, asked)
    found = [
        exam.row(PROTOCOL, name, None, measured(one, happened)) for name, (one, _) in said.items()
    ]
    others = {name: one for name, (one, _) in said.items()}
    for seed in seeds:
        chances, seconds = ours(exam, asked, settings, seed)
        metrics = measured(chances, happened) | chance_gains(chances, others, happened, users)
        name = f"{settings['encoder']['name']}, type head"
        found.append(exam.row(PROTOCOL, name, seed, metrics, {"train_seconds": seconds}))
    return [one | {"n_targets": len(users)} for one in found]


def ours(exam: Exam, asked: Asked, settings: Settings, seed: int) -> tuple[Floats, float]:
    """Fit ours, and foretell the tested questions; give seconds of learning too."""
    fitted = fit(exam, [head(settings)], settings, seed)
    return told(fitted.model, exam, asked), fitted.seconds


def head(settings: Settings) -> rc.TypeHead:
    """Make the head that is asked."""
    return rc.TypeHead(GOOD, given="VIEW", within=WITHIN, **settings["head"])


def told(model: rc.SequenceRecommender, exam: Exam, asked: Asked) -> Floats:
    """Ask a model that has observed the test."""
    tested = asked.tested
    users = ids_of(exam, "user_id", asked.users[tested])
    items = ids_of(exam, "item_id", asked.items[tested])
    at = asked.at[tested] * SECOND
    found = model.propensity(users, items, event_type="|".join(GOOD), given="VIEW", at=at)
    return found["probability"].to_numpy().astype(np.float64)
