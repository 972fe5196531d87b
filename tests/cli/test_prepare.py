import json

import polars as pl
import pytest

import recency as rc
from recency.data.synthetic import shop


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "events.parquet"
    shop(n_users=30, n_items=20, days=10, seed=0).log.write(path)
    return path


def settings(folder):
    path = folder / "run.toml"
    path.write_text("[training]\nepochs = 1\nmax_len = 16\n[model]\ndim = 8\nexperts = false\n")
    return path


def test_a_prepared_folder_gives_the_model_of_the_file(run, file, tmp_path):
    ran = run("prepare", file, "--out", tmp_path / "ready")
    assert ran.code == 0, ran.err
    assert "lie ready in" in ran.out and f"recency fit {tmp_path / 'ready'} --out" in ran.out
    versions = []
    for source in (file, tmp_path / "ready"):
        flags = ("--config", settings(tmp_path), "--encoder", "gru", "--json")
        ran = run("fit", source, "--out", tmp_path / "model", *flags)
        assert ran.code == 0, ran.err
        versions.append(json.loads(ran.out)["model_version"])
    assert versions[0] == versions[1]


def test_what_is_told_as_json(run, file, tmp_path):
    until = "2026-01-10"
    log = rc.read_log(file, report=lambda _: None)
    until = log.events["timestamp"][len(log) // 2].isoformat()
    facts = json.loads(run("prepare", file, "--out", tmp_path / "a", "--json").out)
    assert (facts["n_events"], facts["n_users"]) == (log.n_events, log.n_users)
    assert facts["bytes_per_event"] > 12
    facts = json.loads(
        run("prepare", file, "--out", tmp_path / "b", "--until", until, "--json").out
    )
    assert facts["n_events"] == len(log.before(until))


def test_columns_can_be_named_and_bad_rows_dropped(run, tmp_path):
    frame = pl.DataFrame({"a": ["x", None, "y"], "b": ["i", "i", "j"], "c": [1, 2, 3]})
    frame.write_parquet(tmp_path / "e.parquet")
    names = ("--user", "a", "--item", "b", "--time", "c", "--unit", "s", "--json")
    arguments = ("prepare", tmp_path / "e.parquet", "--out", tmp_path / "ready", *names)
    ran = run(*arguments)
    assert ran.code == 1 and "user_id is missing" in ran.err and "--drop-bad" in ran.err
    ran = run(*arguments, "--drop-bad")
    assert ran.code == 0 and json.loads(ran.out)["n_events"] == 2
    assert "dropped: 1 rows" in ran.err


def test_mistakes_are_told(run, file, tmp_path):
    assert run("prepare", "nowhere.parquet", "--out", tmp_path / "ready").code == 2
    ran = run("prepare", "-", "--out", tmp_path / "ready")
    assert ran.code == 2 and "which is read twice; found standard input" in ran.err
    assert run("prepare", file, "--out", tmp_path / "ready").code == 0
    ran = run("fit", tmp_path / "ready", "--out", tmp_path / "m", "--until", "0.5")
    assert ran.code == 2 and "settled by recency prepare" in ran.err
    (tmp_path / "half" / ".draft").mkdir(parents=True)
    ran = run("fit", tmp_path / "half", "--out", tmp_path / "m")
    assert ran.code == 1 and "preparation was stopped before its end" in ran.err
    next((tmp_path / "ready").glob("items-*.npy")).unlink()
    ran = run("fit", tmp_path / "ready", "--out", tmp_path / "m")
    assert ran.code == 1 and "is damaged" in ran.err


def test_progress_goes_to_stderr(run, file, tmp_path):
    ran = run("prepare", file, "--out", tmp_path / "ready", "--json")
    json.loads(ran.out)  # nothing else is on stdout
    assert "Giving rows to users and items" in ran.err and "Sorting events" in ran.err
