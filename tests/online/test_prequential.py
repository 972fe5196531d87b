"""Predictions are scored as evaluation scores them, when their answer may be known."""

import math

import numpy as np
import pytest

import recency as rc
from recency.data.log import Log
from recency.online.arms import Arm
from recency.online.asking import ask_and_observe
from recency.online.feed import LogFeed
from recency.online.prequential import Asked, Prequential
from recency.units import SECOND

HOUR = 3_600 * SECOND


def asked(moment, rank, gap=-1, unseen=False):
    return Asked(moment, gap, rank - 1, rank, unseen)


def test_worked_by_hand():
    scores = Prequential(k=10)
    scores.ask(asked(1, rank=1, gap=10 * SECOND))
    scores.ask(asked(2, rank=3, gap=2 * HOUR))
    scores.ask(asked(3, rank=11))
    scores.ask(Asked(4, -1, 0, 0, True))  # an item that nobody knew is missed
    gained = scores.reveal(10)
    assert gained == pytest.approx(np.array([[1.0, 0], [0.5, 0], [0, 0], [0, 1]]))
    found = scores.score()
    assert (found.n, found.recall, found.unseen) == (4, 0.5, 0.25)
    assert found.ndcg == pytest.approx((1 + 0.5) / 4)
    assert found.mrr == pytest.approx((1 + 1 / 3) / 4)
    parts = {name: one.n for name, one in found.by_gap.items()}
    assert parts == {"< 1 min": 1, "1 h - 1 d": 1, "no event before": 2}
    assert found.by_gap["1 h - 1 d"].ndcg == pytest.approx(0.5)
    assert found.to_dict()["by_gap"]["< 1 min"]["ndcg"] == 1.0


def test_an_answer_counts_only_after_its_delay():
    scores = Prequential(delay=5)
    scores.ask(asked(10, rank=1))
    scores.ask(asked(12, rank=1))
    assert len(scores.reveal(14)) == 0 and math.isnan(scores.score().ndcg)
    assert len(scores.reveal(15)) == 1 and scores.score().n == 1
    assert len(scores.reveal(15)) == 0
    assert len(scores.reveal(99)) == 1 and scores.n_revealed == 2


def test_the_window_slides():
    scores = Prequential(window=2)
    for moment, rank in enumerate([1, 1, 11, 11]):
        scores.ask(asked(moment, rank))
    scores.reveal(9)
    assert scores.score().n == 2 and scores.score().recall == 0.0


def test_it_goes_on_from_its_arrays():
    scores = Prequential(delay=5)
    for moment in range(9):
        scores.ask(asked(moment, rank=moment + 1, gap=moment, unseen=moment == 2))
    scores.reveal(9)
    twin = Prequential(delay=5)
    twin.restore({name: np.array(cells) for name, cells in scores.to_arrays().items()})
    for one in (scores, twin):
        one.reveal(20)
    assert twin.score() == scores.score() and twin.n_revealed == scores.n_revealed


def test_ranks_are_those_of_the_evaluation(small_shop):
    one = small_shop.model()
    scores = Prequential(window=10**6)
    log = Log(small_shop.test.events.head(250), small_shop.train)
    entries = LogFeed(log).read(0, 10**6)
    ask_and_observe(one, entries, scores, most=len(entries))
    scores.reveal(10**18)
    arm = Arm("state", small_shop.model(), log, update=HOUR)
    report = rc.evaluate(arm, log, reading="growing", baselines=False, resamples=2)
    mine = np.array([(a.greater + 1 + a.at_least) / 2 for a in scores._window])
    mine[[a.at_least == 0 for a in scores._window]] = np.inf
    # The evaluation's targets are sorted by user; one event a user and instant makes them alike.
    theirs = dict(
        zip(
            zip(
                report.targets["user_id"].to_list(),
                report.targets["timestamp"].to_physical().to_list(),
                report.targets["item_id"].to_list(),
                strict=True,
            ),
            report.ranks["state"].tolist(),
            strict=True,
        )
    )
    for entry, rank in zip(entries, mine.tolist(), strict=True):
        assert rank == theirs[entry.user_id, entry.time, entry.item_id]
    assert scores.score().ndcg == pytest.approx(report.model.metrics["ndcg@10"])


def test_an_event_that_comes_late_is_observed_but_not_asked_about(small_shop):
    one = small_shop.model()
    scores = Prequential()
    entries = LogFeed(small_shop.test).read(0, 3)
    ask_and_observe(one, [entries[2], entries[0]], scores, most=9)
    assert len(scores.reveal(10**18)) == 1
    assert one.live.timelines.n_events == len(small_shop.train) + 2
