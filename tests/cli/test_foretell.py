"""``recency foretell`` and the objective of ``recency recommend``, on a model with heads."""

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import recency as rc
from recency.cli.app import app
from recency.cli.run_config import read_run_config
from recency.errors import ConfigError
from recency.nn.heads import heads_of_tables, tables_of_heads
from recency.training.tracking.run_toml import run_toml


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        (f"u{user}", f"i{(user + step) % 6}", start + timedelta(hours=9 * step, minutes=user + n))
        + (kind, float(1 + (user + step) % 5))
        for user in range(20)
        for step in range(12)
        for n, kind in enumerate(["view", "buy"][: 1 + (user + step) % 2])
    ]
    columns = ["user_id", "item_id", "timestamp", "event_type", "value"]
    log = rc.read_log(pl.DataFrame(rows, schema=columns, orient="row"))
    heads = [
        rc.RatingHead(),
        rc.TypeHead("buy"),
        rc.TimeHead(parts=2),
        rc.HorizonHead("buy", "6h"),
        rc.BasketHead("1d"),
    ]
    training = rc.TrainConfig(epochs=1, heads="apart", device="cpu")
    folder = tmp_path_factory.mktemp("models") / "shop"
    rc.SequenceRecommender(rc.GRU(dim=8), training=training, heads=heads).fit(log).save(folder)
    return folder


def told(*arguments: str) -> dict[str, Any]:
    run = CliRunner().invoke(app, [*arguments, "--json"])
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_items_are_rated(shop):
    found = told("foretell", str(shop), "--user", "u1", "--user", "u2", "--item", "i1")
    assert [row["user_id"] for row in found["rows"]] == ["u1", "u2"]
    assert all(1 <= row["rating"] <= 5 for row in found["rows"])


def test_chances_are_told_of_items_and_of_horizons(shop):
    of_item = told("foretell", str(shop), "--user", "u1", "--item", "i1", "--event-type", "buy")
    within = told("foretell", str(shop), "--user", "u1", "--event-type", "buy", "--horizon", "6h")
    for found in (of_item, within):
        assert 0 < found["rows"][0]["probability"] < 1


def test_the_next_time_is_told(shop):
    found = told("foretell", str(shop), "--user", "u1", "--horizon", "6h", "--horizon", "1d")
    row = found["rows"][0]
    assert row["wait_10"] < row["wait_90"] and row["within_6h"] < row["within_1d"]


def test_baskets_are_told(shop):
    found = told("foretell", str(shop), "--user", "u1", "--user", "u2", "--basket", "-k", "2")
    assert [(row["user_id"], row["rank"]) for row in found["rows"]] == [
        ("u1", 1),
        ("u1", 2),
        ("u2", 1),
        ("u2", 2),
    ]
    assert all(0 < row["probability"] < 1 <= row["size"] for row in found["rows"])


def test_lists_follow_an_objective(shop):
    plain = told("recommend", str(shop), "--user", "u1", "-k", "6")["recommendations"]
    bought = told("recommend", str(shop), "--user", "u1", "-k", "6", "--objective", "buy")[
        "recommendations"
    ]
    assert {row["item_id"] for row in plain} == {row["item_id"] for row in bought}
    assert [row["score"] for row in plain] != [row["score"] for row in bought]


def test_what_cannot_be_asked_is_said(shop):
    both = ["foretell", str(shop), "--user", "u1", "--item", "i1", "--horizon", "1d"]
    run = CliRunner().invoke(app, both)
    assert isinstance(run.exception, ConfigError) and "one of them" in str(run.exception)
    run = CliRunner().invoke(app, ["foretell", str(shop), "--user", "u1", "--event-type", "like"])
    assert "no head for 'like within 30 d'" in str(run.exception)
    run = CliRunner().invoke(
        app, ["foretell", str(shop), "--user", "u1", "--basket", "--item", "i1"]
    )
    assert isinstance(run.exception, ConfigError) and "expected no --item" in str(run.exception)
    several = ["--event-type", "buy", "--horizon", "6h", "--horizon", "1d"]
    run = CliRunner().invoke(app, ["foretell", str(shop), "--user", "u1", *several])
    assert isinstance(run.exception, ConfigError) and "found several" in str(run.exception)


def test_a_run_file_names_heads(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        '[[model.heads]]\nkind = "type"\nevent_types = ["buy"]\n[[model.heads]]\nkind = "time"\n'
    )
    heads = read_run_config(file).recommender().heads
    assert [one.name for one in heads] == ["type buy", "time"]
    file.write_text('[[model.heads]]\nkind = "mood"\n[[model.heads]]\nkind = "time"\nmoon = 1\n')
    with pytest.raises(ConfigError, match=r"(?s)expected one of rating, type.*time has no 'moon'"):
        read_run_config(file).recommender()


def test_heads_are_written_as_they_are_read():
    heads = [rc.RatingHead(scale=[1, 5]), rc.TypeHead("buy"), rc.HorizonHead(), rc.TimeHead()]
    heads.append(rc.BasketHead("1h"))
    again = heads_of_tables(
        tomllib.loads(run_toml({"model": {"heads": tables_of_heads(heads)}}))["model"]["heads"]
    )
    assert [one.config() for one in again] == [one.config() for one in heads]
