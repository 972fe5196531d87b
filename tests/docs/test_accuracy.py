"""The accuracy benchmark asks what `recency.evaluate` asks, and keeps what it found."""

import json

import numpy as np
import pytest

import recency as rc
from benchmarks.accuracy import rows, splits
from benchmarks.accuracy.exams import exams_of, fingerprint, judge_all
from benchmarks.accuracy.grids import grid, settings_of
from benchmarks.accuracy.ours import BASELINES, OURS
from benchmarks.accuracy.splits import Source, Variant
from benchmarks.accuracy.store import Store
from benchmarks.peers.exchange import Asked, Lesson
from benchmarks.peers.peer import PEERS
from recency.baselines import LivePopularity, Markov
from recency.data.synthetic import shop
from recency.evaluation.measure import item_vectors, measure


@pytest.fixture(scope="module")
def split():
    log = shop(n_users=80, n_items=40, days=30, seed=1).log
    return splits._split("shop", "time", Source(lambda folder: log), log)


@pytest.mark.parametrize("make", [Markov, lambda: LivePopularity(half_life="1d")])
def test_one_pass_judges_every_variant_as_evaluate_does(split, make):
    model = make().fit(split.train)
    exams = exams_of(split, max_targets=200)
    assert len(exams) == 4
    for variant, judged in judge_all(model, exams).items():
        found = measure(judged, exams[variant], item_vectors(exams[variant], None))
        report = rc.evaluate(
            model,
            split.test,
            repeats=variant.repeats,
            reading=variant.reading,
            baselines=False,
            max_targets=200,
            resamples=2,
        )
        for name, column in found.units.items():
            assert np.nanmean(column) == pytest.approx(report.model.metrics[name]), name
        assert found.whole == pytest.approx({"coverage@10": report.model.metrics["coverage@10"]})


def test_last_asks_each_user_once_about_the_last_event(split):
    log = split.test.past
    last = splits._split("shop", "last", Source(lambda folder: log), log)
    assert last.variants == (Variant(repeats=False, reading="misses"),)
    (counts,) = last.test.events["user_id"].value_counts()["count"].unique()
    assert counts == 1
    assert last.train.n_events + last.test.n_events == log.n_events


def test_the_sum_of_a_split_changes_with_any_event(split):
    assert splits.checksum(split.train) == splits.checksum(rc.Log(split.train.events.clone()))
    assert splits.checksum(split.train) != splits.checksum(rc.Log(split.train.events[1:]))


def test_every_model_has_the_same_number_of_points(split):
    for model in [*OURS, *PEERS]:
        assert len(grid(model, split)) == 4, model
    assert all(grid(model, split) == [{}] for model in BASELINES)


def test_where_nothing_was_tuned_ours_have_the_defaults_of_the_library(split):
    told = settings_of("tide, time off", split)
    assert told["dropout"] == rc.InputConfig().dropout
    assert (told["lr"], told["epochs"]) == (rc.TrainConfig().lr, rc.TrainConfig().epochs)
    assert settings_of("rectools/hstu", split) == grid("rectools/hstu", split)[0]
    assert settings_of("markov", split) == {}


def test_rows_and_paired_differences_come_from_the_store(split, tmp_path):
    store = Store("shop", "time", tmp_path)
    exams = exams_of(split)
    store.keep_exams(split, exams)
    for model in (Markov().fit(split.train), LivePopularity().fit(split.train)):
        measured = {
            variant: measure(judged, exams[variant], item_vectors(exams[variant], None))
            for variant, judged in judge_all(model, exams).items()
        }
        said = {
            "settings": {},
            "request_time": model.request_time,
            "fingerprints": {variant.key: fingerprint(exam) for variant, exam in exams.items()},
            "train_seconds": 0.1,
            "cpu_seconds": 0.1,
            "peak_mb": 1.0,
            "about": {},
            "whole": {variant.key: one.whole for variant, one in measured.items()},
            **dict.fromkeys(("command", "commit", "machine", "date"), "here"),
        }
        store.keep(model.name, 0, said, measured)
    made = rows.rows_of(store)
    assert len(made) == 8 and len({row["protocol"] for row in made}) == 4
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    markov, live = (
        next(row["metrics"]["ndcg@10"] for row in made if row["model"] == name)
        for name in ("markov", "live-popularity")
    )
    (first, *_) = rows.paired_of(store, "markov", "live-popularity")
    assert first["metrics"]["ndcg@10"] == pytest.approx(markov - live)


def test_a_fit_that_was_asked_something_else_is_left_out(split, tmp_path, capsys):
    store = Store("shop", "time", tmp_path)
    store.keep_exams(split, exams_of(split))
    store.keep("markov", 0, {"fingerprints": {}}, {})
    assert not rows.rows_of(store)
    assert "was asked something else" in capsys.readouterr().out


def test_histories_are_laid_out_newest_last_or_first(tmp_path):
    asked = Asked(
        offsets=np.array([0, 3, 4]),
        items=np.array([5, 6, 7, 8]),
        times=np.array([1, 2, 3, 4]),
        at=np.array([9, 9]),
    )
    asked.write(tmp_path / "asked.npz")
    back = Asked.read(tmp_path / "asked.npz")
    assert back.padded(back.items, 2, 0, left=True).tolist() == [[6, 7], [0, 8]]
    assert back.part(1, 2).padded(back.part(1, 2).items, 2, 0, left=False).tolist() == [[8, 0]]


def test_a_lesson_is_sorted_by_user_and_keeps_the_order_within():
    lesson = Lesson(np.array([1, 0, 1]), np.array([3, 4, 5]), np.array([1, 2, 3]), np.array(6))
    events, offsets = lesson.by_user()
    assert events.items.tolist() == [4, 3, 5] and offsets.tolist() == [0, 1, 3]
