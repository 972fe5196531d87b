from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.errors import DataError, UnitError
from recency.units import (
    epoch_unit,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)

NOON = 1_772_366_400_000_000  # 2026-03-01T12:00:00Z


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T13:00+01:00",
        " 2026-03-01 12:00 ",
        datetime(2026, 3, 1, 12),
        datetime(2026, 3, 1, 7, tzinfo=timezone(timedelta(hours=-5))),
        NOON,
    ],
)
def test_one_instant_written_in_many_ways(value: object) -> None:
    assert parse_instant(value) == NOON  # type: ignore[arg-type]


def test_dates_and_zones() -> None:
    assert parse_instant(date(1970, 1, 2)) == 86_400_000_000
    assert parse_instant("2026-03-01T12:00", time_zone="Europe/Berlin") == NOON - 3_600_000_000


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))
def test_writing_and_reading_an_instant_loses_nothing(moment: datetime) -> None:
    instant = parse_instant(moment)
    assert parse_instant(format_instant(instant)) == instant
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant) == moment.replace(
        tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("value", "unit"),
    [(1_700_000_000, "seconds"), (1_700_000_000_000, "milliseconds"), (17 * 10**17, "nanoseconds")],
)
def test_an_integer_in_another_unit_is_refused(value: int, unit: str) -> None:
    with pytest.raises(UnitError, match=f"looks like {unit}"):
        parse_instant(value)


@pytest.mark.parametrize("value", ["yesterday", "", "2026-13-01"])
def test_text_that_is_no_instant(value: str) -> None:
    with pytest.raises(DataError, match="expected an ISO 8601 instant"):
        parse_instant(value)


def test_other_types_are_refused() -> None:
    with pytest.raises(DataError, match="found float 1.5"):
        parse_instant(1.5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="found bool True"):
        parse_instant(True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90s", 90), ("1.5h", 5_400), ("30min", 1_800), ("7d", 604_800), ("2w", 1_209_600), (5, 5)],
)
def test_durations(value: str | float, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["soon", "1 fortnight", "-1h"])
def test_text_that_is_no_duration(value: str) -> None:
    with pytest.raises(DataError, match="expected a duration such as"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_durations(value: float) -> None:
    with pytest.raises(DataError, match="0 seconds or more"):
        parse_duration(value)


def test_durations_are_written_with_their_largest_unit() -> None:
    assert [format_duration(s) for s in (0, 45, 90, 7_200, 864_000, 1e8)] == [
        "0 s",
        "45 s",
        "1.5 min",
        "2 h",
        "10 d",
        "3.17 y",
    ]


@given(st.datetimes(datetime(1974, 1, 1), datetime(2200, 1, 1)))
def test_the_unit_of_a_count_is_told_by_its_size(moment: datetime) -> None:
    us = parse_instant(moment)
    assert [epoch_unit(x) for x in (us / 1e6, us / 1e3, us, us * 1e3)] == ["s", "ms", "us", "ns"]
