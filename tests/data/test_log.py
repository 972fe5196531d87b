from pathlib import Path

import polars as pl
import pytest

from recency.data.log import Log
from recency.errors import DataError
from recency.units import parse_instant


def frame(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return table.with_columns(pl.col("timestamp").str.to_datetime(time_zone="UTC"))


ROWS = [
    ("a", "x", "2026-01-03"),
    ("b", "z", "2026-01-01"),
    ("a", "y", "2026-01-01"),
    ("b", "x", "2026-01-02"),
]


def test_events_are_sorted_by_time_and_ties_keep_their_order() -> None:
    log = Log.from_frame(frame(ROWS))
    assert log.events["item_id"].to_list() == ["z", "y", "x", "x"]
    assert (log.n_events, log.n_users, log.n_items, len(log)) == (4, 2, 3, 4)
    assert log.start == parse_instant("2026-01-01")
    assert log.end == parse_instant("2026-01-03") + 1


def test_a_split_is_half_open_and_knows_its_past() -> None:
    log = Log.from_frame(frame(ROWS))
    first, second, third = log.split_at("2026-01-02", "2026-01-03")
    assert [len(part) for part in (first, second, third)] == [2, 1, 1]
    assert first.past is None
    assert second.past is not None and second.past.events.equals(first.events)
    assert third.past is not None and len(third.past) == 3
    assert len(log.before("2026-01-02")) == 2 and len(log.since("2026-01-02")) == 2
    assert log.between("2026-01-02", "2026-01-03").events["item_id"].to_list() == ["x"]


def test_a_part_that_is_split_again_still_knows_all_of_its_past() -> None:
    log = Log.from_frame(frame(ROWS))
    _, rest = log.split_at("2026-01-02")
    _, last = rest.split_at("2026-01-03")
    assert last.past is not None and last.past.events.equals(log.events.head(3))
    since, between = rest.since("2026-01-03"), rest.between("2026-01-03", "2026-01-04")
    assert since.past is not None and since.past.events.equals(log.events.head(3))
    assert between.past is not None and between.past.events.equals(log.events.head(3))


def test_quantile_names_an_event() -> None:
    log = Log.from_frame(frame(ROWS))
    assert log.quantile(0.0) == log.quantile(0.25) == parse_instant("2026-01-01")
    assert log.quantile(0.5) == parse_instant("2026-01-02")
    assert log.quantile(1.0) == parse_instant("2026-01-03")
    with pytest.raises(DataError, match="between 0 and 1"):
        log.quantile(1.5)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (
            ["2025-01-01"],
            "leaves no event before it; the log's first event is 2026-01-01T00:00:00Z",
        ),
        (["2026-01-01"], "leaves no event before it"),
        (["2027-01-01"], "leaves no event at or after it"),
        (["2026-01-03", "2026-01-02"], "2026-01-02T00:00:00Z is not after 2026-01-03"),
        (["2026-01-02T01:00Z", "2026-01-02T02:00Z"], "no event lies between the cuts"),
        ([], "at least one cut"),
    ],
)
def test_cuts_that_leave_nothing(cuts: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Log.from_frame(frame(ROWS)).split_at(*cuts)


def test_all_faults_of_a_split_come_together() -> None:
    with pytest.raises(
        DataError, match=r"2 faults:\n.*no event before it.*\n.*no event at or after"
    ):
        Log.from_frame(frame(ROWS)).split_at("2020-01-01", "2030-01-01")


def test_an_empty_log_says_so() -> None:
    log = Log.from_frame(frame(ROWS).clear())
    for what in ("start", "end"):
        with pytest.raises(DataError, match=f"an empty log has no {what}"):
            getattr(log, what)
    with pytest.raises(DataError, match="an empty log cannot be split"):
        log.split_at("2026-01-01")


def test_all_faults_of_a_frame_come_together() -> None:
    bad = pl.DataFrame({"user_id": [1.5, None], "item_id": ["x", None], "timestamp": [1, 2]})
    with pytest.raises(DataError) as caught:
        Log.from_frame(bad)
    text = str(caught.value)
    assert "expected user_id as Int64 or String, found Float64" in text
    assert "expected timestamp as Datetime, found Int64" in text
    assert "item_id is null in 1 of 2 rows" in text


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="missing: item_id, timestamp; found: user_id"):
        Log.from_frame(pl.DataFrame({"user_id": ["a"]}))


def test_a_time_without_zone_is_refused() -> None:
    naive = frame(ROWS).with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    with pytest.raises(DataError, match="time zone UTC, found none"):
        Log.from_frame(naive)


def test_write_and_read_back(tmp_path: Path) -> None:
    log = Log.from_frame(frame(ROWS))
    log.write(tmp_path / "log.parquet")
    assert Log.from_frame(pl.read_parquet(tmp_path / "log.parquet")).events.equals(log.events)
