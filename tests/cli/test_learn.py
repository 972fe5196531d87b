"""learn and replay, as a person types them."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import recency as rc
from recency.data.synthetic import shop
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event
from recency.serving.models.registry import Registry


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and a server's log with what happened since."""
    folder = tmp_path_factory.mktemp("learn")
    log = shop(n_users=40, n_items=30, days=20, seed=2).log
    train, test = log.split_at(log.quantile(0.7))
    log.write(folder / "events.parquet")
    training = rc.TrainConfig(epochs=1, device="cpu")
    rc.SequenceRecommender(rc.GRU(dim=8), training=training).fit(train).save(folder / "shop")
    (folder / "shop" / "serve").mkdir()
    rows = test.events.select("user_id", "item_id", test.events["timestamp"].to_physical()).rows()
    with EventStore(folder / "shop" / "serve" / "events.sqlite") as store:
        store.append([Event(f"e{n}", *row) for n, row in enumerate(rows)]).result()
    return folder, len(rows)


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """The command lowers its priority and takes signals: not those of the tests."""
    kept = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(os, "nice", lambda level: None)
    yield
    for one, handler in kept.items():
        signal.signal(one, handler)


@pytest.mark.slow
def test_learn_goes_through_the_log_and_goes_on(place, run):
    folder, n_events = place
    words = ("learn", folder / "shop", "--once", "--round-events", 100, "--whole", "4d", "--json")
    first = run(*words, "--rounds", 1)
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert told["number"] == 1 and told["seq"] == 100 and told["n_targets"]
    assert "beginning at seq 0" in first.err and "Stopped after 1 rounds, at seq 100" in first.err
    rest = run(*words)
    rounds = [json.loads(line) for line in rest.out.splitlines()]
    assert "going on at seq 100" in rest.err
    assert rounds[0]["number"] == 2 and rounds[-1]["seq"] == n_events
    registry = Registry.of(folder / "shop")
    names = {one.version for one in registry.versions()}
    assert {one["model_version"] for one in [told, *rounds]} & names
    newest = registry.candidates()[0]
    assert newest.facts["seq"] == n_events and newest.facts["round"]["ndcg"] >= 0
    again = run("learn", folder / "shop", "--once", "--round-events", 100, "--whole", "4d")
    assert again.code == 0 and not again.out


def test_learn_tells_what_is_wrong(place, run, tmp_path):
    folder, _ = place
    found = run("learn", folder / "shop", "--events", tmp_path / "none.sqlite", "--once")
    assert found.code == 1 and "start 'recency serve' first" in found.err
    found = run("learn", folder / "shop", "--whole", "soon")
    assert found.code == 2 and "LearnConfig(whole='soon')" in found.err
    found = run("learn", tmp_path, "--once")
    assert found.code == 1 and "expected a model folder or a registry" in found.err


@pytest.mark.slow
def test_a_learner_stops_cleanly_when_it_is_told_to(place, tmp_path):
    shutil.copytree(place[0] / "shop", tmp_path / "shop", ignore=shutil.ignore_patterns("learn"))
    words = ["learn", tmp_path / "shop", "--every", "10min", "--round-events", 90, "--no-publish"]
    learner = subprocess.Popen(
        [sys.executable, "-m", "recency", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with learner:
        assert learner.stdout is not None
        first = learner.stdout.readline()  # it is at work
        learner.send_signal(signal.SIGTERM)
        _, err = learner.communicate(timeout=60)
    assert first.startswith("round 1: seq 90"), first + err
    assert learner.returncode == 0, err
    assert "Stopped after" in err and "Traceback" not in err


def test_replay_refuses_sections_that_it_cannot_honour(run, tmp_path):
    (tmp_path / "run.toml").write_text("[ensemble]\nseeds = 2\n[content]\n")
    told = run("replay", "none.parquet", "--config", tmp_path / "run.toml")
    assert told.code == 2 and "has a section [ensemble]" in told.err
    assert "a replay learns from events alone, but run.toml has a section [content]" in told.err


def test_replay_says_what_each_arm_would_have_done(place, run, tmp_path):
    folder, _ = place
    words = (
        "replay", folder / "events.parquet", "--update", "2d", "--from", 0.8, "--encoder", "gru",
        "--epochs", 1, "--device", "cpu", "--arms", "frozen,state,replay", "--max-targets", 100,
    )  # fmt: skip
    found = run(*words, "--json", "--picture", tmp_path / "curve.png")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert [row["arm"] for row in told["arms"]] == ["frozen", "state", "replay"]
    assert told["arms"][2]["seconds"] > 0 and told["n_questions"] <= 100
    assert sum(point["n"] for point in told["curve"]) == told["n_questions"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "Drawn:" in found.err
    wrong = run(*words, "--picture", tmp_path / "curve.txt")
    assert wrong.code == 2 and "expected a picture ending in .png" in wrong.err
