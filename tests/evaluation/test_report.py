"""The report: as text, as a table, as JSON, and cut into slices."""

import json
from collections.abc import Callable

import polars as pl
import pytest

from recency.data.log import Log
from recency.evaluation.evaluate import evaluate
from recency.evaluation.exam import build_exam
from recency.evaluation.protocol import Recommender
from recency.evaluation.report import Report
from recency.evaluation.settings import Settings
from recency.evaluation.slices import slices_of

SCORES = {"d": 4.0, "a": 3.0, "b": 2.0, "c": 1.0}

Make = Callable[[dict[str, float]], Recommender]


@pytest.fixture
def report(test_log: Log, fixed: Make) -> Report:
    other = fixed({"c": 1.0})
    return evaluate(
        fixed(SCORES), test_log, k=(2, 1), reading="misses", baselines=[other], resamples=100
    )


def test_the_text_states_the_protocol_above_the_numbers(report: Report) -> None:
    text = str(report)
    for line in (
        "fixed: 6 targets of 3 users, 3 candidates, 2026-01-01T00:10:00Z to",
        "history rolling · repeats yes · reading misses (items unseen in training missed) · ties "
        "mean · targets event · request time not stated",
        "of 6 test events: 2 (33.3%) on items unseen in training, 1 (16.7%) without a history, "
        "2 (33.3%) repeats",
        "left out: nothing",
        "missed by all, as no candidate: 2 (33.3%)",
        "95 % intervals: bootstrap over users, 100 samples, seed 0; only 3 users, so they are",
        "p two-sided, not corrected for the number of comparisons",
        "fixed - fixed (2)",
    ):
        assert line in text
    assert "recall@2" in text and "recall@1" in text and "map@2" not in text
    rows = [line for line in text.splitlines() if line.startswith("fixed  ")]
    # recall 3 of 6; ndcg (1 + 2 / log2(3)) / 6
    assert rows[0].split()[1:4] == ["0.5000", "[0.3333,", "1.0000]"]
    assert "0.3770" in rows[0]
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_text_of_baskets_and_of_what_was_left_out(test_log: Log, fixed: Make) -> None:
    text = str(
        evaluate(
            fixed(SCORES), test_log, targets="basket", repeats=False, max_targets=1, baselines=False
        )
    )
    assert "targets basket (1 baskets)" in text and "hit@10" in text and "map@10" in text
    assert (
        "left out: 2 (33.3%) on items unseen in training, 2 (33.3%) repeats, 1 (16.7%) of users "
        "not drawn (max_targets)"
    ) in text
    assert "paired difference" not in text


def test_a_table_of_one_row_a_model(report: Report) -> None:
    frame = report.to_frame()
    assert frame["model"].to_list() == ["fixed", "fixed (2)"]
    assert frame["recall@2"].to_list() == pytest.approx([1 / 2, 1 / 6 + 2 / 6 * 1 / 2 + 1 / 12])
    low, value, high = (frame[f"ndcg@2{end}"][0] for end in (" low", "", " high"))
    assert low <= value <= high
    assert "coverage@2" in frame.columns and "coverage@2 low" not in frame.columns


def test_json_holds_everything_but_the_targets(report: Report) -> None:
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["protocol"]["ks"] == [2, 1] and found["protocol"]["reading"] == "misses"
    assert found["protocol"]["start"] == "2026-01-01T00:10:00Z"
    assert found["counts"] == report.counts.to_dict()
    assert [one["model"] for one in found["results"]] == ["fixed", "fixed (2)"]
    assert found["results"][0]["metrics"]["recall@2"] == 1 / 2
    assert found["results"][0]["metrics"]["diversity@1"] is None  # one item has no pair: NaN
    assert {"model", "other", "metric", "difference", "interval", "p"} == set(
        found["comparisons"][0]
    )
    assert len(found["slices"]) == report.slices.height


def test_targets_and_ranks_are_kept_one_by_one(report: Report) -> None:
    assert report.targets.columns == ["user_id", "item_id", "timestamp", "unit"]
    assert report.targets["item_id"].to_list() == ["c", "a", "d", "d", "b", "b"]
    assert len(report.ranks["fixed"]) == report.targets.height


# --- slices --------------------------------------------------------------------------------------


def test_slices_by_hand(test_log: Log) -> None:
    """Units: ann c10, a11, d11; bob d13, b14; new b12."""
    exam = build_exam(test_log, Settings(reading="misses"))
    found = {one.name: [one.bins[place] for place in one.place] for one in slices_of(exam)}
    minutes = "1 min - 1 h"
    assert found == {
        "gap since the last event": [minutes] * 5 + ["no event before"],
        "history length": ["2 - 5"] * 5 + ["0"],
        "item age": [minutes, minutes, "its first event", minutes, minutes, minutes],
        "user": ["in training"] * 5 + ["new"],
        "item": ["in training", "in training", "new", "new", "in training", "in training"],
        "training events of the item": ["1 - 5", "1 - 5", "0", "0", "1 - 5", "1 - 5"],
    }


def test_slices_hold_each_unit_once_with_its_metric(report: Report) -> None:
    slices = report.slices
    by_slice = slices.filter(model="fixed").group_by("slice").agg(pl.col("n_units").sum())
    assert by_slice["n_units"].to_list() == [6] * 6
    new = slices.filter(slice="item", bin="new", model="fixed")
    assert new["recall@2"].to_list() == [0.0] and new["n_units"].to_list() == [2]
    old = slices.filter(slice="item", bin="in training", model="fixed")
    assert old["recall@2"].to_list() == [3 / 4]
    assert "item:" in str(report) and "  in training" in str(report)


def test_event_types_are_a_slice_where_the_log_has_them(test_log: Log, fixed: Make) -> None:
    assert test_log.past is not None
    kinds = ["view", "buy", "view", None, "view", "new kind"]
    events = test_log.events.with_columns(event_type=pl.Series(kinds))
    past = test_log.past.events.with_columns(event_type=pl.lit("view"))
    test = Log.from_frame(events, past=Log.from_frame(past))
    report = evaluate(fixed(SCORES), test, reading="misses", baselines=False, resamples=5)
    bins = report.slices.filter(slice="event type")
    counted = dict(zip(bins["bin"], bins["n_units"], strict=True))
    assert counted == {"view": 3, "buy": 1, "new kind": 1, "none": 1}
