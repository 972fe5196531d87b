"""The speed benchmark: slices of training, and what follows from their rates."""

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import in_short, record
from benchmarks.peers.exchange import Lesson
from benchmarks.speed import reach, recency_way, run
from benchmarks.speed.contest import (
    SAMPLED,
    SOFTMAX,
    Contest,
    Entry,
    Outcome,
    hold,
    metrics_of,
    speedup,
)
from benchmarks.speed.pace import Paced, Pacer
from recency.data.synthetic import cycle


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that only we move."""
    now = [0.0]
    monkeypatch.setattr("benchmarks.speed.pace.time.perf_counter", lambda: now[0])
    return now


def said(answers: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_slice_ends_with_the_batch_that_fills_it(clock):
    answers = io.StringIO()
    pacer = Pacer(answers, iter(['{"seconds": 2}', '{"seconds": 1}']))
    pacer.begin({"parameters": 5})
    with pytest.raises(SystemExit):
        for batch in Paced([[1, 2], [3, 4, 5], [6]], pacer):
            clock[0] += 1.5
            assert len(batch)
    ready, first, second = said(answers)
    assert ready["parameters"] == 5 and ready["peak_mb"] > 0 and ready["threads"] >= 1
    assert (first["targets"], first["batches"], first["seconds"]) == (5, 2, 3.0)
    assert (second["targets"], second["batches"], second["seconds"]) == (1, 1, 1.5)


def test_products_are_counted_over_so_many_batches():
    answers = io.StringIO()
    pacer = Pacer(answers, iter(['{"count": 2}']))
    pacer.begin({})
    with pytest.raises(SystemExit):
        for n_targets in (3, 7, 9):
            torch.ones(2, 3) @ torch.ones(3, 4)
            pacer.tick(n_targets)
    assert said(answers)[1]["flops"] == pytest.approx(2 * 2 * 2 * 3 * 4 / 10)


def test_a_paced_loader_is_still_the_loader():
    numbers = torch.utils.data.TensorDataset(torch.arange(3))
    loader = torch.utils.data.DataLoader(numbers, batch_size=2)
    paced = Paced(loader, Pacer(io.StringIO(), iter([])))
    assert len(paced) == 2 and paced.batch_size == 2


def outcome(name: str, side, loss: str, rates: list[float], **settings) -> Outcome:
    slices = [{"targets": 10 * rate, "batches": 1, "seconds": 10.0} for rate in rates]
    return Outcome(Entry(name, side, loss, settings), slices, 2e6, {"parameters": 7})


def test_comparisons_are_medians_of_paired_slices_under_the_same_loss():
    ours = outcome("ours", "recency", SOFTMAX, [400, 100, 420], encoder="tide")
    model = outcome("base", "recency", SOFTMAX, [200, 50, 200], encoder="transformer")
    bole = outcome("bole", "recbole", SOFTMAX, [2, 1, 2])
    tools = outcome("tools", "rectools", SOFTMAX, [100, 20, 100])
    sampled = outcome("sampled", "rectools", SAMPLED, [900, 900, 900])
    every = [ours, model, bole, tools, sampled]
    found = metrics_of(ours, every, gflops=8.0)
    assert found["targets_per_second"] == 400
    assert (found["targets_per_second low"], found["targets_per_second high"]) == (100, 420)
    assert found["speedup_vs_recbole"] == 200
    assert found["speedup_vs_fastest_peer"] == 4.2  # of 4, 5 and 4.2: not the ratio of medians
    assert found["speedup_vs_our_transformer"] == 2
    assert found["share_of_ceiling"] == pytest.approx(2e6 * 400 / 8e9)
    assert "speedup_vs_our_transformer" not in metrics_of(model, every, 8.0)
    assert not [key for key in metrics_of(tools, every, 8.0) if key.startswith("speedup")]
    ours.flops = 0.0
    alone = metrics_of(ours, [ours, sampled], 8.0)
    assert "share_of_ceiling" not in alone
    assert not [key for key in alone if key.startswith("speedup")]


def test_slices_that_are_missing_are_left_out_of_a_speedup():
    fast = outcome("fast", "recency", SOFTMAX, [10, 20])
    slow = outcome("slow", "recbole", SOFTMAX, [5])
    assert speedup(fast, slow) == 2


@pytest.fixture
def lesson():
    log = cycle(n_users=12, n_items=6, length=20)
    rows = np.unique(log.events["user_id"].to_list(), return_inverse=True)[1]
    items = np.unique(log.events["item_id"].to_list(), return_inverse=True)[1]
    return Lesson(rows.astype(np.int64), items.astype(np.int64), log.times, np.array(6))


@pytest.mark.parametrize("negatives", [0, 3])
def test_our_own_loop_runs_in_slices(lesson, negatives):
    answers = io.StringIO()
    pacer = Pacer(answers, iter(['{"seconds": 0}', '{"count": 1}', '{"seconds": 0}']))
    settings = {"encoder": "gru", "dim": 8, "max_len": 10, "negatives": negatives, "seed": 0}
    with pytest.raises(SystemExit):
        recency_way.learn(lesson, settings, pacer)
    ready, first, counted, _ = said(answers)
    assert ready["parameters"] > 0
    assert 0 < first["targets"] <= 12 * 19
    assert counted["flops"] > 3 * 2 * 3 * 8 * 16


@pytest.mark.slow
def test_a_contest_is_held_and_recorded(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(record, "commit", lambda *, dirty=False: "0123456789ab")
    monkeypatch.setattr(run, "commit", lambda *, dirty=False: "0123456789ab")
    good = run.ours("gru", 8, 10)
    broken = run.ours("gru", 8, 10, negatives=-1)
    contest = Contest("shop", 10, (good, broken))
    lesson.write(tmp_path / "lesson.npz")
    outcomes = hold(contest, tmp_path, tmp_path, seconds=0.06, threads=1)
    assert [one.entry.name for one in outcomes] == [good.name]
    assert f"{broken.name} is left out" in capsys.readouterr().out
    arguments = argparse.Namespace(threads=1, seconds=0.06, dirty=False)
    rows = run.rows_of(contest, outcomes, 228, 10.0, arguments)
    assert rows[0]["peak_mb"] > 50 and rows[0]["metrics"]["targets_per_second"] > 0
    record.record("speed", rows)
    assert not run.is_recorded(contest, arguments)
    assert run.is_recorded(Contest("shop", 10, (good,)), arguments)
    assert not run.is_recorded(Contest("shop", 20, (good,)), arguments)


def test_every_contest_compares_like_with_like():
    for contest in run.CONTESTS.values():
        names = [entry.name for entry in contest.entries]
        assert len(set(names)) == len(names)
        assert {entry.settings["max_len"] for entry in contest.entries} == {contest.max_len}
        sides = {entry.side for entry in contest.entries if entry.loss == SOFTMAX}
        assert "recency" in sides and len(sides) > 1


def test_the_readme_tells_of_few_rows_of_speed(monkeypatch):
    def row(name: str, protocol: str, metrics: dict) -> dict:
        given = {"table": "speed", "data": "ml-1m-order", "model": name, "protocol": protocol}
        return dict.fromkeys(record.KEYS) | given | {"metrics": metrics, "command": "c"}

    faster = {"targets_per_second": 5.0, "speedup_vs_fastest_peer": 4.5}
    rows = [
        row("gru, d=64, softmax over all items", "at most 200 events", faster),
        row("gru, d=128, softmax over all items", "at most 200 events", faster),
        row("gru, d=64, softmax over all items", "at most 50 events", faster),
        row("recbole/gru4rec, d=64, softmax over all items", "at most 200 events", {}),
    ]
    monkeypatch.setattr(in_short, "load", lambda name: rows if name == "speed" else [])
    told = in_short.measured_in_short()
    assert told == [["train a GRU on the same", "5 targets a second, 4× the fastest peer", "`c`"]]


def test_a_missing_environment_is_told(monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.speed.contest.ENVIRONMENTS", Path("/nowhere"))
    theirs = run.rectools(50)
    assert not run.is_installed(theirs) and run.is_installed(run.ours("gru", 8, 50))
    assert "is left out: there is no /nowhere/rectools" in capsys.readouterr().out


def test_the_time_to_within_one_percent_of_the_best():
    judged = [(10.0, 0.1), (20.0, 0.1985), (30.0, 0.2), (40.0, 0.15)]
    assert reach.near_best(judged) == (20.0, 2)
    assert reach.near_best(judged[:1]) == (10.0, 1)


def test_a_peer_stops_when_judgements_no_longer_rise():
    rising = [(float(n), n / 10) for n in range(1, 7)]
    assert not reach.has_stopped_rising(rising)
    stopped = [*rising, *[(7.0, 0.5)] * reach.PATIENCE]
    assert reach.has_stopped_rising(stopped)
    assert not reach.has_stopped_rising(stopped[:-1])
