"""``recency fit --run-dir --tracker``: what is kept of a run repeats it bit by bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recency.cli.run_config import read_run_config
from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.synthetic import shop
from recency.nn.encoders import ENCODERS, make_encoder
from recency.nn.experts import ExpertConfig
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig
from recency.training.plan import plan_training
from recency.training.tracking.facts import run_facts
from recency.training.tracking.run_folder import RunFolder

FULL = Path("/dev/full")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.parquet"
    shop(n_users=40, n_items=25, days=20, seed=1).log.write(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("until", ["0.9", None])
def test_the_run_toml_of_a_run_folder_repeats_the_run(run, events, tmp_path, until):
    kept = tmp_path / "runs" / "a"
    words = ["--encoder", "gru", "--size", "small", "--epochs", 2, "--seed", 3, "--json"]
    cut = [] if until is None else ["--until", until]
    first = run(
        "fit", events, "--out", tmp_path / "m", "--run-dir", kept, "--tracker", "tensorboard",
        *words, *cut,
    )  # fmt: skip
    assert first.code == 0, first.err
    told = json.loads((kept / "run.json").read_text())
    assert told["command"][:2] == ["recency", "fit"] and told["began"].endswith("+00:00")
    assert (kept / "tensorboard").is_dir()
    again = run("fit", events, "--out", tmp_path / "m2", "--config", kept / "run.toml", "--json")
    assert again.code == 0, again.err
    version = json.loads(first.out)["model_version"]
    assert json.loads(again.out)["model_version"] == version == told["result"]["model_version"]
    models = [SequenceRecommender.load(tmp_path / one).settings() for one in ("m", "m2")]
    for settings in models:  # what was left to be chosen is said outright in the run folder
        settings.pop("training")
    assert models[0] == models[1]


@pytest.mark.slow
def test_a_run_from_python_is_repeated_by_the_command_line(run, events, tmp_path):
    from recency import read_log

    train, _ = read_log(events).split_at("2026-02-14")
    made = SequenceRecommender(
        make_encoder("timelstm", {"dim": 8}),
        inputs=InputConfig(dropout=0.1, time_zone="Asia/Tokyo"),
        training=TrainConfig(epochs=2, lr=0.01, max_len=20),
        experts=ExpertConfig(crowd=("1h",), pair=()),
        seed=9,
    ).fit(train, run_dir=tmp_path / "a")
    done = run(
        "fit", events, "--out", tmp_path / "m", "--config", tmp_path / "a" / "run.toml", "--json"
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["model_version"] == made.model_version


@pytest.mark.parametrize("name", ENCODERS)
def test_every_setting_of_every_encoder_comes_back(name, tmp_path):
    log = shop(n_users=20, n_items=15, days=20, seed=1).log
    vocabs = Vocabs.of(log)
    histories = Histories.build(log, vocabs.users, vocabs.items, vocabs.types)
    experts = ExpertConfig(own=False, crowd=("2h", 7.5))
    inputs = InputConfig(calendar=False, hidden_items=0.1)
    training = TrainConfig(tokens=512, weight_decay=0.0, refit=False)
    encoder = make_encoder(name, {"dim": 16})
    model = SequenceModel(encoder, len(vocabs.items), 0, inputs, "known", experts)
    plan = plan_training(histories, training, None)
    RunFolder(tmp_path).begin(run_facts(model, plan, training, 4, None))
    read = read_run_config(tmp_path / "run.toml")
    made = read.recommender()
    assert type(made.encoder) is type(encoder) and made.encoder.config() == encoder.config()
    assert (made.inputs, made.experts, made.seed) == (inputs, experts, 4)
    assert made.request_time == "known" and made.training == training
    assert read.split.until == run_facts(model, plan, training, 4, None)["data"]["cut"]
    assert replace(read, encoder={}) != replace(read_run_config(None), encoder={})


def test_mistakes_are_told_before_a_file_is_read(run, tmp_path):
    done = run("fit", tmp_path / "none.csv", "--out", tmp_path / "m", "--tracker", "tensorbord")
    assert done.code == 2
    assert "tracker='tensorbord': expected 'tensorboard', 'wandb', 'mlflow'" in done.err
    assert "Did you mean 'tensorboard'?" in done.err


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_keeps_the_model_and_fails_the_command(run, events, tmp_path):
    kept = tmp_path / "a"
    kept.mkdir()
    (kept / "curves.parquet.partial").symlink_to(FULL)
    done = run(
        "fit", events, "--out", tmp_path / "m", "--run-dir", kept, "--encoder", "gru",
        "--size", "small", "--epochs", 1,
    )  # fmt: skip
    assert done.code == 1
    assert f"Note: run folder {kept} failed after search epoch 1" in done.out
    assert "No space left on device" in done.out and "Saved in" in done.out
    assert (tmp_path / "m" / "manifest.json").exists()
