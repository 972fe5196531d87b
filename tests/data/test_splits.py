import polars as pl
import pytest

from recency.data.log import Log
from recency.data.splits import leave_last_out, rolling_splits
from recency.errors import ConfigError, DataError, LeakWarning
from recency.units import DAY, parse_instant


def daily(n_days: int = 10) -> Log:
    start = parse_instant("2026-01-01")
    return Log.from_frame(
        pl.DataFrame(
            {
                "user_id": ["a", "b"] * n_days,
                "item_id": list(range(2 * n_days)),
                "timestamp": [start + DAY * day for day in range(n_days) for _ in "ab"],
            }
        ).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    )


def test_windows_follow_each_other_and_training_grows() -> None:
    log = daily()
    splits = rolling_splits(log, n=3, horizon="2d")
    assert [one.test.n_events for one in splits] == [4, 4, 4]
    assert [one.train.n_events for one in splits] == [8, 12, 16]
    for one in splits:
        assert one.cut is not None and one.train.end <= one.cut <= one.test.start
        assert one.test.past is not None and one.test.past.events.equals(one.train.events)
    for one, after in zip(splits, splits[1:], strict=False):
        assert after.cut == (one.cut or 0) + 2 * DAY
        assert one.test.end <= (after.cut or 0)
    assert splits[-1].test.end == log.end


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 windows of 7 d need more than the log's span of 9 d"):
        rolling_splits(daily())
    with pytest.raises(DataError, match=r"no event lies in the window from .*; take longer"):
        rolling_splits(daily(), n=3, horizon="1h")
    with pytest.raises(
        ConfigError, match=r"(?s)2 faults:.*at least 1 window, found 0.*longer than"
    ):
        rolling_splits(daily(), n=0, horizon=0)


def test_the_last_events_of_each_user_are_left_out() -> None:
    log = daily(4)
    with pytest.warns(LeakWarning, match="% of the training events happen at or after the median"):
        split = leave_last_out(log)
    assert split.test.events["item_id"].to_list() == [6, 7]
    assert split.train.n_events == 6 and split.cut is None
    assert split.test.past is not None and split.test.past.events.equals(split.train.events)
    with pytest.warns(LeakWarning):
        assert leave_last_out(log, n=2).test.events["item_id"].to_list() == [4, 5, 6, 7]


def test_equal_times_are_left_out_in_the_order_of_the_log() -> None:
    frame = daily(1).events.with_columns(user_id=pl.lit("a"))
    with pytest.warns(LeakWarning):
        assert leave_last_out(Log.from_frame(frame)).test.events["item_id"].to_list() == [1]


def test_users_with_few_events_stay_in_training() -> None:
    frame = pl.concat([daily(3).events, daily(1).events.head(1).with_columns(user_id=pl.lit("c"))])
    with pytest.warns(LeakWarning):
        split = leave_last_out(Log.from_frame(frame))
    assert "c" in split.train.events["user_id"]
    assert "c" not in split.test.events["user_id"]


def test_nothing_to_leave_out_is_an_error() -> None:
    with pytest.raises(DataError, match="leaves no test event: no user has more than 4 events"):
        leave_last_out(daily(4), n=4)
    with pytest.raises(ConfigError, match="at least 1 event per user, found 0"):
        leave_last_out(daily(4), n=0)
