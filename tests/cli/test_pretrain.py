"""``recency pretrain``: both commands leave a folder that the next one starts from."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import recency as rc
from recency.content.pretraining_config import Pretrained, PretrainingRecord
from recency.data.synthetic import shop
from tests.cli.conftest import Run


def test_behaviour_leaves_a_model_to_start_from(run: Run, tmp_path: Path) -> None:
    shop(n_users=30, n_items=20, days=20, seed=0).log.write(tmp_path / "events.parquet")
    told = run(
        "pretrain", "behaviour", tmp_path / "events.parquet", "--out", tmp_path / "base",
        "--encoder", "gru", "--size", "small", "--until", "0.9", "--epochs", "2", "--contrast", "0",
        "--json",
    )  # fmt: skip
    assert told.code == 0, told.err
    facts = json.loads(told.out)
    assert facts["epochs"] == 2 and facts["last_loss"] < facts["first_loss"]
    assert "epoch 2/2" in told.err
    base = rc.SequenceRecommender.load(tmp_path / "base")
    assert base.name == "gru"
    fit = ("fit", tmp_path / "events.parquet", "--out", tmp_path / "model", "--epochs", "1")
    alike = ("--encoder", "gru", "--size", "small", "--until", "0.9")
    started = run(*fit, *alike, "--init-from", tmp_path / "base")
    assert started.code == 0, started.err
    other = run(*fit, "--encoder", "lstm", "--init-from", tmp_path / "base")
    assert other.code == 2 and "init_from: expected an encoder LSTM, found GRU" in other.err


def test_behaviour_says_what_comes_next_and_what_is_wrong(run: Run, tmp_path: Path) -> None:
    shop(n_users=20, n_items=15, days=10, seed=0).log.write(tmp_path / "events.parquet")
    events, out = tmp_path / "events.parquet", tmp_path / "base"
    told = run("pretrain", "behaviour", events, "--out", out, "--encoder", "gru", "--epochs", "1")
    assert told.code == 0 and f"--init-from {out}" in told.out
    wrong = run("pretrain", "behaviour", events, "--out", out, "--masked", "-1")
    assert wrong.code == 2 and "BehaviourPretraining(masked=-1.0)" in wrong.err


def test_text_passes_all_flags_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SimpleNamespace()

    def stand_in(texts: Any, out: Path, **given: Any) -> Pretrained:
        asked.texts, asked.out, asked.given = texts.texts, out, given
        history = tuple(PretrainingRecord(n, None, 3.0 - n, None, 0.0) for n in range(3))
        return Pretrained(out, 2, 5, 1_000, history)

    monkeypatch.setattr("recency.content.pretraining.pretrain_text", stand_in)
    items = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [1, 2], "title": ["blue tent", "lamp"]}).write_parquet(items)
    told = run(
        "pretrain", "text", items, "--out", tmp_path / "words", "--causal", "0.5", "--lora", "8",
        "--epochs", "2", "--column", "title",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert asked.texts == ["blue tent.", "lamp."]
    config = asked.given["config"]
    assert (config.masked, config.causal, config.lora, config.epochs) == (1.0, 0.5, 8, 2)
    assert "A hidden word of a text held back: 3.000 nats before, 1.000 after." in told.out
    assert f"--text {tmp_path / 'words'}" in told.out


def test_text_tells_of_columns_that_are_not_there(run: Run, tmp_path: Path) -> None:
    items = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [1, 2], "title": ["blue tent", "lamp"]}).write_parquet(items)
    told = run("pretrain", "text", items, "--out", tmp_path / "x", "--column", "blurb")
    assert told.code == 2 and "expected one of the columns blurb" in told.err
    assert not (tmp_path / "x").exists()
