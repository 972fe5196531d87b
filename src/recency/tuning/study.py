"""The study: what was tried, kept in a file that outlives the process.

Only one process, the one that holds the lock, reads and writes the file, a SQLite database of
Optuna's: each trial is there as a whole or not at all, even after ``kill -9``. Workers never touch
it. A trial that was running when its process ended is not counted; it is made anew.

Each trial has a number of its own, its *draw*, and the sampler starts from the seed and the draw
alone. With one worker, a study that was interrupted therefore makes the very trials that it would
have made otherwise. The first draw is what the study starts from, so no result is worse than that.
"""

import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.errors import ConfigError, FormatError, StoreError
from recency.tuning.run_file import Sections, Settings, setting
from recency.tuning.spaces import Choice, Range, Space

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

FILE = "study.sqlite"
_LOCK = "study.lock"
_READ = ("user_id", "item_id", "event_type", "value")  # columns that models learn from
_CHUNK = 2**20  # rows digested at once
_SEEDS = 2**32

Key = dict[str, Any]  # JSON: what may not change while a study goes on


class Study:
    """Ask for trials and keep what they tell.

    Args:
        study: Optuna's.
        space: What is searched.
        sections: Tell the settings of the first trial, and the seed.
    """

    def __init__(self, study: "optuna.Study", space: Space, sections: Sections) -> None:
        self.study, self._space = study, space
        self._seed = int(sections["model"]["seed"])
        self._first = {name: setting(sections, name) for name in space}
        self._kinds = {name: _distribution(one) for name, one in space.items()}

    def ask(self) -> "Trial":
        """Draw the settings of the next trial."""
        from optuna.samplers import TPESampler

        taken = {
            one.user_attrs.get("draw") for one in self._trials("COMPLETE", "PRUNED", "RUNNING")
        }
        draw = next(number for number in itertools.count() if number not in taken)
        words = np.random.SeedSequence((self._seed % _SEEDS, draw)).generate_state(1)
        self.study.sampler = TPESampler(seed=int(words[0]))
        if draw == 0 and not self._trials("WAITING"):
            self.study.enqueue_trial({name: _label(value) for name, value in self._first.items()})
        trial = self.study.ask(self._kinds)
        trial.set_user_attr("draw", draw)
        return trial

    def settings(self, params: Settings) -> dict[str, Any]:
        """Turn a trial's parameters into settings."""
        lists = {name for name, one in self._space.items() if isinstance(one, Choice)}
        return {name: _value(one) if name in lists else one for name, one in params.items()}

    def finish(self, trial: "Trial", value: float, **facts: Any) -> None:
        """Keep a trial's judgement."""
        self._describe(trial, facts)
        self.study.tell(trial, value)

    def drop(self, trial: "Trial", why: str, **facts: Any) -> None:
        """Count a trial that was ended early, with the reason."""
        from optuna.trial import TrialState

        self._describe(trial, {**facts, "why": why})
        self.study.tell(trial, state=TrialState.PRUNED)

    def forget_unfinished(self) -> None:
        """Mark trials that no process works on any more as failed: they do not count."""
        from optuna.trial import TrialState

        for one in self._trials("RUNNING"):
            self.study.tell(one.number, state=TrialState.FAIL)

    def finished(self) -> "list[optuna.trial.FrozenTrial]":
        """List the trials that count, by their draws."""
        return sorted(
            self._trials("COMPLETE", "PRUNED"), key=lambda one: int(one.user_attrs["draw"])
        )

    def best(self) -> "optuna.trial.FrozenTrial | None":
        """Give the best trial that was not ended early; of equal ones the first."""
        complete = [one for one in self.finished() if one.state.name == "COMPLETE"]
        return max(complete, key=lambda one: float(one.value or 0.0), default=None)

    def importance(self) -> dict[str, float]:
        """Share out what decides whether a trial is good, the largest share first.

        PED-ANOVA, as it needs no more than NumPy: Watanabe, Bansal and Hutter, IJCAI 2023.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        return get_param_importances(self.study, evaluator=PedAnovaImportanceEvaluator())

    def _describe(self, trial: "Trial", facts: Key) -> None:
        for name, value in facts.items():
            trial.set_user_attr(name, value)

    def _trials(self, *states: str) -> "list[optuna.trial.FrozenTrial]":
        found = self.study.get_trials(deepcopy=False)
        return [one for one in found if one.state.name in states]


@contextmanager
def open_storage(folder: Path | None, key: Key, prune_from: int | None) -> Iterator["optuna.Study"]:
    """Open the study of a folder, or one in memory alone.

    Args:
        folder: Made if missing; None keeps nothing.
        key: What the trials depend on. A study that was begun with another key is refused.
        prune_from: First step at which a trial worse than the median is ended; None ends none.

    Raises:
        ConfigError: the folder's study has another key, another process is at work there, or
            Optuna is missing.
        FormatError: the file is no study.
        StoreError: the file cannot be written.
    """
    optuna = require_optuna()
    pruner = optuna.pruners.NopPruner()
    if prune_from is not None:
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=4, n_warmup_steps=prune_from, n_min_trials=3
        )
    new = {"study_name": "recency", "direction": "maximize", "pruner": pruner}
    if folder is None:
        yield optuna.create_study(**new)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / FILE).resolve()}")
            study = optuna.create_study(storage=storage, load_if_exists=True, **new)
            _check_key(study, key, folder)
        except Exception as fault:
            if _is_of_database(fault):
                raise FormatError(
                    f"{folder / FILE} cannot be read as a study ({_first_line(fault)}); tune in "
                    f"another folder, or delete it to start afresh."
                ) from None
            raise
        try:
            yield study
        except Exception as fault:
            if _is_of_database(fault):
                raise StoreError(
                    f"{folder / FILE} cannot be written ({_first_line(fault)}). The trials before "
                    f"are kept: free space there and run the same again to go on."
                ) from None
            raise
        finally:
            storage.remove_session()
            storage.engine.dispose()


def require_optuna() -> Any:
    """Import Optuna.

    Raises:
        ConfigError: it is missing.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "tuning needs the package optuna, which is not installed; pip install 'recency[tune]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def digest_log(log: Log | Prepared) -> str:
    """Digest what models learn from: users, items, times, types and values, in their order."""
    if isinstance(log, Prepared):  # the names of its files tell what is in them
        return hashlib.sha256(json.dumps(log.files, sort_keys=True).encode()).hexdigest()[:16]
    digest = hashlib.sha256(f"{log.n_events} events".encode())
    digest.update(np.ascontiguousarray(log.times).tobytes())
    for name in (name for name in _READ if log.has(name)):
        column = log.events[name]
        digest.update(f"{name} {column.dtype}".encode())
        for start in range(0, len(column), _CHUNK):
            part = column.slice(start, _CHUNK)
            if part.dtype == pl.String:
                digest.update(json.dumps(part.to_list()).encode())
            else:
                digest.update(part.fill_null(-1).to_numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the operating system lets go however this one ends."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise ConfigError(
                f"{folder} is being tuned by process {owner}; wait for it, stop it, or name "
                f"another folder. More workers for one study: workers=."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(handle)


def _check_key(study: "optuna.Study", key: Key, folder: Path) -> None:
    """Keep the key with a new study; refuse to go on with what was tried on something else."""
    before = study.user_attrs.get("key")
    if before is None:
        study.set_user_attr("key", key)
        return
    now = json.loads(json.dumps(key))
    differing = [f"the {name}" for name in now if before.get(name) != now[name]]
    if differing:
        raise ConfigError(
            f"the study in {folder} was begun with something else: {', '.join(differing)} "
            f"differ{'s' if len(differing) == 1 else ''}. Its trials say nothing of this run; "
            f"name another folder, or delete {folder / FILE}."
        )


def _distribution(one: Range | Choice) -> "BaseDistribution":
    from optuna import distributions

    if isinstance(one, Choice):
        return distributions.CategoricalDistribution([_label(value) for value in one.values])
    if one.whole:
        step = 1 if one.step is None else int(one.step)
        return distributions.IntDistribution(int(one.low), int(one.high), one.log, step)
    return distributions.FloatDistribution(one.low, one.high, one.log, one.step)


def _label(value: Any) -> Any:
    """Give what Optuna can keep: lists, which it cannot, become JSON."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _value(label: Any) -> Any:
    return json.loads(label) if isinstance(label, str) and label.startswith("[") else label


def _is_of_database(fault: Exception) -> bool:
    """Tell errors of the database: SQLAlchemy's, or Optuna's wrapping of them."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(fault, StorageInternalError | SQLAlchemyError)


def _first_line(fault: Exception) -> str:
    cause = fault.__cause__ or fault
    return (str(cause).splitlines() or [type(cause).__name__])[0]
