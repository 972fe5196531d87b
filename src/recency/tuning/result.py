"""The outcome of a study: the best settings, every trial, and what mattered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from recency.recommender import SequenceRecommender
from recency.training.tracking.run_toml import run_toml
from recency.tuning.judging import METRIC, Objective
from recency.tuning.run_file import Sections, changed, recommender_of
from recency.tuning.spaces import Space


@dataclass(frozen=True)
class TuningResult:
    """Hold the outcome of `recency.tune`.

    Attributes:
        best: Settings of the best trial by their names in ``run.toml``, such as ``training.lr``.
        value: Its judgement in [0, 1].
        start: Judgement of the settings that the study started from; None if that trial was lost.
        trials: One row a trial: ``trial`` (from 1), ``state`` (complete or pruned), ``ndcg@10``,
            ``epochs``, ``seconds``, ``why`` (it was ended early), and a column a setting.
        curves: ``trial``, ``step`` (an epoch, or a fold), ``ndcg@10``.
        importance: Settings to their shares of what decides whether a trial is good, the largest
            first; empty while there are too few trials to tell.
        objective: What trials were judged by.
        space: What was searched.
        sections: Everything else, as the sections of ``run.toml``.
    """

    best: dict[str, Any]
    value: float
    start: float | None
    trials: pl.DataFrame = field(repr=False)
    curves: pl.DataFrame = field(repr=False)
    importance: dict[str, float]
    objective: Objective
    space: Space = field(repr=False)
    sections: Sections = field(repr=False)

    @property
    def n_pruned(self) -> int:
        """Count the trials that were ended early."""
        return int((self.trials["state"] == "pruned").sum())

    def recommender(self) -> SequenceRecommender:
        """Make a recommender with the best settings, not yet fitted."""
        return recommender_of(changed(self.sections, self.best))

    def run_toml(self, more: Mapping[str, Mapping[str, Any]] | None = None) -> str:
        """Write the best settings as a ``run.toml`` that repeats the run.

        Args:
            more: Further sections, such as ``data`` and ``split``.
        """
        heading = (
            f"The best of {self.trials.height} trials: {METRIC} {self.value:.4f}\n"
            f"({self.objective}).\nrecency fit FILE --config best.toml --out model/"
        )
        return run_toml({**(more or {}), **changed(self.sections, self.best)}, heading)

    def report(self, path: str | Path, title: str = "") -> Path:
        """Write one HTML page: the history of the study, what mattered, and every trial.

        Args:
            path: The file.
            title: Stands at the top, such as the name of the log.
        """
        from recency.tuning.report import save_report  # matplotlib is slow to import

        return save_report(self, Path(path), title)
