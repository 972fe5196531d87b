"""Evaluate: numbers by hand, candidates, baselines beside the model, and what is refused."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import polars as pl
import pytest

from recency.baselines import Popularity
from recency.data.catalogue import Catalogue
from recency.data.log import TIME, Log
from recency.errors import ConfigError, DataError, LeakWarning, NotFittedError
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Answer, Questions, Recommender, block_length

MINUTE = 60_000_000
INF = float("inf")
SCORES = {"d": 4.0, "a": 3.0, "b": 2.0, "c": 1.0}
# Targets come by user, then by time: ann c10 a11 d11, bob d13 b14, new b12.

Make = Callable[[dict[str, float]], Recommender]


def ranks(test: Log, fixed: Make, **settings: Any) -> list[float]:
    report = evaluate(fixed(SCORES), test, baselines=False, resamples=10, **settings)
    return report.ranks["fixed"].tolist()


def test_ranks_by_hand_in_each_reading(test_log: Log, fixed: Make) -> None:
    assert ranks(test_log, fixed) == [3, 1, 2, 2]  # d is no candidate, so it is above nothing
    assert ranks(test_log, fixed, reading="misses") == [3, 1, INF, INF, 2, 2]
    # At 10 and 11 nobody has seen d; from 12 on it is a candidate, and on top.
    assert ranks(test_log, fixed, reading="growing") == [3, 1, INF, 1, 3, 3]


def test_without_repeats_the_history_is_masked(test_log: Log, fixed: Make) -> None:
    assert ranks(test_log, fixed, repeats=False) == [1, 2]  # ann has a and b, new has nothing


def test_metrics_are_means_over_targets(test_log: Log, fixed: Make) -> None:
    report = evaluate(fixed(SCORES), test_log, k=(2, 1), baselines=False, resamples=50)
    metrics = report["fixed"].metrics
    assert metrics["recall@2"] == metrics["hit@2"] == 3 / 4
    assert metrics["mrr@2"] == pytest.approx((0 + 1 + 1 / 2 + 1 / 2) / 4)
    assert metrics["ndcg@2"] == pytest.approx((1 + 2 / np.log2(3)) / 4)
    assert metrics["accuracy@1"] == metrics["recall@1"] == 1 / 4
    assert metrics["coverage@2"] == 2 / 3  # the lists are all a, b
    assert metrics["novelty@1"] == pytest.approx(-np.log2(2 / 5))
    for name, (low, high) in report.model.intervals.items():
        assert low <= metrics[name] <= high or name == "diversity@1", name  # of one item: NaN
    assert report.model.tied == 0 and report.model.fit_seconds is None


def test_a_constant_score_is_chance_under_mean_ties_only(test_log: Log, fixed: Make) -> None:
    found = {
        ties: evaluate(fixed({}), test_log, k=1, ties=ties, baselines=False, resamples=1)
        for ties in ("mean", "worst", "best")
    }
    assert found["mean"].model.metrics["recall@1"] == pytest.approx(1 / 3)
    assert found["worst"].model.metrics["recall@1"] == 0
    assert found["best"].model.metrics["recall@1"] == 1
    assert found["mean"].model.tied == 1 and found["mean"].ranks["fixed"].tolist() == [2] * 4


def test_a_basket_with_a_target_nobody_can_reach(test_log: Log, fixed: Make) -> None:
    """At minute 11 ann takes a, on top, and d, which is no candidate: half of it is found."""
    for ties in ("mean", "worst", "best"):
        assert ranks(test_log, fixed, reading="misses", targets="basket", ties=ties) == [
            3, 1, INF, INF, 2, 2
        ]  # fmt: skip
    report = evaluate(
        fixed(SCORES), test_log, k=1, reading="misses", targets="basket", baselines=False
    )
    assert report.counts.n_units == 5
    assert report.model.metrics["recall@1"] == pytest.approx((0 + 1 / 2 + 0 + 0 + 0) / 5)
    assert report.model.metrics["hit@1"] == pytest.approx(1 / 5)


def test_k_may_exceed_the_catalogue(test_log: Log, fixed: Make) -> None:
    report = evaluate(fixed(SCORES), test_log, k=100, baselines=False, resamples=5)
    assert report.model.metrics["recall@100"] == report.model.metrics["coverage@100"] == 1


# --- candidates ----------------------------------------------------------------------------------


def test_given_candidates_are_the_only_ones(test_log: Log, fixed: Make) -> None:
    report = evaluate(fixed(SCORES), test_log, candidates=["b", "c"], baselines=False, resamples=5)
    assert report.ranks["fixed"].tolist() == [2, 1, 1]  # ann's a is out
    assert (report.counts.n_outside, report.counts.n_items) == (1, 2)
    with pytest.raises(
        ConfigError,
        match=r"candidates of the evaluation's catalogue of 4 items, found none among the 1 given; "
        r"with reading='warm' an item must occur in training",
    ):
        evaluate(fixed(SCORES), test_log, candidates=["d"], baselines=False)
    with pytest.raises(ConfigError, match=r"an item must occur in the log"):
        evaluate(fixed(SCORES), test_log, candidates=["z"], reading="growing", baselines=False)


def available(test: Log, column: str, minute: int) -> Catalogue:
    """Bound the availability of item a, and describe an item that the log lacks."""
    instant = test.start + (minute - 10) * MINUTE
    frame = pl.DataFrame(
        {"item_id": ["a", "z"], column: pl.Series([instant, None], dtype=pl.Int64).cast(TIME)}
    )
    return Catalogue.from_frame(frame)


@pytest.mark.parametrize(
    ("column", "minute", "expected"),
    [
        ("expires_at", 12, [3, 1, 1, 1]),  # from 12 on, a is above nothing
        ("expires_at", 11, [3, INF, 1, 1]),  # half-open: at 11 it is gone
        ("available_from", 11, [2, 1, 2, 2]),  # at 10 it is not there yet, at 11 it is
        ("available_from", 12, [2, INF, 2, 2]),
    ],
)
def test_availability_is_half_open(
    test_log: Log, fixed: Make, column: str, minute: int, expected: list[float]
) -> None:
    catalogue = available(test_log, column, minute)
    report = evaluate(fixed(SCORES), test_log, catalogue=catalogue, baselines=False, resamples=5)
    assert report.ranks["fixed"].tolist() == expected
    assert report.counts.n_missed == expected.count(INF)


def test_categories_measure_diversity(test_log: Log, fixed: Make) -> None:
    catalogue = Catalogue.from_frame(
        pl.DataFrame({"item_id": ["a", "b", "c"], "categories": [["x"], ["x"], ["y"]]})
    )
    report = evaluate(fixed(SCORES), test_log, k=2, catalogue=catalogue, baselines=False)
    assert report.model.metrics["diversity@2"] == pytest.approx(0)


# --- baselines -----------------------------------------------------------------------------------


def test_no_baselines_are_imported_or_made_unless_asked_for(
    test_log: Log, fixed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was looked up")

    monkeypatch.setattr("recency.evaluation.evaluate.import_module", refuse)
    nothing: tuple[bool | Sequence[Recommender], ...] = (False, [], ())
    for none in nothing:
        assert len(evaluate(fixed(SCORES), test_log, baselines=none, resamples=5).results) == 1
    assert len(evaluate(fixed({}), test_log, baselines=[fixed({})], resamples=5).results) == 2
    with pytest.raises(AssertionError, match=r"recency\.baselines was looked up"):
        evaluate(fixed(SCORES), test_log)


def test_the_usual_baselines_stand_beside_the_model(test_log: Log, fixed: Make) -> None:
    report = evaluate(fixed(SCORES), test_log, resamples=20)
    assert [one.model for one in report.results] == [
        "fixed", "popularity", "decayed-popularity", "live-popularity", "recent-items", "markov",
        "item-neighbours",
    ]  # fmt: skip
    assert all(one.fit_seconds is not None for one in report.results[1:])
    assert {one.other for one in report.comparisons} == {r.model for r in report.results[1:]}


def test_a_twin_gets_a_name_of_its_own_and_no_difference(test_log: Log, fixed: Make) -> None:
    report = evaluate(fixed(SCORES), test_log, baselines=[fixed(SCORES), fixed(SCORES)], k=2)
    assert list(report.ranks) == ["fixed", "fixed (2)", "fixed (3)"]
    assert report.comparisons
    for one in report.comparisons:
        assert (one.difference, one.interval, one.p) == (0.0, (0.0, 0.0), 1.0), one
    with pytest.raises(KeyError, match=r"no model 'x' in this report; it holds fixed, fixed \(2\)"):
        report["x"]


def test_the_judged_model_must_come_fitted(test_log: Log) -> None:
    with pytest.raises(NotFittedError, match=r"popularity has counted nothing yet"):
        evaluate(Popularity(), test_log, baselines=False)


def test_a_model_that_saw_the_test_is_called_out(test_log: Log) -> None:
    assert test_log.past is not None
    with pytest.warns(
        LeakWarning, match=r"popularity has learned from events up to 2026-01-01T00:14:00\.000001Z"
    ):
        evaluate(Popularity().fit(test_log), test_log, baselines=False, resamples=5)
    evaluate(Popularity().fit(test_log.past), test_log, baselines=False, resamples=5)


def test_the_seed_repeats_a_report_and_progress_tells_of_it(test_log: Log, fixed: Make) -> None:
    told: list[tuple[str, int, int]] = []
    first, again = (
        evaluate(
            fixed(SCORES),
            test_log,
            baselines=False,
            resamples=50,
            seed=3,
            progress=lambda *one: told.append(one),
        )
        for _ in range(2)
    )
    assert first.model.intervals == again.model.intervals
    assert told == [("fixed", 2, 4), ("fixed", 4, 4)] * 2


# --- what a recommender must not do --------------------------------------------------------------


class Odd:
    """Answer everything right, but for one thing."""

    name = "odd"

    def __init__(self, change: Callable[[np.ndarray, np.ndarray], Answer]) -> None:
        self.change = change

    def fit(self, log: Log) -> Self:
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        scores = np.ones((len(questions), len(questions.items)), np.float32)
        yield self.change(np.arange(len(questions)), scores)


def with_nan(index: np.ndarray, scores: np.ndarray) -> Answer:
    scores[1, 2] = np.nan
    return index, scores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, r"but odd answered NaN: 1 rows of scores hold NaN\. Use -inf"),
        (lambda i, s: (i[1:], s[1:]), r"each of 4 questions once; 1 were not answered, 0 more"),
        (lambda i, s: (i[[0, 0, 1, 2]], s), r"once; 1 were not answered, 1 more than once"),
        (lambda i, s: (i, s[:, :3]), r"scores \[m, 4\], found shapes \(4,\) and \(4, 3\)"),
        (lambda i, s: (i[:2], s), r"found shapes \(2,\) and \(4, 4\)"),
        (lambda i, s: (i + 1, s), r"expected odd to answer questions 0 to 3, found 1 to 4"),
        (lambda i, s: (i - 1, s), r"expected odd to answer questions 0 to 3, found -1 to 2"),
    ],
)
def test_a_faulty_answer_is_refused(
    test_log: Log, change: Callable[[np.ndarray, np.ndarray], Answer], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(Odd(change), test_log, baselines=False)


def test_answers_may_come_in_any_order_in_other_floats_and_in_empty_blocks(test_log: Log) -> None:
    class Backwards(Odd):
        def answer(self, questions: Questions) -> Iterator[Answer]:
            yield np.empty(0, np.int64), np.empty((0, len(questions.items)), np.float32)
            for index in range(len(questions))[::-1]:
                row = np.zeros((1, len(questions.items)))
                row[0, index % 3] = 1
                row.flags.writeable = False
                yield [index], row  # type: ignore[misc]  # a foreign model's list and float64

    report = evaluate(Backwards(with_nan), test_log, baselines=False, resamples=5)
    assert report.ranks["odd"].tolist() == [2.5, 2.5, 2.5, 2.5]
    with pytest.raises(DataError, match="4 were not answered"):
        evaluate(_Silent(with_nan), test_log, baselines=False)


class _Silent(Odd):
    def answer(self, questions: Questions) -> Iterator[Answer]:
        return iter(())


def test_an_impossible_k_is_a_fault_of_the_settings(test_log: Log, fixed: Make) -> None:
    for k in (0, -1, 2.5, True, "10", [5, 0], []):
        with pytest.raises(ConfigError, match="expected k as one or more whole numbers from 1"):
            evaluate(fixed({}), test_log, k=k, baselines=False)  # type: ignore[arg-type]  # on purpose


def test_blocks_hold_about_64_mib() -> None:
    assert block_length(1_000) == 64 * 2**20 // 4_000
    assert block_length(10**9) == block_length(2**25) == 1 and block_length(0) == 2**24
