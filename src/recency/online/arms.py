"""Arms: ways to live on after a training, each asked the same questions in the order of time.

An arm answers `recency.evaluation.protocol`, so that it is judged as everything else is. Between
the questions of one period and those of the next it may learn from what is revealed by then.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from recency.baselines import LivePopularity
from recency.data.log import Log
from recency.errors import ConfigError
from recency.evaluation.protocol import Answer, Ints, Questions
from recency.live.answers import answers, life_of
from recency.online.config import LearnConfig
from recency.online.feed import LogFeed
from recency.online.learner import Learner
from recency.recommender import SequenceRecommender
from recency.units import DAY

ARMS = ("frozen", "state", "gate", "fine-tune", "replay", "learn", "refit", "live-popularity")
Told = Callable[[str, int, int], None]  # arm, periods done, periods in all


@dataclass
class Cost:
    """Count what an arm's learning took.

    Attributes:
        seconds: Time that processors spent on it, which neighbours on the machine change little.
        rounds: How often it learned.
    """

    seconds: float = 0.0
    rounds: int = 0


class Arm:
    """Answer the questions of a log period by period, learning between periods.

    Args:
        name: Of the arm.
        recommender: Fitted before the log; changed.
        log: What is asked about, in the order of time.
        update: Microseconds of a period.
        learn: Learns from the log's events before an instant; gives the recommender to go on with.
        told: Called after each period.
    """

    request_time = "unknown"

    def __init__(
        self,
        name: str,
        recommender: SequenceRecommender,
        log: Log,
        update: int,
        learn: Callable[[int], SequenceRecommender | None] | None = None,
        told: Told | None = None,
    ) -> None:
        self.name, self.cost = name, Cost()
        self._recommender, self._log, self._update = recommender, log, update
        self._learn, self._told = learn, told
        self.request_time = recommender.request_time

    def fit(self, log: Log) -> Self:
        """Refuse: an arm goes on from a fitted recommender.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("an arm goes on from a fitted recommender; fit that first.")

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer all questions in the order of time, learning between periods."""
        period = (questions.at - self._log.start) // self._update
        order = np.argsort(period, kind="stable")
        places, starts = np.unique(period[order], return_index=True)
        parts = np.split(order, starts[1:])
        experts = self._recommender.live.model.experts
        life = None if experts is None else life_of(questions, experts)
        for n, (place, part) in enumerate(zip(places.tolist(), parts, strict=True)):
            if place and self._learn is not None:
                self._learned(self._log.start + place * self._update)
            asked: Ints = part[questions.take(part).in_time]
            for index, scores in answers(self._recommender.live, questions.take(asked), life):
                yield asked[index], scores
            if self._told is not None:
                self._told(self.name, n + 1, len(places))

    def _learned(self, until: int) -> None:
        assert self._learn is not None
        began = time.process_time()
        found = self._learn(until)
        if found is not None:
            self._recommender = found
            self.cost.seconds += time.process_time() - began
            self.cost.rounds += 1


class Frozen(Arm):
    """Answer as of the end of training: neither states nor memories move."""

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer every question from what was known when the log began."""
        world_stop = int(np.searchsorted(questions.world.times, self._log.start))
        at = np.full(len(questions), self._log.start)
        stops = questions.histories.stops_before(questions.user, at)
        known = replace(
            questions, stop=stops, world_stop=np.minimum(questions.world_stop, world_stop)
        )
        yield from answers(self._recommender.live, known)


class Following:
    """Learn by rounds of a `Learner` from all events of a log before an instant.

    Args:
        recommender: Changed.
        log: What happens.
        config: Without predictions of its own: the arm is judged from outside.
    """

    def __init__(self, recommender: SequenceRecommender, log: Log, config: LearnConfig) -> None:
        self._log = log
        settings = replace(config, asked=0, round_events=max(1, len(log)))
        self._learner = Learner(recommender, LogFeed(log), settings)

    def __call__(self, until: int) -> SequenceRecommender | None:
        """Take what happened before an instant; None if that is nothing new."""
        limit = int(np.searchsorted(self._log.times, until))
        entries = self._learner.plan(limit)
        if not entries:
            return None
        self._learner.round(entries)
        return self._learner.recommender


class Refitting:
    """Fit afresh on the newest events, once a period.

    Args:
        make: Makes the recommender, unfitted.
        past: What the first fit learned from.
        log: What happens.
        every: Microseconds between two fits.
        delay: Microseconds after which an event may be learned.
    """

    def __init__(
        self,
        make: Callable[[], SequenceRecommender],
        past: Log,
        log: Log,
        every: int = DAY,
        delay: int = 0,
    ) -> None:
        self._make, self._log, self._every, self._delay = make, log, every, delay
        self._whole = Log(past.events.vstack(log.events.select(past.events.columns)))
        self._most, self._done = len(past), log.start

    def __call__(self, until: int) -> SequenceRecommender | None:
        """Fit if a period is over."""
        if until - self._done < self._every:
            return None
        self._done = until
        known = self._whole.before(until - self._delay)
        return self._make().fit(Log(known.events.tail(self._most)))


def make_arm(
    name: str,
    fitted: Callable[[], SequenceRecommender],
    make: Callable[[], SequenceRecommender],
    log: Log,
    update: int,
    config: LearnConfig,
    told: Told | None = None,
) -> "Arm | LivePopularity":
    """Make one arm.

    Args:
        name: One of `ARMS`.
        fitted: Gives a copy of the fitted recommender.
        make: Gives one with the same settings, unfitted.
        log: What is asked about, with its past.
        update: Microseconds of a period.
        config: Of the arms that learn.
        told: Called after each period.

    Raises:
        ConfigError: there is no such arm.
    """
    if name not in ARMS:
        raise ConfigError(f"expected arms of {', '.join(ARMS)}, found {name!r}.")
    assert log.past is not None
    if name == "live-popularity":
        return LivePopularity("10min").fit(log.past)
    one = fitted()
    if name == "frozen":
        return Frozen(name, one, log, update, told=told)
    if name == "state":
        return Arm(name, one, log, update, told=told)
    if name == "refit":
        again = Refitting(make, log.past, log, delay=config.delay_us)
        return Arm(name, one, log, update, again, told)
    settings: dict[str, dict[str, Any]] = {
        "gate": {"quick": True, "whole": None},
        "fine-tune": {"quick": False, "replayed": 0.0, "held": 0.0},
        "replay": {"quick": False, "held": 0.0},
        "learn": {},
    }
    changed = settings[name]
    return Arm(name, one, log, update, Following(one, log, replace(config, **changed)), told)
