"""The logs with one cause have it, and nothing else tells."""

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl
import pytest

from recency.data import synthetic
from recency.data.log import Log
from recency.errors import ConfigError
from recency.units import DAY, SECOND, parse_instant

END = parse_instant("2026-03-01")
MAKERS: dict[str, Callable[..., Log]] = {
    "gap": partial(synthetic.timed, "gap"),
    "hour": partial(synthetic.timed, "hour"),
    "week": partial(synthetic.timed, "week"),
    "rhythm": partial(synthetic.timed, "rhythm"),
    "paired": synthetic.paired,
    "chosen": synthetic.chosen,
    "recalled": synthetic.recalled,
}


def by_user(log: Log, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Give items and times in microseconds, each [users, length]."""
    events = log.events.sort("user_id", maintain_order=True)
    items = events["item_id"].str.slice(1).cast(pl.Int64).to_numpy()
    times = events["timestamp"].to_physical().to_numpy()
    return items.reshape(-1, length), times.reshape(-1, length)


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_seed_gives_the_same_log_before_its_end(name: str):
    log, again, other = MAKERS[name](), MAKERS[name](), MAKERS[name](seed=1)
    assert log.events.equals(again.events) and not log.events.equals(other.events)
    assert log.end <= END and log.events["user_id"].n_unique() == 64
    _, times = by_user(log, len(log) // 64)
    assert (np.diff(times) > 0).all()


def test_gaps_tell_the_next_item():
    items, times = by_user(synthetic.timed("gap", n_users=200), 32)
    gaps = np.diff(times)[:, :-1]
    part = 4 * np.log(gaps / (60 * SECOND)) / np.log(30 * DAY / (60 * SECOND))
    assert (part.astype(int) == items[:, 2:]).all()
    assert ((part % 1 > 0.24) & (part % 1 < 0.76)).all()


@pytest.mark.parametrize(("by", "period", "start"), [("hour", DAY, 0), ("week", 7 * DAY, 4 * DAY)])
def test_the_calendar_tells_the_next_item(by, period, start):
    items, times = by_user(synthetic.timed(by, n_users=200), 32)
    part = (times - start) % period * 4 // period
    assert (part[:, :-1] == items[:, 1:]).all()


def test_a_rhythm_is_the_users_own_and_the_calendar_does_not_tell_it():
    items, times = by_user(synthetic.timed("rhythm", n_users=200), 32)
    week = 7 * DAY
    part = (times - times[:, :1]) % week * 4 // week
    assert (part[:, 1:-1] == items[:, 2:]).all()
    calendar = times % week * 4 // week
    counts = np.zeros((4, 4))
    np.add.at(counts, (calendar[:, :-1], items[:, 1:]), 1)
    assert counts.max() < 1.25 * counts.mean()


@pytest.mark.parametrize("by", ["gap", "hour", "week", "rhythm"])
def test_items_do_not_tell_what_times_decide(by: synthetic.Cause):
    items, _ = by_user(synthetic.timed(by, n_users=400), 32)
    counts = np.zeros((4, 4, 4))
    np.add.at(counts, (items[:, :-2], items[:, 1:-1], items[:, 2:]), 1)
    assert counts.max() < 1.3 * counts.mean()


def test_two_items_tell_the_next_and_one_does_not():
    items, _ = by_user(synthetic.paired(n_users=5_000), 32)
    first, second, third = items[:, :-2], items[:, 1:-1], items[:, 2:]
    assert (third == (second + 2 * first + 1) % 5).all()
    for one in (first, second):
        counts = np.zeros((5, 5))
        np.add.at(counts, (one, third), 1)
        assert counts.max() < 1.25 * counts.mean()


def test_a_gap_chooses_one_of_two_items():
    items, times = by_user(synthetic.chosen(n_users=300), 30)
    early, late, again = items[:, 0::3], items[:, 1::3], items[:, 2::3]
    assert (early != late).all()
    long = np.diff(times)[:, 0::3] > 3 * 3_600 * SECOND
    assert (again == np.where(long, late, early)).all()
    assert 0.45 < long.mean() < 0.55


def test_the_first_item_comes_again_after_the_cue():
    items, times = by_user(synthetic.recalled(n_users=200, n_items=3, lag=50), 51)
    assert (items[:, 0] == items[:, 50]).all() and items[:, 0].max() == 2
    assert (items[:, 49] == 5).all()
    assert set(items[:, 1:49].ravel()) == {3, 4}
    assert len(set(times[:, 49])) == 1


def test_impossible_causes_are_refused():
    with pytest.raises(ConfigError, match=r"expected by of gap, hour, week, rhythm; found 'moon'"):
        synthetic.timed("moon")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigError, match=r"expected n_users of 1 or more, found 0"):
        synthetic.paired(n_users=0)
    with pytest.raises(ConfigError, match=r"expected n_items of 2 or more, found 1"):
        synthetic.chosen(n_items=1)
    with pytest.raises(ConfigError, match=r"expected lag of 2 or more, found 1"):
        synthetic.recalled(lag=1)
