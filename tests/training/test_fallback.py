"""What is popular is forgotten as fast as the log forgets it."""

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data.histories import Histories
from recency.data.log import TIME, Log
from recency.data.newest import newest_of
from recency.training.fallback import best_half_life
from recency.units import parse_duration

SECOND = 1_000_000
START = 1_767_225_600  # 2026-01-01 UTC


def histories(items, seconds):
    """One event a user."""
    n = len(items)
    times = (np.asarray(seconds) * SECOND).astype(np.int64)
    return Histories(np.arange(n + 1), np.asarray(items, np.int32), times)


def test_a_log_of_news_forgets_in_minutes():
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, 86_400, 4_000))
    items = seconds // 600 * 5 + rng.integers(0, 5, 4_000)  # five articles every ten minutes
    assert best_half_life(histories(items, seconds)) == parse_duration("10min")


def test_a_log_of_classics_forgets_slowly():
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, 400 * 86_400, 3_000))
    items = np.minimum(rng.geometric(0.03, 3_000), 60)
    assert best_half_life(histories(items, seconds)) >= parse_duration("30d")


def test_it_is_chosen_for_those_who_are_answered_by_it():
    """Whoever is there takes what came out today; whoever is new takes a classic."""
    rng = np.random.default_rng(0)
    n_old, days, new_a_day = 50, 100, 20
    rows = [(user, 10, 0) for user in range(n_old)]
    for day in range(1, days):
        hours = day * 24 + rng.integers(0, 24, n_old)
        rows += [(user, 1_000 + day, hour) for user, hour in enumerate(hours.tolist())]
        for n in range(new_a_day):
            item = int(np.minimum(rng.geometric(0.2), 9))
            rows.append((n_old + day * new_a_day + n, item, day * 24 + int(rng.integers(0, 24))))
    rows.sort(key=lambda row: (row[0], row[2]))
    users, items, hours = np.array(rows).T
    offsets = np.searchsorted(users, np.arange(users.max() + 2))
    log = Histories(offsets, items.astype(np.int32), hours * 3_600 * SECOND)
    assert best_half_life(log) >= parse_duration("30d")
    everybody_new = Histories(np.arange(len(items) + 1), log.items, log.times)
    assert best_half_life(everybody_new) <= parse_duration("1d")


def test_who_came_long_ago_is_no_stranger_among_the_newest_events():
    """Whoever comes back takes what came out today; whoever is new takes a classic."""
    rng = np.random.default_rng(0)
    n_old, days, new_a_day = 1_000, 100, 20
    rows = [(user, 10, 0) for user in range(n_old)]
    for user, day in enumerate(rng.integers(80, days, n_old).tolist()):
        rows.append((user, 1_000 + day, day * 24 + int(rng.integers(0, 24))))
    for n in range(days * new_a_day):
        item = int(np.minimum(rng.geometric(0.2), 9))
        rows.append((n_old + n, item, n // new_a_day * 24 + int(rng.integers(0, 24))))
    rows.sort(key=lambda row: (row[0], row[2]))
    users, items, hours = np.array(rows).T
    offsets = np.searchsorted(users, np.arange(users.max() + 2))
    log = Histories(offsets, items.astype(np.int32), hours * 3_600 * SECOND)
    assert best_half_life(log, recent=2_500) >= parse_duration("30d")
    assert best_half_life(newest_of(log, 2_500)) <= parse_duration("1d")  # who forgot them


def test_few_events_take_the_default():
    assert best_half_life(histories([0, 1], [1, 2])) == parse_duration("7d")


def test_a_fit_chooses_and_a_folder_keeps_it(tmp_path):
    rng = np.random.default_rng(0)
    seconds = START + np.sort(rng.integers(0, 86_400, 3_000))
    items = seconds // 600 % 10_000 * 3 + rng.integers(0, 3, 3_000)
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(rng.integers(0, 200, 3_000)),
            "item_id": pl.Series(items),
            "timestamp": pl.Series(seconds * SECOND).cast(TIME),
        }
    )
    training = rc.TrainConfig(epochs=1, device="cpu")
    log = Log.from_frame(frame)
    made = rc.SequenceRecommender(rc.GRU(dim=4), training=training).fit(log)
    assert made.live.popularity.half_life == 600.0 and made.fallback_half_life == "fit"
    made.save(tmp_path / "model")
    back = rc.SequenceRecommender.load(tmp_path / "model")
    assert back.live.popularity.half_life == back.fallback_half_life == 600.0
    before, after = log.split_at(log.quantile(0.9))
    fixed = rc.SequenceRecommender(rc.GRU(dim=4), training=training, fallback_half_life="30d")
    assert fixed.fit(before).live.popularity.half_life == 30 * 86_400
    strangers = Log(after.events.with_columns(user_id=after.events["user_id"] + 10**6), before)
    ndcg = [
        rc.evaluate(one, strangers, reading="growing", baselines=False, resamples=2).model.metrics[
            "ndcg@10"
        ]
        for one in (rc.SequenceRecommender(rc.GRU(dim=4), training=training).fit(before), fixed)
    ]
    assert ndcg[0] > 1.5 * ndcg[1]


def test_partial_fit_keeps_the_trust_in_experts(tiny_log):
    training = rc.TrainConfig(epochs=1, device="cpu")
    one = rc.SequenceRecommender(rc.GRU(dim=4), training=training).fit(tiny_log)
    assert one.live.model.experts is not None
    one.live.model.experts.trust[0] = 3.0
    more = tiny_log.events.with_columns(tiny_log.events["timestamp"] + pl.duration(hours=1))
    one.partial_fit(Log(more))
    assert one.live.model.experts.trust[0] == pytest.approx(3.0)
