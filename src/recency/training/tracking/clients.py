"""Clients of other products that track trainings: TensorBoard, Weights & Biases, MLflow.

Each adapter is a tracker (`recency.training.tracking.trackers`); the packages are extras. All
hold the same numbers under the same names, such as ``search/loss``, and the epoch is the step.
MLflow allows no ``@``, so there ``ndcg@10`` is ``ndcg_at_10``. The clients' own settings count:
WANDB_MODE, WANDB_PROJECT, MLFLOW_TRACKING_URI and the like.
"""

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from recency.errors import ConfigError
from recency.training.config import EpochRecord
from recency.training.tracking.facts import Facts, flat

STAGES = ("train", "search", "cooling", "refit")
PROJECT = "recency"  # the name under which runs are gathered


class TensorBoard:
    """Write for TensorBoard.

    Args:
        folder: None takes the client's own choice, ``runs/<date and host>``.

    Raises:
        ConfigError: the package is missing.
    """

    name = "TensorBoard"

    def __init__(self, folder: str | Path | None = None) -> None:
        self._new_writer = _client("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._folder = None if folder is None else str(folder)
        self._writer: Any = None

    def begin(self, facts: Facts) -> None:
        """Open an event file and write the facts of the run as text."""
        self._writer = self._new_writer(self._folder)
        self._text("run", facts)

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Write one epoch; it can be read at once."""
        for name, value in numbers(record, lr).items():
            self._writer.add_scalar(f"{record.stage}/{name}", value, record.epoch)
        self._writer.flush()

    def end(self, facts: Facts) -> None:
        """Write how it ended, and close the file."""
        self._text("result", facts)
        self._writer.close()

    def _text(self, tag: str, facts: Facts) -> None:
        text = json.dumps(facts, indent=2)
        self._writer.add_text(tag, "".join(f"    {line}\n" for line in text.splitlines()))
        self._writer.flush()


class WeightsAndBiases:
    """Write to Weights & Biases: into the run that is open, or into one of its own.

    Args:
        project: None takes WANDB_PROJECT, or ``"recency"``.
        folder: Where the client keeps its files; None is the client's own choice.

    Raises:
        ConfigError: the package is missing.
    """

    name = "Weights & Biases"

    def __init__(self, project: str | None = None, folder: str | Path | None = None) -> None:
        self._client = _client("wandb", "wandb")
        self._project = project or os.environ.get("WANDB_PROJECT", PROJECT)
        self._folder = folder
        self._run: Any = None
        self._own = False

    def begin(self, facts: Facts) -> None:
        """Open a run where none is open, and write the facts as its configuration."""
        self._own = self._client.run is None
        if self._own:
            if self._folder is not None:
                Path(self._folder).mkdir(parents=True, exist_ok=True)
            self._run = self._client.init(project=self._project, dir=self._folder)
        else:
            self._run = self._client.run
        self._run.config.update(dict(facts), allow_val_change=True)
        for stage in STAGES:  # every stage counts its epochs by itself
            self._run.define_metric(f"{stage}/epoch", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Write one epoch."""
        row = {"epoch": record.epoch, **numbers(record, lr)}
        self._run.log({f"{record.stage}/{name}": value for name, value in row.items()})

    def end(self, facts: Facts) -> None:
        """Write how it ended as the run's summary; close the run if it is ours."""
        self._run.summary.update(dict(facts))
        if self._own:
            self._run.finish(exit_code=0 if facts["status"] == "finished" else 1)


class MLflow:
    """Write to MLflow: into the run that is active, or into one of its own.

    Args:
        experiment: None takes MLFLOW_EXPERIMENT_NAME, or ``"recency"``.
        uri: Of the tracking store, such as ``"sqlite:///mlflow.db"``; None is the client's own
            choice.

    Raises:
        ConfigError: the package is missing.
    """

    name = "MLflow"

    def __init__(self, experiment: str | None = None, uri: str | None = None) -> None:
        self._module = _client("mlflow", "mlflow")
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        self._uri = uri
        self._store: Any = None
        self._run = ""
        self._own = False

    def begin(self, facts: Facts) -> None:
        """Open a run where none is active, and write the facts as its parameters."""
        self._store = self._module.MlflowClient(tracking_uri=self._uri)
        active = self._module.active_run()
        self._own = active is None
        self._run = self._new_run() if active is None else active.info.run_id
        for name, value in flat(facts).items():
            self._store.log_param(self._run, name, value)

    def epoch(self, record: EpochRecord, lr: float) -> None:
        """Write one epoch."""
        for name, value in numbers(record, lr).items():
            key = f"{record.stage}/{name.replace('@', '_at_')}"
            self._store.log_metric(self._run, key, value, step=record.epoch)

    def end(self, facts: Facts) -> None:
        """Write how it ended as tags; close the run if it is ours."""
        for name, value in flat(facts).items():
            self._store.set_tag(self._run, name.replace("@", "_at_"), value)
        if self._own:
            ends = {"finished": "FINISHED", "stopped": "KILLED"}
            self._store.set_terminated(self._run, ends.get(facts["status"], "FAILED"))

    def _new_run(self) -> str:
        found = self._store.get_experiment_by_name(self._experiment)
        made = self._store.create_experiment(self._experiment) if found is None else None
        run = self._store.create_run(made or found.experiment_id)
        return str(run.info.run_id)


def numbers(record: EpochRecord, lr: float) -> dict[str, float]:
    """Name the numbers of an epoch: what every tracker holds."""
    judged = {} if record.valid is None else {"ndcg@10": record.valid}
    speed = {"seconds": record.seconds, "targets_per_second": record.targets_per_second}
    return {"loss": record.loss, "lr": lr, **judged, **speed}


def _client(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"tracker={extra!r} needs the package {extra}, which is not installed; "
            f"pip install 'recency[{extra}]'."
        ) from None
