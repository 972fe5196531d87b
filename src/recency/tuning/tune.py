"""Tune: search good settings by trials, in worker processes, until enough were made.

What a person says about the space holds, and the settings that the study starts from are brought
into it. Where nothing is said, the space is widened to hold them, so that the first trial is what
was there before and the best one is no worse.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.data.splits import rolling_splits
from recency.errors import ConfigError, DataError, raise_all
from recency.nn.encoder import Encoder
from recency.nn.encoders import make_encoder
from recency.recommender import SequenceRecommender
from recency.tuning.crew import crew_for
from recency.tuning.judging import METRIC, Objective
from recency.tuning.result import TuningResult
from recency.tuning.run_file import (
    Sections,
    changed,
    check_names,
    recommender_of,
    sections_of,
    setting,
)
from recency.tuning.search import Plan, Progress, Search
from recency.tuning.spaces import Choice, Range, Space, read_space, space_as_json, space_for
from recency.tuning.study import Study, digest_log, open_storage, require_optuna

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_WARMUP = 2  # epochs before a trial may be ended: the learning rate still rises in the first
_FEWEST_TO_WEIGH = 6  # complete trials before importance can be told


def tune(
    log: Log | Prepared,
    encoder: Encoder | str | None = None,
    *,
    start: SequenceRecommender | None = None,
    space: Mapping[str, Any] | None = None,
    trials: int = 30,
    minutes: float | None = None,
    workers: int = 1,
    folds: int = 0,
    horizon: str | float = "7d",
    prune: bool = True,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> TuningResult:
    """Search the settings of a recommender that rank best what comes next.

    Trials are drawn by TPE (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS
    2011); the first one is what the study starts from. A trial whose loss diverges is ended, and,
    after a few epochs, one that is worse than the median of those before.

    Args:
        log: Training events only; nothing later is looked at. Workers share the memory of one from
            `recency.read_prepared`.
        encoder: Whose settings are searched: a name such as ``"gru"``, or an encoder; default
            ``"tide"``.
        start: Instead of an encoder, a recommender to start from, with all its settings. Every
            trial is fitted with its seed.
        space: Changes to what is searched, by the names of ``run.toml``: ``{"training.lr":
            {"low": 1e-3, "high": 1e-2, "log": True}, "encoder.window": [0, 32]}``; a single value
            is fixed and not searched.
        trials: Trials in all, those found in the folder included.
        minutes: No trial begins later than this; those under way are finished.
        workers: Trials side by side, each a process; they share the processor's cores.
        folds: Judge by so many test windows of a time-series cross-validation instead of the
            newest slice: slower and steadier.
        horizon: Length of such a window, ``"7d"`` or seconds.
        prune: Whether bad trials are ended early.
        folder: Keeps the study; called again with it, tuning goes on where it stopped.
        progress: Called whenever a trial began, reported or ended.

    Returns:
        The best settings, and every trial.

    Raises:
        ConfigError: a setting is impossible, Optuna is missing, the folder's study is of another
            log or space, or no trial was finished.
        DataError: the log holds too little to judge by.
    """
    require_optuna()
    _check_counts(trials, minutes, workers)
    objective = Objective(folds, horizon)
    sections, searched = _searched(sections_of(_start(encoder, start)), space or {})
    plan = Plan(sections, searched, objective, trials, minutes, workers)
    _check_log(log, plan)
    prune_from = None if not prune else 1 if folds else _WARMUP
    with ExitStack() as stack:
        place = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        kept_in = None if folder is None else place
        opened = open_storage(kept_in, _identity(log, plan), prune_from)
        study = Study(stack.enter_context(opened), searched, sections)
        study.forget_unfinished()
        if len(study.finished()) < trials:
            with crew_for(log, objective, workers, place) as crew:
                Search(study, crew, plan, progress).run()
        return _result(study, plan)


def _identity(log: Log | Prepared, plan: Plan) -> dict[str, Any]:
    """Give what a study in a folder must share with this one, to be gone on with."""
    return {
        "log": digest_log(log),
        "space": space_as_json(plan.space),
        "settings": plan.sections,
        "objective": [plan.objective.folds, plan.objective.horizon],
    }


def _start(encoder: Encoder | str | None, start: SequenceRecommender | None) -> SequenceRecommender:
    if start is None:
        made = make_encoder(encoder or "tide", {}) if not isinstance(encoder, Encoder) else encoder
        return SequenceRecommender(made)
    if encoder is not None:
        raise ConfigError("expected an encoder or start=, found both; start has an encoder.")
    return start


def _check_counts(trials: int, minutes: float | None, workers: int) -> None:
    faults = [
        f"{name}={given!r}: expected a whole number of at least 1."
        for name, given in (("trials", trials), ("workers", workers))
        if isinstance(given, bool) or not isinstance(given, int) or given < 1
    ]
    if minutes is not None and not minutes > 0:
        faults.append(f"minutes={minutes!r}: expected more than 0.")
    raise_all(faults, ConfigError)


def _searched(sections: Sections, changes: Mapping[str, Any]) -> tuple[Sections, Space]:
    """Settle what is searched, and bring the settings to start from into it."""
    said = read_space(changes)
    check_names(sections, list(said))
    space = {
        name: one.including(setting(sections, name))
        for name, one in space_for(sections["model"]["encoder"]).items()
        if name not in said
    }
    start = {}
    for name, one in said.items():
        now = setting(sections, name)
        if isinstance(one, Range | Choice):
            space[name] = one.for_value(now)
            now = space[name].nearest(now)
        else:
            now = one
        start[name] = now
    space = {name: one for name, one in space.items() if len(set(map(repr, one.ends()))) > 1}
    if not space:
        raise ConfigError("tune.space: every setting is fixed, there is nothing to search.")
    sections = changed(sections, start)
    raise_all(_impossible(sections, space), ConfigError)
    return sections, space


def _impossible(sections: Sections, space: Space) -> list[str]:
    """Try the ends of every range, and every choice, before hours are spent."""
    faults = []
    for name, one in space.items():
        for value in one.ends():
            try:
                recommender_of(changed(sections, {name: value}))
            except (ConfigError, TypeError) as fault:
                faults.append(f"tune.space {name} = {value!r}: {fault}")
    return faults


def _check_log(log: Log | Prepared, plan: Plan) -> None:
    if not len(log):
        raise DataError("expected a log with events, found an empty one.")
    if plan.objective.folds:
        if isinstance(log, Prepared):
            raise ConfigError(
                f"folds={plan.objective.folds}: expected a log to cut, found a prepared one; read "
                f"the log itself, or judge by the newest slice (folds=0)."
            )
        rolling_splits(log, plan.objective.folds, plan.objective.horizon)
    elif not plan.sections["training"]["valid_share"]:
        raise ConfigError(
            "TrainConfig(valid_share=0) holds no newest slice back to judge trials by; "
            "raise it, or ask for folds."
        )


def _result(study: Study, plan: Plan) -> TuningResult:
    finished, best = study.finished(), study.best()
    if best is None or best.value is None:
        whys = [one.user_attrs["why"] for one in finished]
        raise ConfigError(
            f"none of {len(finished)} trials was finished. The first one: {whys[0]} "
            f"Start from other settings, or narrow [tune.space]."
        )
    first = finished[0]
    return TuningResult(
        best=dict(sorted(study.settings(best.params).items())),
        value=best.value,
        start=first.value if first.state.name == "COMPLETE" else None,
        trials=pl.DataFrame(
            [_row(study, number, one) for number, one in enumerate(finished, start=1)],
            infer_schema_length=None,
        ),
        curves=_curves(finished),
        importance=study.importance() if _weighable(study) else {},
        objective=plan.objective,
        space=plan.space,
        sections=plan.sections,
    )


def _row(study: Study, number: int, trial: "FrozenTrial") -> dict[str, Any]:
    """Tell how one trial went, and its settings."""
    told = trial.user_attrs
    facts = {
        "trial": number,
        "state": trial.state.name.lower(),
        METRIC: trial.value,
        "epochs": told.get("epochs", len(trial.intermediate_values)),
        "seconds": told.get("seconds"),
        "why": told.get("why"),
    }
    return facts | dict(sorted(study.settings(trial.params).items()))


def _curves(trials: "Sequence[FrozenTrial]") -> pl.DataFrame:
    rows = [
        {"trial": number, "step": step, METRIC: value}
        for number, one in enumerate(trials, start=1)
        for step, value in sorted(one.intermediate_values.items())
    ]
    return pl.DataFrame(rows, schema={"trial": pl.Int64, "step": pl.Int64, METRIC: pl.Float64})


def _weighable(study: Study) -> bool:
    values = {one.value for one in study.finished() if one.state.name == "COMPLETE"}
    return len(values) >= _FEWEST_TO_WEIGH
