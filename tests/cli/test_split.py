import json

import polars as pl

from recency.data.log import Log
from recency.data.reading import read_log


def write(tmp_path, n_days: int = 10):
    rows = [f"u,i{day},2026-01-{day + 1:02}" for day in range(n_days)]
    (tmp_path / "e.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    return tmp_path / "e.csv"


def test_a_log_is_cut_at_a_date(run, tmp_path):
    ran = run("split", write(tmp_path), "--at", "2026-01-08", "--out", tmp_path / "parts")
    assert ran.code == 0
    assert ran.out.splitlines()[0].split() == [
        "file", "events", "users", "items", "first", "event", "last", "event",
    ]  # fmt: skip
    train = read_log(tmp_path / "parts" / "train.parquet", report=lambda _: None)
    test = read_log(tmp_path / "parts" / "test.parquet", report=lambda _: None)
    assert (train.n_events, test.n_events) == (7, 3)
    assert isinstance(train, Log) and train.end <= test.start


def test_a_log_is_cut_at_shares(run, tmp_path):
    ran = run("split", write(tmp_path), "--at", 0.8, "--at", 0.9, "--out", tmp_path, "--json")
    facts = json.loads(ran.out)
    assert facts["cuts"] == ["2026-01-09T00:00:00Z", "2026-01-10T00:00:00Z"]
    assert [part["n_events"] for part in facts["parts"]] == [8, 1, 1]
    assert pl.read_parquet(tmp_path / "valid.parquet").height == 1


def test_many_cuts_number_the_parts(run, tmp_path):
    cuts = [argument for share in (0.2, 0.4, 0.6) for argument in ("--at", share)]
    assert run("split", write(tmp_path), *cuts, "--out", tmp_path).code == 0
    assert pl.read_parquet(tmp_path / "part-3.parquet").height == 4


def test_a_date_lies_in_the_time_zone(run, tmp_path):
    zone = ("--time-zone", "Asia/Tokyo", "--json", "--out", tmp_path)
    facts = json.loads(run("split", write(tmp_path), "--at", "2026-01-08", *zone).out)
    assert facts["cuts"] == ["2026-01-07T15:00:00Z"]
    assert facts["parts"][0]["n_events"] == 7


def test_a_cut_outside_the_log_is_an_error_and_writes_nothing(run, tmp_path):
    ran = run("split", write(tmp_path), "--at", "2027-01-01", "--out", tmp_path / "parts")
    assert ran.code == 1 and not ran.out
    assert "the cut 2027-01-01T00:00:00Z leaves no event at or after it" in ran.err
    assert not (tmp_path / "parts").exists()
    assert run("split", write(tmp_path), "--at", "soon", "--out", tmp_path).code == 1
