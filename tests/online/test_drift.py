"""A change of the series is noticed, counted and told; the same series again is not."""

import sys

import numpy as np
import pytest

from recency.errors import ConfigError
from recency.online.drift import SCORE, UNSEEN, Drift, DriftWatch


def rows(scores, unseen):
    return list(zip(scores, unseen, strict=True))


def test_a_fall_of_the_score_is_noticed():
    rng = np.random.default_rng(0)
    told: list[Drift] = []
    watch = DriftWatch(told.append)
    good = rows(rng.random(2_000) < 0.6, np.zeros(2_000))
    assert not watch.take(good) and not told
    found = watch.take(rows(rng.random(2_000) < 0.2, np.zeros(2_000)))
    assert found == told and found[0].series == SCORE
    assert 2_000 < found[0].n < 2_400
    assert found[0].mean == pytest.approx(0.6, abs=0.05)
    assert watch.n_drifts == {SCORE: len(found), UNSEEN: 0}


def test_more_unseen_items_are_noticed():
    rng = np.random.default_rng(0)
    watch = DriftWatch()
    assert not watch.take(rows(np.full(2_000, 0.5), rng.random(2_000) < 0.05))
    (first, *_) = watch.take(rows(np.full(1_000, 0.5), rng.random(1_000) < 0.5))
    assert first.series == UNSEEN and watch.n_drifts[UNSEEN]


def test_what_was_watched_before_raises_no_alarm_again():
    rng = np.random.default_rng(0)
    series = rows(np.r_[rng.random(999) < 0.6, rng.random(999) < 0.1], np.zeros(1_998))
    told: list[Drift] = []
    watch = DriftWatch(told.append)
    assert watch.take(series, quiet=True) and not told
    other = DriftWatch()
    assert other.take(series) and other.n_drifts == watch.n_drifts


def test_without_river_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(ConfigError, match=r"needs the package river.*recency\[online\]"):
        DriftWatch()
