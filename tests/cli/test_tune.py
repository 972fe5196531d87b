"""recency tune as a person types it: killed and begun again, resumed, mistaken."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recency.cli.run_config import read_run_config
from recency.data.synthetic import shop
from recency.tuning.run_file import sections_of
from recency.tuning.spaces import Range
from recency.tuning.tune import _searched

SPACE = """
[model]
encoder = "gru"
dim = 8
[training]
epochs = 2
max_len = 32
[tune]
prune = false
[tune.space]
encoder.dim = [8, 16]
encoder.layers = 1
training.lr = { low = 0.001, high = 0.03, log = true }
"""


ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of several threads differ in their last bits


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "recency", *map(str, words)]


def recency(*words: object, code: int = 0) -> tuple[str, str]:
    """Run the command line; check the exit code and that no stack trace is shown."""
    done = subprocess.run(command(*words), capture_output=True, text=True, env=ALONE)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's log, a run.toml, the study of three trials in ``tuned``, and what was said of it."""
    place = tmp_path_factory.mktemp("tune")
    shop(n_users=40, n_items=30, days=20, seed=1).log.write(place / "events.parquet")
    (place / "run.toml").write_text(SPACE)
    out, err = recency(*words(place, "tuned"))
    (place / "out.txt").write_text(out)
    (place / "err.txt").write_text(err)
    return place


def words(folder: Path, out: str, config: str = "run.toml", until: float = 0.9) -> list[object]:
    return [
        "tune", folder / "events.parquet", "--out", folder / out, "--config", folder / config,
        "--until", until, "--trials", 3,
    ]  # fmt: skip


def settings_tried(folder: Path) -> list[tuple[str, float]]:
    """Read what a study tried and counted, straight from its file."""
    with sqlite3.connect(folder / "study.sqlite") as file:
        return sorted(
            file.execute(
                "SELECT param_name, param_value FROM trial_params JOIN trials USING (trial_id) "
                "WHERE state IN ('COMPLETE', 'PRUNED')"
            )
        )


@pytest.mark.slow
def test_the_best_is_told_and_fit_repeats_it(folder: Path, run) -> None:
    out, best = (folder / "out.txt").read_text(), folder / "tuned" / "best.toml"
    assert "gru: 3 trials, 0 of them ended early" in out and "training.lr" in out
    assert f"Next: recency fit {folder / 'events.parquet'} --config {best} --out model/" in out
    assert "Trials" in (folder / "err.txt").read_text()
    again = run(*words(folder, "tuned"), "--json")  # nothing is left to do: it tells what there is
    facts = json.loads(again.out)
    assert facts["trials"] == 3 and facts["best"] >= facts["start"] > 0
    assert f"Best NDCG@10 {facts['best']:.4f}" in out
    assert Path(facts["report"]).stat().st_size > 10_000
    done = run(
        "fit", folder / "events.parquet", "--config", best, "--out", folder / "model", "--json"
    )
    assert json.loads(done.out)["valid_ndcg@10"] == facts["best"]


@pytest.mark.slow
def test_a_killed_tune_goes_on_as_if_it_had_not_been(folder: Path) -> None:
    running = subprocess.Popen(
        command(*words(folder, "killed")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ALONE,
        start_new_session=True,
    )
    children: list[int] = []
    end = time.monotonic() + 120
    try:
        while time.monotonic() < end and not begun(folder / "killed" / "study.sqlite", 2):
            time.sleep(0.05)
        children = workers_of(running.pid)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    before = settings_tried(folder / "killed")
    assert 0 < len(before) < len(settings_tried(folder / "tuned"))
    recency(*words(folder, "killed"))
    assert settings_tried(folder / "killed") == settings_tried(folder / "tuned")
    assert (folder / "killed" / "best.toml").read_text() == (
        folder / "tuned" / "best.toml"
    ).read_text()
    while any(alive(one) for one in children):  # a worker does not outlive its study
        assert time.monotonic() < end + 30
        time.sleep(0.1)


def begun(path: Path, n: int) -> bool:
    """Tell whether the n-th trial of a study is under way."""
    if not path.exists():
        return False
    try:
        with sqlite3.connect(path) as file:
            return file.execute("SELECT count(*) FROM trials").fetchone()[0] >= n
    except sqlite3.OperationalError:  # the tables are being made
        return False


def workers_of(process: int) -> list[int]:
    """List a process's children, where the system tells."""
    told = Path(f"/proc/{process}/task/{process}/children")
    return [int(one) for one in told.read_text().split()] if told.exists() else []


def alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_another_log_or_space_in_the_same_folder_is_refused(folder: Path, run) -> None:
    told = run(*words(folder, "tuned", until=0.8))
    assert told.code == 2 and "begun with something else: the log differs" in told.err
    assert "name another folder" in told.err
    (folder / "other.toml").write_text(SPACE.replace("0.03", "0.05"))
    told = run(*words(folder, "tuned", "other.toml"))
    assert told.code == 2 and "the space differs" in told.err


def test_mistakes_are_told_in_words(run, tmp_path: Path) -> None:
    shop(n_users=20, n_items=20, days=10, seed=1).log.write(tmp_path / "events.parquet")
    (tmp_path / "run.toml").write_text('[tune]\ntrial = 3\nfolds = "many"\n')
    told = run(
        "tune", tmp_path / "events.parquet", "--out", tmp_path / "t",
        "--config", tmp_path / "run.toml",
    )  # fmt: skip
    assert told.code == 2
    assert "unknown key tune.trial; did you mean tune.trials?" in told.err
    assert "tune.folds='many'" in told.err
    told = run("tune", tmp_path / "events.parquet", "--out", tmp_path / "t", "--trials", 0)
    assert told.code == 2 and "trials=0: expected a whole number of at least 1" in told.err
    (tmp_path / "run.toml").write_text("[tune.space]\ntraining.lrr = [1]\n")
    told = run(
        "tune", tmp_path / "events.parquet", "--out", tmp_path / "t",
        "--config", tmp_path / "run.toml",
    )  # fmt: skip
    assert told.code == 2 and "did you mean training.lr?" in told.err
    assert not (tmp_path / "t").exists()
    (tmp_path / "run.toml").write_text("[ensemble]\nseeds = 2\n")
    told = run(
        "tune", tmp_path / "events.parquet", "--out", tmp_path / "t",
        "--config", tmp_path / "run.toml",
    )  # fmt: skip
    assert told.code == 2 and "one model is tuned at a time" in told.err
    (tmp_path / "run.toml").write_text("[content]\ncategories = true\n")
    told = run(
        "tune", tmp_path / "events.parquet", "--out", tmp_path / "t",
        "--config", tmp_path / "run.toml",
    )  # fmt: skip
    assert told.code == 2 and "trials learn from events alone" in told.err


def test_the_shown_section_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    (tmp_path / "run.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    settings = read_run_config(tmp_path / "run.toml")
    assert settings.tune.trials == 40
    _, space = _searched(sections_of(settings.recommender()), settings.tune.space)
    assert space["encoder.dim"] == Range(32, 96, step=32) and "inputs.dropout" not in space
