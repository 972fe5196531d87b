"""fit, evaluate and recommend with a section [ensemble] in run.toml."""

import json
from pathlib import Path

import pytest

from recency.cli.ensemble import ensemble_of
from recency.cli.run_config import RunConfig, read_run_config
from recency.data.synthetic import shop
from recency.ensemble import Ensemble
from recency.errors import ConfigError
from recency.loading import load

SMALL = '[model]\nsize = "small"\n[training]\nepochs = 1\nvalid_share = 0.0\ndevice = "cpu"\n'


def config(tmp_path: Path, text: str) -> RunConfig:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return read_run_config(path)


def test_the_section_names_members(tmp_path: Path) -> None:
    text = (
        '[model]\nencoder = "lstm"\ndim = 16\nseed = 5\nrequest_time = "unknown"\n[ensemble]\n'
        'seeds = 2\nencoders = ["gru", "tide"]\nbaselines = ["markov"]\nfusion = "ranks"\n'
    )
    found = ensemble_of(config(tmp_path, text))
    assert [one.name for one in found.members] == ["gru", "gru", "tide", "tide", "markov"]
    assert [(one.seed, one.encoder.dim) for one in found.models] == [
        (5, 16), (6, 16), (5, 16), (6, 16),
    ]  # fmt: skip
    assert found.fusion == "ranks" and found.request_time == "unknown"
    seeds = ensemble_of(config(tmp_path, '[model]\nencoder = "gru"\n[ensemble]\nseeds = 3\n'))
    assert [(one.name, one.seed) for one in seeds.models] == [("gru", 0), ("gru", 1), ("gru", 2)]


def test_mistakes_are_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as fault:
        config(tmp_path, '[ensemble]\nseed = 3\nfusion = "votes"\n')
    assert "unknown key ensemble.seed; did you mean ensemble.seeds?" in str(fault.value)
    assert "ensemble.fusion='votes'" in str(fault.value)
    wrong = (
        '[encoder]\nwindow = 4\n[ensemble]\nseeds = 0\nencoders = ["gru"]\nbaselines = ["luck"]\n'
    )
    with pytest.raises(ConfigError) as fault:
        ensemble_of(config(tmp_path, wrong))
    assert "ensemble.seeds=0: expected at least 1" in str(fault.value)
    assert "expected some of popularity, decayed-popularity" in str(fault.value)
    assert "found 'luck'" in str(fault.value)
    assert "[encoder] holds arguments of one encoder, but [ensemble] has gru" in str(fault.value)
    with pytest.raises(ConfigError, match="at least two members, found 1"):
        ensemble_of(config(tmp_path, "[ensemble]\n"))
    with pytest.raises(ConfigError, match="found 'gpt'"):
        ensemble_of(config(tmp_path, '[ensemble]\nencoders = ["gpt", "gru"]\n'))


def test_a_run_folder_is_for_one_model(tmp_path: Path, run) -> None:
    config(tmp_path, "[ensemble]\nseeds = 2\n")
    done = run(
        "fit", "none.parquet", "--out", tmp_path / "m", "--config", tmp_path / "run.toml",
        "--run-dir", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 2 and "follow the training of one model" in done.err
    assert not (tmp_path / "m").exists()


def test_all_that_is_for_one_model_is_refused_together(tmp_path: Path, run) -> None:
    config(
        tmp_path,
        '[model]\nheads = [{ kind = "rating" }]\n[profiles]\n[content]\n[ensemble]\nseeds = 2\n',
    )
    done = run(
        "fit", "none.parquet", "--out", tmp_path / "m", "--config", tmp_path / "run.toml",
        "--init-from", tmp_path / "old",
    )  # fmt: skip
    assert done.code == 2
    for asked in ("--init-from", "[profiles]", "[content]", "[[model.heads]]"):
        assert asked in done.err
    assert "--tracker" not in done.err


@pytest.mark.slow
def test_from_a_file_to_a_judged_ensemble(tmp_path: Path, run) -> None:
    made = shop(n_users=30, n_items=15, days=10, seed=3)
    made.log.write(tmp_path / "events.parquet")
    config(tmp_path, SMALL + '[ensemble]\nencoders = ["gru", "tide"]\nbaselines = ["markov"]\n')
    events, folder = tmp_path / "events.parquet", tmp_path / "model"
    fit = ("fit", events, "--out", folder, "--config", tmp_path / "run.toml", "--until", "0.9")
    done = run(*fit)
    assert done.code == 0, done.err
    assert "weight" in done.out and "markov" in done.out and "best member alone" in done.out
    assert "gru, to weigh: Training" in done.err and f"Saved in {folder}" in done.out
    found = load(folder)
    assert isinstance(found, Ensemble)
    facts = json.loads(run(*fit, "--json").out)
    assert facts["model_version"] == found.model_version
    assert [one["weight"] for one in facts["members"]] == [
        one.weight for one in found.report.members
    ]
    done = run("evaluate", folder, events, "--no-baselines")
    assert done.code == 0 and "ensemble: " in done.out
    user = str(found.users.id_of(0))
    done = run("recommend", folder, "--user", user, "-k", 3, "--json")
    assert [row["rank"] for row in json.loads(done.out)["recommendations"]] == [1, 2, 3]
