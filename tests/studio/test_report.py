"""What the page shows of an evaluation is what the evaluation found."""

import json

import pytest

from recency.baselines import Markov, Popularity
from recency.baselines.oracle import Oracle
from recency.data import synthetic
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Recommender
from recency.evaluation.report import Report
from recency.studio.report import page_report


@pytest.fixture(scope="module")
def report() -> Report:
    shop = synthetic.shop(n_users=60, n_items=40, days=30)
    train, test = shop.log.split_at(shop.log.quantile(0.8))
    others: list[Recommender] = [Popularity(), Oracle(shop)]
    return evaluate(Markov().fit(train), test, baselines=others, resamples=50)


def test_numbers_and_kinds_are_those_of_the_report(report: Report) -> None:
    page = page_report(report, {"popularity": "Most popular"}, ceiling="truth")
    assert page["metrics"] == ["ndcg@10", "recall@10", "mrr@10"]
    kinds = {row["name"]: (row["title"], row["kind"]) for row in page["rows"]}
    assert kinds == {
        "markov": ("markov", "model"),
        "popularity": ("Most popular", "baseline"),
        "truth": ("truth", "ceiling"),
    }
    for row in page["rows"]:
        for name, number in row["metrics"].items():
            assert number["value"] == report[row["name"]].metrics[name]
            assert (number["low"], number["high"]) == report[row["name"]].intervals[name]
    json.dumps(page)


def test_notes_compare_with_the_best_baseline_and_name_the_ceiling(report: Report) -> None:
    against, ceiling = page_report(report, {"popularity": "Most popular"}, "truth")["notes"]
    found = next(
        one for one in report.comparisons if (one.other, one.metric) == ("popularity", "ndcg@10")
    )
    assert against.startswith(
        f"Against Most popular, user by user: {found.difference:+.3f} ndcg@10"
    )
    assert f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}" in against
    assert ceiling.startswith("truth ranks by the chances")
    assert "ceiling" not in [row["kind"] for row in page_report(report)["rows"]]


def test_the_protocol_is_told(report: Report) -> None:
    told = page_report(report)["protocol"]
    for part in ("Every event from 2026-", "history rolling", "may come again", "warm items"):
        assert part in told
