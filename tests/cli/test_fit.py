"""fit, evaluate and recommend as a person types them: in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recency.data.synthetic import shop
from recency.units import parse_instant


def recency(*words: object, code: int = 0) -> tuple[str, str]:
    """Run the command line; check the exit code and that no stack trace is shown."""
    done = subprocess.run(
        [sys.executable, "-m", "recency", *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's log and items as files, and a model fitted to the first nine tenths."""
    place = tmp_path_factory.mktemp("fit")
    made = shop(n_users=60, n_items=40, days=20, seed=1)
    made.log.write(place / "events.parquet")
    made.items.write_parquet(place / "items.parquet")
    (place / "run.toml").write_text("[training]\nlr = 0.01\n[evaluate]\nk = [5]\n")
    recency(
        "fit", place / "events.parquet", "--out", place / "model", "--config", place / "run.toml",
        "--until", "0.9", "--encoder", "gru", "--size", "small", "--epochs", 2,
        "--items", place / "items.parquet",
    )  # fmt: skip
    return place


@pytest.mark.slow
def test_three_commands_from_a_file_to_a_judged_model(folder: Path) -> None:
    out, _ = recency(
        "evaluate", folder / "model", folder / "events.parquet", "--config", folder / "run.toml"
    )
    assert "gru" in out and "popularity" in out and "ndcg@5" in out.lower()
    out, err = recency(
        "evaluate", folder / "model", folder / "events.parquet", "-k", 3, "--no-repeats",
        "--no-baselines", "--json",
    )  # fmt: skip
    assert json.loads(out)
    assert "guessed" in err or "timestamp" in err


@pytest.mark.slow
def test_recommend_as_text_and_as_json(folder: Path) -> None:
    user = str(pl.read_parquet(folder / "events.parquet")["user_id"][0])
    out, _ = recency("recommend", folder / "model", "--user", user, "--user", "nobody", "-k", 2)
    assert user in out and "nobody" in out and "title" in out
    found = json.loads(recency("recommend", folder / "model", "--user", user, "--json")[0])
    assert [row["rank"] for row in found["recommendations"]] == list(range(1, 11))
    assert parse_instant(found["at"]) == parse_instant(found["as_of"]) + 1


@pytest.mark.slow
def test_mistakes_are_told_in_words(folder: Path, tmp_path: Path) -> None:
    events = folder / "events.parquet"
    (tmp_path / "run.toml").write_text("[model]\ndimm = 3\nsize = 'huge'\n")
    _, err = recency(
        "fit", events, "--out", tmp_path / "m", "--config", tmp_path / "run.toml", code=2
    )
    assert "unknown key model.dimm; did you mean model.dim?" in err
    assert "model.size='huge'" in err and "run.toml" in err
    assert not (tmp_path / "m").exists()
    _, err = recency("fit", events, "--out", tmp_path / "m", "--encoder", "gpt", code=2)
    assert "expected an encoder of rnn, gru" in err and "found 'gpt'" in err
    (tmp_path / "broken.toml").write_text("[model")
    _, err = recency(
        "fit", events, "--out", tmp_path / "m", "--config", tmp_path / "broken.toml", code=2
    )
    assert "is not TOML" in err
    _, err = recency("fit", events, "--out", tmp_path / "m", "--until", "1999-01-01", code=1)
    assert "leaves no event before it" in err
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "work.txt").write_text("years")
    _, err = recency("recommend", tmp_path / "thesis", "--user", "x", code=1)
    assert "expected a model folder with manifest.json" in err
    recency("fit", events, "--out", tmp_path / "whole", "--epochs", 1, "--size", "small")
    _, err = recency("evaluate", tmp_path / "whole", events, code=1)
    assert "has no event after the model's cut" in err and "--until 0.9" in err
