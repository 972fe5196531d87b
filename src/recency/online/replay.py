"""Replay: what would have been, had one learned on in this way or that, over a log's newest part.

A recommender is fitted on what came first. Then every arm (`recency.online.arms`) is asked the same
questions, those of `recency.evaluate` with a growing catalogue, in the order of time; between two
periods it may learn what is revealed by then. All arms start from the same weights.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from recency.data.log import TIME, Log
from recency.errors import ConfigError
from recency.evaluation.candidates import Candidates
from recency.evaluation.exam import Exam, build_exam
from recency.evaluation.judge import judge
from recency.evaluation.protocol import Recommender
from recency.evaluation.settings import Settings
from recency.online.arms import ARMS, Arm, Told, make_arm
from recency.online.config import LearnConfig
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import Floats, Ints
from recency.recommender import SequenceRecommender
from recency.units import parse_duration

DEFAULT_ARMS = ("frozen", "state", "fine-tune", "replay", "refit")


@dataclass(frozen=True)
class Outcome:
    """Hold what became of one arm.

    Attributes:
        arm: Its name.
        metrics: Means over all questions, such as ``"ndcg@10"``.
        seconds: Of a processor, spent on learning.
        rounds: How often it learned.
        gains: NDCG of each question.
    """

    arm: str
    metrics: dict[str, float]
    seconds: float
    rounds: int
    gains: Floats


@dataclass(frozen=True)
class Replay:
    """Hold the outcomes of all arms.

    Attributes:
        outcomes: One an arm, as they were asked for.
        at: [n] instant of each question in microseconds.
        start: Instant at which the arms part.
        update: Microseconds of a period.
        k: Length of the lists.
    """

    outcomes: tuple[Outcome, ...]
    at: Ints
    start: int
    update: int
    k: int

    def to_frame(self) -> pl.DataFrame:
        """Give one row an arm: metrics, cost, and both beside those of other arms.

        ``gain_over_state`` is against moving states under frozen weights; ``cost_of_refit`` is the
        share of the seconds that refits took.
        """
        ndcg = {one.arm: one.metrics[f"ndcg@{self.k}"] for one in self.outcomes}
        refit = next((one.seconds for one in self.outcomes if one.arm == "refit"), 0.0)
        still = ndcg.get("state")
        rows = [
            {
                "arm": one.arm,
                **one.metrics,
                "gain_over_state": ndcg[one.arm] / still - 1 if still else None,
                "rounds": one.rounds,
                "seconds": one.seconds,
                "cost_of_refit": one.seconds / refit if refit else None,
            }
            for one in self.outcomes
        ]
        return pl.DataFrame(rows)

    def curve(self, periods: int = 1) -> pl.DataFrame:
        """Give the mean NDCG of each arm over time.

        Args:
            periods: How many periods make one point.

        Returns:
            ``time``, ``n``, and one column an arm; points without a question are left out.
        """
        place = (self.at - self.start) // (self.update * periods)
        used = np.unique(place)
        counts = np.bincount(place)
        columns = {
            one.arm: np.bincount(place, one.gains)[used] / counts[used] for one in self.outcomes
        }
        times = pl.Series(self.start + used * self.update * periods).cast(TIME)
        return pl.DataFrame({"time": times, "n": counts[used], **columns})


def replay(
    log: Log,
    make: Callable[[], SequenceRecommender],
    *,
    arms: Sequence[str] = DEFAULT_ARMS,
    update: str | float = "1h",
    config: LearnConfig | None = None,
    fitted: SequenceRecommender | None = None,
    k: int = 10,
    max_targets: int | None = None,
    seed: int = 0,
    told: Told | None = None,
) -> Replay:
    """Let arms live through a log.

    Args:
        log: With ``log.past``, as `Log.split_at` gives it: the past is learned first.
        make: Makes a recommender, unfitted, of the same settings each time.
        arms: Some of `recency.online.arms.ARMS`.
        update: Time of a period.
        config: Of the arms that learn; its ``delay`` counts for refits too.
        fitted: The recommender fitted on the past, if that was done already.
        k: Length of the lists.
        max_targets: Most questions; users are drawn whole.
        seed: Of that draw.
        told: Called after each period of an arm: its name, periods done, periods in all.

    Raises:
        ConfigError: an unknown arm, or the log knows no past.
        DataError: nothing can be asked.
    """
    period = round(parse_duration(update) * 1e6)
    if unknown := [one for one in arms if one not in ARMS]:
        raise ConfigError(f"expected arms of {', '.join(ARMS)}; found {', '.join(unknown)}.")
    if period <= 0 or log.past is None:
        raise ConfigError(
            "expected a log that knows its past (log.split_at gives it) and an update above 0."
        )
    settings = Settings(ks=(k,), reading="growing", max_targets=max_targets, seed=seed)
    exam = build_exam(log, settings, Candidates.of)
    fitted = make().fit(log.past) if fitted is None else fitted
    config = LearnConfig() if config is None else config
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "model")
        again = partial(SequenceRecommender.load, Path(folder) / "model")
        outcomes = [
            _lived(make_arm(name, again, make, log, period, config, told), name, exam)
            for name in arms
        ]
    question = exam.targets.question[exam.targets.first_of_unit]
    return Replay(tuple(outcomes), exam.questions.at[question], log.start, period, k)


def _lived(arm: Recommender, name: str, exam: Exam) -> Outcome:
    k = exam.settings.k
    found = accuracy_metrics(judge(arm, exam).ranks, k)
    cost = arm.cost if isinstance(arm, Arm) else None
    return Outcome(
        arm=name,
        metrics={f"{one}@{k}": float(found[f"{one}@{k}"].mean()) for one in ("ndcg", "recall")},
        seconds=0.0 if cost is None else cost.seconds,
        rounds=0 if cost is None else cost.rounds,
        gains=found[f"ndcg@{k}"],
    )
