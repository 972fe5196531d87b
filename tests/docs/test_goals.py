"""Goals are set beside what was measured, and nothing counts as met that was not."""

from typing import Any

import pytest

from benchmarks import goals, record

NEW = "time · a cut · repeats no · reading {} · target event"


def row(
    data: str, protocol: str, model: str, metrics: dict[str, Any], seed: int | None = 0
) -> record.Row:
    known = "known" if model == "rectools/hstu" else "unknown"
    return {
        "data": data,
        "protocol": protocol,
        "model": model,
        "seed": seed,
        "request_time": known,
        "metrics": metrics,
    }


@pytest.fixture
def measured(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "commit", lambda *, dirty=False: "0123456789ab")

    def put(table: str, *rows: record.Row) -> dict[str, goals.Standing]:
        record.record(table, list(rows))
        return {one.what: one for one in goals.standings(table)}

    return put


def ndcg(value: float) -> dict[str, float]:
    return {"ndcg@10": value}


def test_a_lead_counts_over_the_best_baseline_or_peer_in_both_catalogues(measured):
    told = measured(
        "accuracy",
        row("ml-100k", NEW.format("warm"), "tide", ndcg(0.11)),
        row("ml-100k", NEW.format("warm"), "tide", ndcg(0.13), 1),
        row("ml-100k", NEW.format("warm"), "markov", ndcg(0.08)),
        row("ml-100k", NEW.format("warm"), "rectools/hstu", ndcg(0.10)),
        row("ml-100k", NEW.format("growing"), "tide", ndcg(0.104)),
        row("ml-100k", NEW.format("growing"), "markov", ndcg(0.10)),
    )["ml-100k, items new to the user: Tide over the best of all others"]
    assert (told.measured, told.word) == ("+20.0%, +4.0%", "missed")


def test_a_figure_needs_both_its_numbers(measured):
    hit = {"recall@10": 0.4}
    told = measured(
        "accuracy",
        row("ml-1m-order", "last · repeats no · reading misses", "gru", hit | ndcg(0.1)),
        row("ml-1m-order", "last · repeats no · reading misses", "tide", hit | ndcg(0.2)),
    )
    assert told["ml-1m-order, last event: GRU, recall@10 and NDCG@10"].word == "missed"
    assert told["ml-1m-order, last event: best of ours, recall@10 and NDCG@10"].word == "met"


def test_a_growing_catalogue_is_no_part_of_a_figure(measured):
    told = measured(
        "accuracy",
        row("amazon-beauty", NEW.format("warm"), "tide", {"recall@10": 0.06} | ndcg(0.04)),
        row("amazon-beauty", NEW.format("growing"), "tide", {"recall@10": 0.6} | ndcg(0.4)),
    )
    (beauty,) = (one for what, one in told.items() if what.startswith("amazon-beauty, cut by time"))
    assert (beauty.measured, beauty.word) == ("0.0600, 0.0400", "met")


def test_a_goal_that_lacks_one_of_its_rows_is_not_met(measured):
    told = measured(
        "accuracy",
        row("ml-100k", NEW.format("warm"), "tide", ndcg(0.2)),
        row("ml-100k", NEW.format("warm"), "markov", ndcg(0.1)),
    )["ml-100k, items new to the user: Tide over the best of all others"]
    assert told.word == "not measured"


def test_what_was_not_measured_is_not_met(measured):
    told = measured("accuracy", row("ml-100k", NEW.format("warm"), "markov", ndcg(0.1)))
    assert {one.word for one in told.values()} == {"not measured"}
    assert goals.standings("speed") == []


def test_a_gain_by_chance_is_called_that_and_nothing_over_nothing_is_missed(measured):
    few, cold = "few · time", "cold · time"
    alone = "tide, ids and content, encoder alone, mean of 3 seeds"
    told = measured(
        "content",
        row("ml-latest-2k", few, alone, {"gain_over_ids_only": 3.5, "p": 0.3} | ndcg(0.0002), None),
        row("online-retail", few, alone, {"p": 1.0} | ndcg(0.0), None),
        row("online-retail", cold, alone, {"p": 0.002} | ndcg(0.014), None),
    )
    few_of = "{}, items with one to five events, the encoder alone"
    assert told[few_of.format("ml-latest-2k")].word == "met, not beyond chance"
    assert told[few_of.format("online-retail")].word == "missed"
    cold_of = told["online-retail, items that training never saw, the encoder alone"]
    assert (cold_of.measured, cold_of.word) == ("0.0140 where ids only have 0", "met")
