"""Trackers: the real clients write and are read back, and none of them can spoil a run."""

import logging
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recency.errors import ConfigError, TrainingDivergedError
from recency.training.checkpoints import digest_histories, weights_of
from recency.training.config import EpochRecord, TrainingStep
from recency.training.loop import train
from recency.training.tracking.clients import MLflow, TensorBoard, WeightsAndBiases
from recency.training.tracking.facts import flat, model_version
from recency.training.tracking.trackers import Tracker, trackers_of

NAMES = {"loss", "lr", "seconds", "targets_per_second"}


class Recorder:
    """A tracker of one's own."""

    def __init__(self, breaks_at: str = "") -> None:
        self.told: list[tuple[str, Any]] = []
        self.breaks_at = breaks_at

    def begin(self, facts: Any) -> None:
        self._tell("begin", facts)

    def epoch(self, record: EpochRecord, lr: float) -> None:
        self._tell(f"{record.stage} {record.epoch}", (record, lr))

    def end(self, facts: Any) -> None:
        self._tell("end", facts)

    def _tell(self, what: str, facts: Any) -> None:
        self.told.append((what, facts))
        if what == self.breaks_at:
            raise OSError(28, "No space left on device")

    @property
    def heard(self) -> list[str]:
        return [what for what, _ in self.told]


@pytest.fixture
def short(config):
    return replace(config, epochs=2)


# --- what is told --------------------------------------------------------------------------------


def test_a_tracker_hears_the_run_every_epoch_and_the_end(new_model, histories, short):
    recorder, model = Recorder(), new_model("known")
    result = train(model, histories, short, seed=3, tracker=recorder)
    assert recorder.heard == ["begin", "search 1", "search 2", "refit 1", "refit 2", "end"]
    facts, ending = recorder.told[0][1], recorder.told[-1][1]
    assert facts["encoder"] == {"name": "gru", "dim": 16, "layers": 1, "dropout": 0.0}
    assert (facts["seed"], facts["request_time"], facts["training"]["epochs"]) == (3, "known", 2)
    assert facts["data"]["digest"] == digest_histories(histories)
    assert facts["data"]["start"] == "2026-01-01T00:00:00Z"
    assert facts["data"]["cut"] == "2026-01-01T00:19:23.000001Z"
    assert ending["status"] == "finished" and ending["model_version"] == model_version(model)
    assert (ending["epochs"], ending["ndcg@10"]) == (result.epochs, result.valid)
    assert [told[0] for _, told in recorder.told[1:-1]] == list(result.history)
    assert [told[1] for _, told in recorder.told[1:-1]] == pytest.approx([1e-2, 5e-4] * 2)
    older, everything = result.history[0].n_targets, result.history[-1].n_targets
    assert 0 < older < everything == 24 * 19
    assert all(one.targets_per_second == one.n_targets / one.seconds for one in result.history)


def test_trackers_change_nothing_of_what_is_learned(new_model, histories, short, tmp_path):
    alone, followed = new_model(), new_model()
    train(alone, histories, short)
    train(followed, histories, short, tracker=[Recorder(), TensorBoard(tmp_path)])
    assert model_version(alone) == model_version(followed)


def test_a_run_that_goes_on_tells_the_epochs_before_it_again(
    new_model, histories, config, tmp_path
):
    def stop(step: TrainingStep) -> None:
        if (step.stage, step.epoch) == ("search", 3):
            raise KeyboardInterrupt

    kept, first, second = replace(config, checkpoint_dir=tmp_path), Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(new_model(), histories, kept, progress=stop, tracker=first)
    assert first.heard == ["begin", "search 1", "search 2", "end"]
    assert first.told[-1][1] == {"status": "stopped", "fault": "KeyboardInterrupt"}
    train(new_model(), histories, kept, tracker=second)
    assert second.heard[:4] == ["begin", "search 1", "search 2", "search 3"]
    assert second.told[1:3] == first.told[1:3]


def test_a_run_that_diverges_tells_so(new_model, histories, config):
    recorder, model = Recorder(), new_model()
    model.items.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingDivergedError):
        train(model, histories, config, tracker=recorder)
    assert recorder.heard == ["begin", "end"]
    ending = recorder.told[-1][1]
    assert ending["status"] == "failed" and "expected a finite loss" in ending["fault"]


# --- trackers that fail --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["search 2", "end"])
def test_one_that_fails_is_named_once_and_left_out(new_model, histories, short, caplog, moment):
    alone, model = new_model(), new_model()
    train(alone, histories, short)
    failing, sound = Recorder(moment), Recorder()
    with caplog.at_level(logging.WARNING):
        result = train(model, histories, short, tracker=[failing, sound])
    when = "after search epoch 2" if moment == "search 2" else "at the end"
    (note,) = result.notes
    assert note == (
        f"Recorder failed {when} and was left out from then on: OSError: [Errno 28] No space left "
        f"on device; the training itself lost nothing."
    )
    assert caplog.messages.count(note) == 1
    assert failing.heard[-1] == moment and sound.heard[-1] == "end"
    assert model_version(alone) == model_version(model)


def test_all_that_cannot_begin_are_named_before_anything_is_learned(new_model, histories, short):
    sound, model = Recorder(), new_model()
    before = weights_of(model)
    failing = [Recorder("begin"), Recorder("begin")]
    with pytest.raises(ConfigError) as caught:
        train(model, histories, short, tracker=[failing[0], sound, failing[1]])
    told = str(caught.value)
    assert told.count("Recorder cannot begin: OSError: [Errno 28] No space left on device") == 2
    assert "mend it, or train without it" in told
    assert sound.heard == ["begin", "end"] and sound.told[-1][1]["status"] == "failed"
    assert (before["items"] == model.items).all()


# --- names and objects ---------------------------------------------------------------------------


def test_names_objects_and_lists_of_them(tmp_path):
    pytest.importorskip("tensorboard", reason="needs recency[tensorboard]")
    recorder = Recorder()
    assert trackers_of(None) == [] == trackers_of([])
    assert trackers_of(recorder) == [recorder]
    first, second = trackers_of(["tensorboard", recorder], tmp_path)
    assert isinstance(first, TensorBoard) and second is recorder and isinstance(second, Tracker)


def test_what_is_no_tracker_is_named_together():
    with pytest.raises(ConfigError) as caught:
        trackers_of(["wnadb", 3])  # type: ignore[list-item]  # the mistake under test
    told = str(caught.value)
    assert "tracker='wnadb': expected 'tensorboard', 'wandb', 'mlflow', or an object with" in told
    assert "begin, epoch and end. Did you mean 'wandb'?" in told
    assert "tracker=3: expected" in told
    with pytest.raises(ConfigError, match="tracker=3: expected 'tensorboard', 'wandb'"):
        trackers_of(3)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tensorboard", "torch.utils.tensorboard"),
        ("wandb", "wandb"),
        ("mlflow", "mlflow"),
    ],
)
def test_a_missing_client_is_named_with_the_way_to_get_it(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as caught:
        trackers_of(name)
    assert str(caught.value) == (
        f"tracker={name!r} needs the package {name}, which is not installed; "
        f"pip install 'recency[{name}]'."
    )


def test_facts_become_flat():
    facts = {"a": {"b": 1, "c": {"d": None, "e": [1, "x"]}}, "f": "g"}
    assert flat(facts) == {"a.b": 1, "a.c.e": '[1, "x"]', "f": "g"}


# --- the real clients ----------------------------------------------------------------------------


def test_tensorboard_reads_what_was_written(new_model, histories, short, tmp_path):
    pytest.importorskip("tensorboard", reason="needs recency[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(new_model(), histories, short, tracker=TensorBoard(tmp_path))
    read = EventAccumulator(str(tmp_path)).Reload()
    assert set(read.Tags()["scalars"]) == {
        *(f"search/{name}" for name in NAMES | {"ndcg@10"}),
        *(f"refit/{name}" for name in NAMES),
    }
    written = [(one.step, one.value) for one in read.Scalars("search/ndcg@10")]
    assert written == [(e.epoch, pytest.approx(e.valid)) for e in result.history[:2]]
    assert [one.value for one in read.Scalars("refit/lr")] == pytest.approx([1e-2, 5e-4])
    (text,) = read.Tensors("run/text_summary")
    assert '"epochs": 2' in text.tensor_proto.string_val[0].decode()


@pytest.mark.slow
def test_weights_and_biases_keeps_the_history_offline(
    new_model, histories, short, tmp_path, monkeypatch
):
    wandb = pytest.importorskip("wandb", reason="needs recency[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    result = train(
        new_model(), histories, short, seed=7, tracker=WeightsAndBiases("shop", tmp_path)
    )
    assert wandb.run is None
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("run-*.wandb")
    records = list(wandb_records(file))
    for _ in range(300):  # the client's own process is still writing
        if any(kind == "exit" for kind, _ in records):
            break
        time.sleep(0.1)
        records = list(wandb_records(file))
    rows = [row for kind, row in records if kind == "history"]
    assert [row["search/epoch"] for row in rows[:2]] == ["1", "2"]
    assert [float(row["search/ndcg@10"]) for row in rows[:2]] == [
        e.valid for e in result.history[:2]
    ]
    assert [float(row["refit/loss"]) for row in rows[2:]] == [e.loss for e in result.history[2:]]
    settings = [row for kind, row in records if kind == "config"]
    assert any(row.get("seed") == "7" for row in settings)
    assert any(row.get("status") == '"finished"' for kind, row in records if kind == "summary")


@pytest.mark.slow
def test_a_run_of_weights_and_biases_that_is_open_is_written_to_and_left_open(
    new_model, histories, short, tmp_path, monkeypatch
):
    wandb = pytest.importorskip("wandb", reason="needs recency[wandb]")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=tmp_path, project="mine") as mine:
        train(new_model(), histories, short, tracker=WeightsAndBiases())
        assert wandb.run is mine
        assert mine.summary["status"] == "finished" and mine.config["seed"] == 0


def wandb_records(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a file of the offline client: records in blocks of 32 KiB, LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    made = vars(wandb_internal_pb2)["Record"]  # its class is made when the module is loaded
    content, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        if at + 7 + length > len(content):
            return  # still being written
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = made.FromString(parts)
            parts = b""
            what = record.WhichOneof("record_type")
            if what == "history":
                items = record.history.item
            else:
                items = getattr(record, what).update if what in ("config", "summary") else ()
            yield what, {"/".join(one.nested_key) or one.key: one.value_json for one in items}


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return pytest.importorskip("mlflow", reason="needs recency[mlflow]")


# SQLAlchemy tells MLflow that a feature will go; nobody here can change that.
of_mlflow = pytest.mark.filterwarnings("ignore:The ``noload`` loader")


@pytest.mark.slow
@of_mlflow
def test_mlflow_reads_what_was_written(new_model, histories, short, tmp_path, mlflow):
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    result = train(new_model(), histories, short, tracker=MLflow("shop", uri))
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "2" and run.data.params["encoder.name"] == "gru"
    assert run.data.tags["status"] == "finished"
    assert set(run.data.metrics) == {
        *(f"search/{name}" for name in NAMES | {"ndcg_at_10"}),
        *(f"refit/{name}" for name in NAMES),
    }
    judged = client.get_metric_history(run.info.run_id, "search/ndcg_at_10")
    assert [(one.step, one.value) for one in judged] == [
        (e.epoch, e.valid) for e in result.history[:2]
    ]


@pytest.mark.slow
@of_mlflow
def test_a_run_of_mlflow_that_is_active_is_written_to_and_left_active(
    new_model, histories, short, tmp_path, mlflow
):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        with mlflow.start_run() as mine:
            train(new_model(), histories, short, tracker=MLflow())
            assert mlflow.active_run().info.run_id == mine.info.run_id
        read = mlflow.MlflowClient().get_run(mine.info.run_id)
        assert read.data.metrics["refit/lr"] == pytest.approx(5e-4)
    finally:
        mlflow.set_tracking_uri(before)
