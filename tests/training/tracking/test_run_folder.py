"""Run folders: readable at any moment, and enough to see and repeat a run."""

import json
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from recency import __version__
from recency.data.synthetic import shop
from recency.errors import ConfigError, FormatError
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.checkpoints import digest_histories
from recency.training.config import EpochRecord, TrainConfig, TrainingStep
from recency.training.loop import train
from recency.training.tracking.facts import model_version
from recency.training.tracking.run_folder import RunFolder, project_of

FULL = Path("/dev/full")  # every write to it finds the disk full
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
FILES = {"run.toml", "run.json", "curves.parquet", "curves.png"}


def account(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


def picture_size(folder: Path) -> tuple[int, int]:
    with Image.open(folder / "curves.png") as picture:
        picture.load()
        return picture.size


@pytest.fixture
def short(config):
    return replace(config, epochs=2)


# --- what is in it -------------------------------------------------------------------------------


def test_it_holds_settings_versions_data_and_every_epoch(new_model, histories, short, tmp_path):
    folder = RunFolder(tmp_path / "deep" / "a", {"data": {"unit": "s"}}, {"began": "at noon"})
    model = new_model()
    result = train(model, histories, short, seed=5, tracker=folder)
    assert {one.name for one in folder.folder.iterdir()} == FILES and folder.whole
    found = account(folder.folder)
    assert (found["status"], found["began"], found["run"]["seed"]) == ("finished", "at noon", 5)
    assert found["run"]["data"]["digest"] == digest_histories(histories)
    assert found["versions"]["recency"] == __version__
    assert set(found["versions"]) == {
        "recency", "torch", "numpy", "polars", "python", "platform"
    }  # fmt: skip
    assert found["result"]["model_version"] == model_version(model)
    curves = pl.read_parquet(folder.folder / "curves.parquet")
    assert curves["stage"].to_list() == ["search", "search", "refit", "refit"]
    assert curves["ndcg@10"].to_list() == [e.valid for e in result.history]
    assert curves["lr"].to_list() == pytest.approx([1e-2, 5e-4] * 2)
    assert (curves["targets_per_second"] > 0).all()
    assert picture_size(folder.folder)[0] > 1_000
    read = tomllib.loads((folder.folder / "run.toml").read_text())
    assert read["data"] == {"unit": "s"} and read["split"] == {
        "until": "2026-01-01T00:19:23.000001Z"
    }
    assert read["model"] == {
        "encoder": "gru", "experts": False, "request_time": "unknown", "seed": 5
    }  # fmt: skip
    assert read["encoder"] == {"dim": 16, "layers": 1, "dropout": 0.0}
    assert read["training"]["epochs"] == 2 and "checkpoint_dir" not in read["training"]


def test_another_run_is_refused_and_the_same_starts_again(new_model, histories, short, tmp_path):
    train(new_model(), histories, short, tracker=RunFolder(tmp_path))
    before = account(tmp_path)
    with pytest.raises(ConfigError) as caught:
        other = replace(short, lr=1e-3)
        train(new_model(seed=1), histories, other, seed=1, tracker=RunFolder(tmp_path))
    assert str(caught.value) == (
        f"the run folder {tmp_path} holds another run: first_weights, seed, training.lr differ; "
        f"name another run folder, or delete this one."
    )
    assert account(tmp_path) == before
    with pytest.raises(ConfigError, match="holds another run: events differ"):
        changed = replace(histories, items=histories.items[::-1].copy())
        train(new_model(), changed, short, tracker=RunFolder(tmp_path))
    train(new_model(), histories, short, tracker=RunFolder(tmp_path))
    assert account(tmp_path)["result"] == before["result"]
    assert len(pl.read_parquet(tmp_path / "curves.parquet")) == 4


def test_an_account_that_is_something_else_is_refused(new_model, histories, short, tmp_path):
    for content in ("{", "[]", '{"run": 3}', "{}"):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(ConfigError, match="is no readable account of a run; name another"):
            train(new_model(), histories, short, tracker=RunFolder(tmp_path))
    with pytest.raises(FormatError, match="is no readable account of a run"):
        RunFolder(tmp_path).begin({})


def test_the_picture_costs_little_beside_the_learning(tmp_path, monkeypatch):
    drawn: list[int] = []

    def draw(epochs, *_):
        drawn.append(len(epochs))
        clock[0] += 1.0
        return b"picture"

    clock = [0.0]
    monkeypatch.setattr("recency.training.tracking.run_folder.curves_picture", draw)
    monkeypatch.setattr("recency.training.tracking.run_folder.time.perf_counter", lambda: clock[0])
    folder = RunFolder(tmp_path)
    data = {"digest": "", "cut": "2026", "n_events": 1, "n_users": 1, "n_items": 1}
    facts = {
        "encoder": {"name": "gru", "dim": 4}, "inputs": {}, "experts": None,
        "request_time": "known", "training": {}, "seed": 0, "since": None, "first_weights": "",
        "data": data,
    }  # fmt: skip
    folder.begin(facts)
    for epoch in range(1, 46):  # a picture takes a second, an epoch takes one too
        folder.epoch(EpochRecord("train", epoch, 1.0, None, 1.0, 10), 0.1)
        assert len(pl.read_parquet(tmp_path / "curves.parquet")) == epoch
    folder.end({"status": "finished"})
    assert drawn == [1, 21, 41, 45]


# --- the user's project --------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    known = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *known, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_of_the_project_and_whether_it_is_dirty(tmp_path):
    assert project_of(tmp_path) is None  # no repository
    git(tmp_path, "init", "-q")
    assert project_of(tmp_path) is None  # no commit
    (tmp_path / "train.py").write_text("print(1)\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "new").write_text("what git does not know")
    assert project_of(tmp_path / "runs") == {"commit": commit, "dirty": False}
    (tmp_path / "train.py").write_text("print(2)\n")
    assert project_of(tmp_path) == {"commit": commit, "dirty": True}


def test_a_machine_without_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert project_of(tmp_path) is None


# --- kills and full disks ------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from dataclasses import replace
from recency.data.synthetic import shop
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

def die(step):
    if (step.stage, step.epoch, step.step) == ("search", 3, 2):
        os.kill(os.getpid(), signal.SIGKILL)

folder, killed = sys.argv[1], sys.argv[2] == "killed"
made = shop(n_users=30, n_items=20, days=20, seed=2)
config = TrainConfig(epochs=4, patience=4, checkpoint_dir=folder + "/checkpoint")
one = SequenceRecommender(GRU(dim=8), experts=None, training=config)
one.fit(made.log, progress=die if killed else None, run_dir=folder + "/run")
print(one.model_version)
"""


@pytest.mark.slow
def test_a_killed_run_leaves_a_readable_folder_and_goes_on_in_it(tmp_path):
    def run(how: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-c", KILLED, str(tmp_path), how]
        return subprocess.run(words, capture_output=True, text=True)

    assert run("killed").returncode == -signal.SIGKILL
    folder = tmp_path / "run"
    assert {one.name for one in folder.iterdir()} == FILES
    assert account(folder)["status"] == "running" and "result" not in account(folder)
    curves = pl.read_parquet(folder / "curves.parquet")
    assert curves["epoch"].to_list() == [1, 2]
    assert picture_size(folder)[0] > 1_000
    assert tomllib.loads((folder / "run.toml").read_text())["training"]["epochs"] == 4
    done = run("resumed")
    assert done.returncode == 0, done.stderr
    ending = account(folder)
    assert ending["status"] == "finished"
    assert ending["result"]["model_version"] == done.stdout.strip()
    whole = pl.read_parquet(folder / "curves.parquet").filter(pl.col("stage") == "search")
    assert whole["epoch"].to_list() == [1, 2, 3, 4]
    assert whole["loss"].to_list()[:2] == curves["loss"].to_list()


@needs_full
def test_a_disk_that_fills_names_the_folder_and_keeps_the_model(
    new_model, histories, short, tmp_path
):
    alone, model = new_model(), new_model()
    train(alone, histories, short)
    (tmp_path / "curves.parquet.partial").symlink_to(FULL)
    folder = RunFolder(tmp_path)
    result = train(model, histories, short, tracker=folder)
    (note,) = result.notes
    assert note.startswith(f"run folder {tmp_path} failed after search epoch 1 and was left out")
    assert "No space left on device" in note and not folder.whole
    assert model_version(model) == model_version(alone)
    assert {one.name for one in tmp_path.iterdir()} == {"run.toml", "run.json"}
    assert account(tmp_path)["status"] == "running"


@needs_full
def test_a_disk_that_is_full_is_told_before_anything_is_learned(
    new_model, histories, short, tmp_path
):
    seen: list[TrainingStep] = []
    (tmp_path / "run.toml.partial").symlink_to(FULL)
    with pytest.raises(ConfigError) as caught:
        train(new_model(), histories, short, progress=seen.append, tracker=RunFolder(tmp_path))
    told = str(caught.value)
    assert f"run folder {tmp_path} cannot begin: OSError" in told
    assert "No space left on device" in told and not seen


# --- the argument of fit -------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_keeps_its_run_and_clients_write_into_the_same_folder(tmp_path):
    pytest.importorskip("tensorboard", reason="needs recency[tensorboard]")
    made = shop(n_users=30, n_items=20, days=20, seed=2)
    training = TrainConfig(epochs=2)
    one = SequenceRecommender(
        GRU(dim=8), experts=None, training=training, fallback_half_life="3d"
    ).fit(made.log, run_dir=tmp_path / "a", tracker="tensorboard")
    assert {path.name for path in (tmp_path / "a").iterdir()} == FILES | {"tensorboard"}
    assert account(tmp_path / "a")["result"]["model_version"] == one.model_version
    read = tomllib.loads((tmp_path / "a" / "run.toml").read_text())
    assert read["model"]["fallback_half_life"] == 3 * 86_400
    assert one.training_result is not None and not one.training_result.notes
