"""Purchases: does a customer buy within 30 days?

Everybody who has bought before an instant is asked about at that instant. The test's instant is the
cut; what is learned from are the same questions 30, 60, 90, … days before it, whose answers were
known by the cut. Settings are chosen on the newest of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import recency as rc
from benchmarks.heads import peers
from benchmarks.heads.classifiers import Lesson, boosted_trees, logistic_regression
from benchmarks.heads.exams import Exam, Settings, fit, ids_of
from benchmarks.heads.features import DAY, Events, of_customers
from benchmarks.heads.judging import chance_gains, measured
from benchmarks.heads.tally import Tally
from benchmarks.record import Row
from recency.units import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PROTOCOL = "buys in 30 days · time · split at the 0.9 quantile of time · every customer known at the cut, asked at the cut; lines of an instant are one order, told by the line worth most"  # noqa: E501
HORIZON = 30 * DAY
SNAPSHOTS = 18
PENALIZERS = (0.0, 0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Asked:
    """Hold m questions: rows of customers, instants in seconds, and whether they bought."""

    users: Ints
    at: Ints
    happened: Bools

    def of(self, which: Bools) -> "Asked":
        """Keep some questions."""
        return Asked(self.users[which], self.at[which], self.happened[which])


def questions(purchases: Events, cut: int, back: int = SNAPSHOTS) -> tuple[Asked, Asked]:
    """Give the questions to learn from, oldest first, and those of the test."""
    start = int(purchases.times[0])
    instants = [cut - HORIZON * k for k in range(back, 0, -1)]
    older = [_asked(purchases, at) for at in instants if at - start >= 2 * HORIZON]
    learned = Asked(
        np.concatenate([one.users for one in older]),
        np.concatenate([one.at for one in older]),
        np.concatenate([one.happened for one in older]),
    )
    return learned, _asked(purchases, cut)


def baselines(
    purchases: Events, learned: Asked, tested: Asked
) -> dict[str, tuple[Floats, dict[str, Any]]]:
    """Foretell the test's questions by what is usual; give chances and settings by name."""
    _, features = of_customers(purchases, learned.users, learned.at)
    _, asked = of_customers(purchases, tested.users, tested.at)
    lesson = Lesson(features, learned.happened, learned.at == learned.at.max())
    rate = np.full(len(tested.users), learned.happened[lesson.newest].mean())
    found: dict[str, tuple[Floats, dict[str, Any]]] = {
        "constant": (rate, {}),
        "logistic regression": logistic_regression(lesson, asked),
        "boosted trees": boosted_trees(lesson, asked),
    }
    if peers.there():
        found["BG/NBD"] = _bg_nbd(purchases, learned.of(lesson.newest), tested)
    return found


def rows(exam: Exam, settings: Settings, seeds: Sequence[int]) -> list[Row]:
    """Foretell all questions of the test by everything, and measure it."""
    learned, tested = questions(exam.events, exam.cut)
    said = baselines(exam.events, learned, tested)
    found = [
        exam.row(PROTOCOL, name, None, measured(one, tested.happened), about)
        for name, (one, about) in said.items()
    ]
    others = {name: one for name, (one, _) in said.items()}
    for seed in seeds:
        fitted = fit(exam, [head(settings)], settings, seed)
        chances = told(fitted.model, exam, tested)
        gains = chance_gains(chances, others, tested.happened, tested.users)
        metrics = measured(chances, tested.happened) | gains
        name = f"{settings['encoder']['name']}, horizon head"
        found.append(exam.row(PROTOCOL, name, seed, metrics, {"train_seconds": fitted.seconds}))
    return [one | {"n_targets": len(tested.users)} for one in found]


def head(settings: Settings) -> rc.HorizonHead:
    """Make the head that is asked."""
    return rc.HorizonHead("purchase", HORIZON, **settings["head"])


def told(model: rc.SequenceRecommender, exam: Exam, tested: Asked) -> Floats:
    """Ask a model that has observed the test, at the cut."""
    users, at = ids_of(exam, "user_id", tested.users), tested.at * SECOND
    found = model.propensity(users, event_type="purchase", horizon=HORIZON, at=at)
    return found["probability"].to_numpy().astype(np.float64)


def _asked(purchases: Events, at: int) -> Asked:
    users = np.unique(purchases.before(at).users)
    when = np.full(len(users), at, np.int64)
    orders = Tally.of(purchases.users, purchases.times)
    gap = orders.first_after(users, when)
    return Asked(users, when, gap < HORIZON)


def _bg_nbd(purchases: Events, old: Asked, new: Asked) -> tuple[Floats, dict[str, Any]]:
    arrays: peers.Arrays = {"old_happened": old.happened}
    for when, asked in (("old", old), ("new", new)):
        columns = _recency_frequency(purchases, asked)
        arrays |= {f"{when}_{name}": column for name, column in columns.items()}
    settings = {"horizon_days": HORIZON / DAY, "penalizers": PENALIZERS}
    found, about = peers.run("lifetimes_way", arrays, settings)
    return found["chance"].clip(0, 1), about


def _recency_frequency(purchases: Events, asked: Asked) -> dict[str, Floats]:
    """Count in days, an order a day at most, as BG/NBD has it."""
    days = np.unique(np.stack([purchases.users, purchases.times // DAY]), axis=1)
    orders = Tally.of(days[0], days[1] * DAY)
    at = asked.at // DAY * DAY + 1  # the day of the question is not over
    before = orders.count(asked.users, at)
    age = orders.since_first(asked.users, at) // DAY
    newest = age - orders.since_last(asked.users, at) // DAY
    return {"repeats": before - 1, "newest": newest, "age": age}
