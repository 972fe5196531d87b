"""Judging settings: fit them, and tell how good they are while they learn.

Either by the newest slice of the training time, which every fit holds back and judges each epoch
on (the refit on everything is left out, so that no time is lost), or by time-series
cross-validation: fit before each of several cuts, ask about what follows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.data.splits import rolling_splits
from recency.errors import ConfigError, DataError
from recency.evaluation.evaluate import evaluate
from recency.recommender import SequenceRecommender
from recency.training.config import TrainingStep
from recency.tuning.run_file import recommender_of

METRIC = "ndcg@10"
_MOST_TARGETS = 20_000  # of a fold: as many as an epoch is judged on

Report = Callable[[int, float], None]  # called with a step, from 1, and the judgement after it
Tick = Callable[[], None]


@dataclass(frozen=True)
class Objective:
    """Choose what trials are judged by.

    Attributes:
        folds: Test windows of the cross-validation; 0 judges by the newest slice.
        horizon: Length of each window, ``"7d"`` or seconds.
    """

    folds: int = 0
    horizon: str | float = "7d"

    def __post_init__(self) -> None:
        """Refuse a cross-validation of no window."""
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 0:
            raise ConfigError(
                f"folds={self.folds!r}: expected a number of test windows, or 0 for the newest "
                f"slice."
            )

    def __str__(self) -> str:
        """Name the objective in words."""
        if not self.folds:
            return "NDCG@10 on the newest slice of the training time"
        return f"mean NDCG@10 of {self.folds} test windows of {self.horizon} that follow each other"


@dataclass(frozen=True)
class Judged:
    """Tell how a trial went.

    Attributes:
        value: Its judgement in [0, 1].
        epochs: Epochs behind it.
        last: The last step and the judgement after it, which is not reported: a trial that is done
            cannot be ended early.
    """

    value: float
    epochs: int
    last: tuple[int, float]


def judge_settings(
    sections: Mapping[str, Mapping[str, Any]],
    log: Log | Prepared,
    objective: Objective,
    report: Report,
    tick: Tick,
) -> Judged:
    """Fit what sections describe, and judge it.

    Args:
        sections: See `recency.tuning.run_file`.
        log: What may be learned from and judged on.
        objective: The judgement.
        report: Called after every epoch but the last, or every fold but the last with the mean so
            far; it may raise to end the trial.
        tick: Called after every batch; it may raise too.

    Raises:
        DataError: the newest slice holds too little to judge by.
        TrainingDivergedError: the loss is no longer finite.
    """
    recommender = recommender_of(sections)
    if objective.folds:
        assert isinstance(log, Log), "tune has refused it"
        return _by_folds(recommender, log, objective, report, tick)
    return _by_slice(recommender, log, report, tick)


def _by_slice(
    recommender: SequenceRecommender, log: Log | Prepared, report: Report, tick: Tick
) -> Judged:
    recommender.training = replace(recommender.training, refit=False)
    told = 0

    def progress(step: TrainingStep) -> None:
        nonlocal told
        tick()
        if step.stage == "train":
            raise DataError(
                "the newest slice of the training time holds too few targets to judge trials by; "
                "give a longer log, raise training.valid_share, or ask for folds."
            )
        # The judgement of an epoch is told by the first batch of the next one.
        if step.stage == "search" and step.valid is not None and step.epoch - 1 > told:
            told = step.epoch - 1
            report(told, step.valid)

    result = recommender.fit(log, progress=progress).training_result
    assert result is not None and result.valid is not None
    done = [one.valid for one in result.history if one.stage == "search" and one.valid is not None]
    return Judged(result.valid, result.epochs, (len(done), done[-1]))


def _by_folds(
    recommender: SequenceRecommender, log: Log, objective: Objective, report: Report, tick: Tick
) -> Judged:
    values: list[float] = []
    epochs: list[int] = []
    for split in rolling_splits(log, objective.folds, objective.horizon):
        recommender.fit(split.train, progress=lambda _: tick())
        told = evaluate(
            recommender,
            split.test,
            k=10,
            baselines=False,
            max_targets=_MOST_TARGETS,
            resamples=2,
            progress=lambda *_: tick(),
        )
        values.append(told.model.metrics[METRIC])
        assert recommender.training_result is not None
        epochs.append(recommender.training_result.epochs)
        mean = sum(values) / len(values)
        if len(values) < objective.folds:
            report(len(values), mean)
    return Judged(mean, round(sum(epochs) / len(epochs)), (len(values), mean))
