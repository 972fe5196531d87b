from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Literal

import polars as pl
import pytest

from recency.data.log import TIME
from recency.data.reading.timestamps import to_instants
from recency.errors import ConfigError, DataError, UnitError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


def read(
    values: Sequence[object] | pl.Series, **options: str | None
) -> tuple[list[datetime | None], list[str], tuple[str, ...]]:
    raw = values if isinstance(values, pl.Series) else pl.Series("ts", values, strict=False)
    done = to_instants(raw, **options)  # type: ignore[arg-type]  # the names are those of the function
    assert done.column.values.dtype == TIME
    faults = [str(one) for one in done.column.faults]
    return done.column.values.to_list(), faults, done.column.notes


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("form", [int, float, str])
def test_every_unit_is_guessed_and_accepted(unit: str, scale: int, form: type) -> None:
    values = [form(SECONDS * scale)]
    assert to_instants(pl.Series("ts", values)).unit == unit
    assert read(values)[0] == [NOON]
    assert read(values, unit=unit)[0] == [NOON]


def test_fractions_of_seconds_are_kept() -> None:
    assert read([SECONDS + 0.25])[0] == [NOON.replace(microsecond=250_000)]
    assert read([f"{SECONDS}.25"])[0] == [NOON.replace(microsecond=250_000)]


def test_a_wrong_unit_is_an_error_with_the_year() -> None:
    with pytest.raises(UnitError) as error:
        read([1_700_000_000_000], unit="s")
    assert str(error.value) == (
        "column 'ts' looks like milliseconds (median 1.7e+12) but unit='s' was given, which would "
        "place events near the year 55,841. Pass unit='ms'."
    )
    with pytest.raises(UnitError, match=r"looks like seconds .* the year 1970. Pass unit='s'"):
        read([SECONDS], unit="ms")


def test_relative_times_are_taken_as_said() -> None:
    assert read([5, 60_000], unit="ms")[0][0] == datetime(1970, 1, 1, 0, 0, 0, 5_000, tzinfo=UTC)
    values, _, notes = read([5, 7])
    assert values[0] == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert notes == (
        "timestamp has the median 6, taken as seconds since 1970; pass unit= if these are "
        "relative times in another unit",
    )


def test_rows_in_another_unit_than_most_are_faults() -> None:
    values, faults, _ = read([SECONDS, SECONDS * 1_000, SECONDS])
    assert values == [NOON, None, NOON]
    assert faults == [
        "timestamp in seconds lies outside the years 1900 to 2199 in 1 of 3 rows "
        f"(first: row 2: {SECONDS * 1_000})"
    ]


def test_dates_written_as_numbers_are_not_seconds() -> None:
    with pytest.raises(UnitError, match=r"dates written as numbers \(20260301\).*='%Y%m%d'"):
        read([20260301, 20260302])
    assert read([20260301], time_format="%Y%m%d")[0] == [NOON.replace(hour=0)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00Z",
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00",
        "2026-03-01 12:00:00.000",
        "2026-03-01T12:00",
        "2026-03-01T12:00:00 UTC",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01 14:00:00+0200",
        "2026-03-01T14:00+02",
        " 2026-03-01T07:00:00.000000-05:00 ",
    ],
)
def test_iso_texts_with_and_without_zone(text: str) -> None:
    assert read([text])[0] == [NOON]


def test_texts_with_and_without_zone_may_mix() -> None:
    values = ["2026-03-01T12:00:00Z", "2026-03-01", "2026-03-01 13:00:00.5"]
    assert read(values)[0] == [
        NOON,
        NOON.replace(hour=0),
        NOON.replace(hour=13, microsecond=500_000),
    ]


def test_texts_without_zone_lie_in_the_time_zone() -> None:
    assert read(["2026-03-01 21:00"], time_zone="Asia/Tokyo")[0] == [NOON]
    assert read([datetime(2026, 3, 1, 21)], time_zone="Asia/Tokyo")[0] == [NOON]
    assert read(["2026-03-01T12:00Z"], time_zone="Asia/Tokyo")[0] == [NOON]


def test_hours_that_the_clock_skips_or_repeats_are_told() -> None:
    texts = ["2026-03-29 01:30", "2026-10-25 01:30", "2026-06-01 12:00"]
    values, faults, notes = read(texts, time_zone="Europe/London")
    assert values[0] is None
    assert values[1] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert faults == [
        "timestamp is an hour that the clocks of Europe/London skip in 1 of 3 rows "
        "(first: row 1: '2026-03-29 01:30')"
    ]
    assert notes == (
        "timestamp: 1 of 3 local times occur twice when the clocks of Europe/London go back; "
        "the first was taken",
    )


def test_missing_and_unreadable_times_are_counted_apart() -> None:
    _, faults, _ = read(["2026-03-01", "01/03/2026", None, "", "soon"])
    assert faults == [
        "timestamp is missing in 2 of 5 rows (first: row 3)",
        "timestamp is no ISO 8601 time (give the format with time_format=) in 2 of 5 rows "
        "(first: row 2: '01/03/2026')",
    ]
    _, faults, _ = read([str(SECONDS), "x", ""])
    assert faults == [
        "timestamp is missing in 1 of 3 rows (first: row 3: '')",
        "timestamp is no time in 1 of 3 rows (first: row 2: 'x')",
    ]
    assert read([float("nan"), float(SECONDS)])[1] == [
        "timestamp is missing in 1 of 2 rows (first: row 1: nan)"
    ]
    assert read(["0001-01-01", "2026-03-01"])[1] == [
        "timestamp lies outside the years 1900 to 2199 in 1 of 2 rows (first: row 1: '0001-01-01')"
    ]


def test_a_format_reads_what_is_not_iso() -> None:
    assert read(["01/03/2026 12:00"], time_format="%d/%m/%Y %H:%M")[0] == [NOON]
    assert read(["3/1/2026 7:00 -0500"], time_format="%m/%d/%Y %H:%M %z")[0] == [NOON]
    faults = read(["01/03/2026", "x"], time_format="%d/%m/%Y")[1]
    assert faults == [
        "timestamp does not match time_format='%d/%m/%Y' in 1 of 2 rows (first: row 2: 'x')"
    ]


def test_dates_and_datetimes() -> None:
    assert read([date(2026, 3, 1)])[0] == [NOON.replace(hour=0)]
    units: tuple[Literal["ms", "us", "ns"], ...] = ("ms", "us", "ns")
    for unit in units:
        zoned = pl.Series("ts", [NOON]).cast(pl.Datetime(unit, "Europe/Paris"))
        assert read(zoned)[0] == [NOON]


def test_float32_is_told_to_be_too_coarse() -> None:
    notes = read(pl.Series("ts", [SECONDS], dtype=pl.Float32))[2]
    assert notes[0].startswith("timestamp is Float32, in which neighbouring values of today lie")


def test_impossible_settings_and_columns() -> None:
    with pytest.raises(ConfigError, match="unknown unit 'sec'; known: s, ms, us, ns"):
        read([1], unit="sec")
    with pytest.raises(ConfigError, match="unknown time zone 'Mars'"):
        read([1], time_zone="Mars")
    with pytest.raises(UnitError, match="unit='s' was given, but column 'ts' holds no numbers"):
        read(["2026-03-01"], unit="s")
    with pytest.raises(DataError, match="expected times as numbers, text, .* found Boolean"):
        read([True])
