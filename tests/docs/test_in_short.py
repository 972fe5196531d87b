"""The README's lines: each finds its own row, and seeds are averaged."""

from typing import Any

import pytest

from benchmarks import in_short, record


def row(model: str, seed: int, **metrics: float) -> dict[str, Any]:
    return {"data": "a log", "protocol": "p", "model": model, "seed": seed, "metrics": metrics}


@pytest.fixture
def lines(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "commit", lambda *, dirty=False: "0123456789ab")
    monkeypatch.setattr(record, "command", lambda: "python -m benchmarks.x.run DATA --seeds 0 1")
    line = in_short.Line("learn", "speed", ("a log", "| ours"), "{ndcg@10:.2f} in {seconds:.0f} s")
    gone = in_short.Line("not measured", "speed", ("nowhere",), "{seconds}")
    monkeypatch.setattr(in_short, "LINES", (line, gone))


def test_seeds_are_averaged_and_what_is_not_measured_is_left_out(lines):
    rows = [row("ours", 0, seconds=1, **{"ndcg@10": 0.1}), row("peer", 0, seconds=9)]
    record.record("speed", [*rows, row("ours", 1, seconds=5, **{"ndcg@10": 0.3})])
    told = [["learn", "0.20 in 3 s", "`python -m benchmarks.x.run`"]]
    assert in_short.measured_in_short() == told


def test_a_line_that_finds_two_models_is_refused(lines):
    record.record("speed", [row("ours", 0, seconds=1), row("ours, larger", 0, seconds=2)])
    with pytest.raises(SystemExit, match="'learn': expected one row, found .*ours, larger"):
        in_short.measured_in_short()
