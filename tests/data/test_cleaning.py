from collections.abc import Sequence

import polars as pl
import pytest

from recency.data.cleaning import (
    CleaningConfig,
    clean,
    drop_bad_times,
    drop_duplicates,
    drop_repeats,
)
from recency.data.log import Log
from recency.data.screens import find_bots, k_core
from recency.errors import ConfigError, DataError
from recency.units import SECOND, parse_instant

START = parse_instant("2026-01-01")


def log_of(rows: Sequence[tuple[object, object, int]], **columns: list[object]) -> Log:
    """Make a log of (user, item, seconds after the start)."""
    frame = pl.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "timestamp": pl.Series([START + row[2] * SECOND for row in rows]).cast(
                pl.Datetime("us", "UTC")
            ),
            **columns,
        }
    )
    return Log.from_frame(frame)


def items(log: Log) -> list[object]:
    return log.events["item_id"].to_list()


def test_the_first_of_equal_events_stays() -> None:
    log = log_of(
        [("a", 1, 0), ("a", 1, 0), ("a", 1, 0), ("a", 1, 1), ("b", 1, 0)],
        event_type=["view", "view", "buy", "view", "view"],
    )
    rest, removal = drop_duplicates(log)
    assert rest.n_events == 4
    assert str(removal) == ("duplicates: 1 of 5 events (20.00%), 0 users, 0 items removed")


def test_an_event_id_counts_once_and_a_missing_one_never() -> None:
    log = log_of(
        [("a", 1, 0), ("a", 2, 1), ("a", 3, 2), ("a", 4, 3)], event_id=["x", "x", None, None]
    )
    assert items(drop_duplicates(log)[0]) == [1, 3, 4]


def test_repeats_are_those_of_the_same_user_in_a_row() -> None:
    log = log_of([("a", 1, 0), ("b", 1, 1), ("a", 1, 2), ("a", 2, 3), ("a", 1, 4)])
    rest, removal = drop_repeats(log)
    assert rest.events.select("user_id", "item_id").rows() == [
        ("a", 1), ("b", 1), ("a", 2), ("a", 1),
    ]  # fmt: skip
    assert removal.n_events == 1


def test_times_outside_the_bounds_go() -> None:
    log = log_of([("a", 1, -(10**9)), ("a", 2, 0), ("b", 3, 100)])
    rest, removal = drop_bad_times(log, latest="2026-01-01T00:01:40Z")
    assert items(rest) == [1, 2]
    assert removal.step == ("times before 1990-01-01T00:00:00Z or from 2026-01-01T00:01:40Z on")
    assert (removal.n_events, removal.n_users, removal.n_items) == (1, 1, 1)
    assert items(drop_bad_times(log, earliest="2026-01-01")[0]) == [2, 3]
    assert drop_bad_times(log, earliest=None)[1].n_events == 0


def test_bots_are_found_by_day_and_in_all() -> None:
    rows: list[tuple[object, object, int]] = [("bot", n, n) for n in range(10)]
    rows += [("ann", n, n * 86_400) for n in range(6)] + [("bob", 1, 5)]
    screen = find_bots(log_of(rows), max_per_day=5)
    assert screen.dropped_users.to_list() == ["bot"]
    assert screen.step == "bots (more than 5 events a day)"
    rest, removal = screen.apply(log_of(rows))
    assert removal.n_events == 10 and removal.n_users == 1
    screen = find_bots(log_of(rows), max_events=5, max_per_day=9)
    assert sorted(screen.dropped_users.to_list()) == ["ann", "bot"]
    with pytest.raises(ConfigError, match="find_bots needs max_per_day or max_events"):
        find_bots(log_of(rows))


CORE = [
    ("a", 1, 0), ("a", 2, 1), ("b", 1, 2), ("b", 2, 3), ("c", 1, 4), ("c", 3, 5), ("d", 3, 6),
]  # fmt: skip


def test_the_core_is_the_fixed_point() -> None:
    # d goes, then 3, then c; what remains has two events each.
    screen = k_core(log_of(CORE), k_users=2, k_items=2)
    assert screen.kept_users.to_list() == ["a", "b"]
    assert screen.kept_items.to_list() == [1, 2]
    assert sorted(screen.dropped_users.to_list()) == ["c", "d"]
    rest, removal = screen.apply(log_of(CORE))
    assert rest.events["user_id"].value_counts()["count"].min() == 2
    assert str(removal) == (
        "k-core (users 2, items 2): 3 of 7 events (42.86%), 2 users, 1 items removed"
    )


def test_the_core_is_applied_to_later_logs_without_a_new_look() -> None:
    train = log_of(CORE)
    test = Log(log_of([("a", 1, 10), ("c", 1, 11), ("new", 9, 12), ("a", 3, 13)]).events, train)
    screen = k_core(train, k_users=2, k_items=2)
    kept, _ = screen.apply(test)
    assert kept.events.select("user_id", "item_id").rows() == [("a", 1), ("new", 9)]
    assert kept.past is not None and kept.past.n_events == 4
    assert screen.apply(test, unseen="drop")[0].n_events == 1


def test_logs_read_in_different_ways_do_not_mix() -> None:
    screen = k_core(log_of(CORE), k_users=2)
    with pytest.raises(DataError, match=r"decided on user_id of type String, found Int64; read"):
        screen.apply(log_of([(1, 1, 0)]))


def test_cleaning_decides_on_training_and_applies_to_test() -> None:
    rows = [*CORE, ("a", 1, 0), ("bot", 1, 7), ("bot", 2, 8), ("bot", 3, 9)]
    whole = log_of([*rows, ("a", 2, 20), ("a", 2, 20), ("bot", 1, 21), ("d", 1, 22)])
    train, test = whole.split_at(START + 20 * SECOND)
    cleaned = clean(train, CleaningConfig(max_per_day=2, k_users=2, k_items=2))
    assert [removal.n_events for removal in cleaned.removals] == [1, 0, 3, 3]
    assert cleaned.log.n_events == 4
    assert str(cleaned).count("\n") == 3
    later = cleaned.apply(test)
    assert later.log.events.select("user_id", "item_id").rows() == [("a", 2)]
    assert later.log.past is not None
    assert later.log.past.events.equals(cleaned.log.events)


def test_cleaning_never_looks_at_the_future() -> None:
    rows = [(f"u{n % 5}", n % 7, n) for n in range(60)]
    future = [(f"u{n % 3}", n % 2, 100 + n) for n in range(40)]
    config = CleaningConfig(max_events=20, k_users=3, k_items=9)
    one = clean(log_of([*rows, *future]).split_at(START + 100 * SECOND)[0], config)
    two = clean(log_of(rows), config)
    assert one.log.events.equals(two.log.events)
    assert one.screens[-1].kept_items.equals(two.screens[-1].kept_items)


def test_nothing_left_tells_the_steps() -> None:
    with pytest.raises(DataError, match=r"(?s)leaves no event; ask for less.*k-core.*7 of 7"):
        clean(log_of(CORE), CleaningConfig(k_users=50))


def test_impossible_settings_are_told_together() -> None:
    with pytest.raises(
        ConfigError, match=r"(?s)2 faults:.*max_events of at least 1, found 0.*k_us"
    ):
        CleaningConfig(max_events=0, k_users=0)
