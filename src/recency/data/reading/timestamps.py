"""Timestamps: numbers, texts, dates and datetimes into instants in microseconds UTC.

Decisions: the unit of numbers is guessed from their median and checked against what the caller
says, because a log read as seconds that holds milliseconds trains without a complaint and is wrong.
Texts are ISO 8601, with or without zone, unless a format is given: ``03/04/2026`` has two meanings.
A time without a zone lies in ``time_zone``. Integers stay integers on the whole way; digits finer
than a microsecond are cut.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from recency.data.conversion import Column, fault
from recency.data.log import TIME
from recency.errors import ConfigError, DataError, UnitError
from recency.units import epoch_unit

UNITS = ("s", "ms", "us", "ns")
_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_YEAR = 31_556_952  # seconds, mean Gregorian
# Seconds since 1970 of 1900-01-01 and 2200-01-01. Outside lies a mistake, not an event.
_EARLIEST, _LATEST = -2_208_988_800, 7_258_118_400
_LIKELY = 631_152_000  # 1990: few logs are older
_ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ZONE = r"(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})$"


@dataclass(frozen=True)
class Instants:
    """Hold converted times.

    Attributes:
        column: Datetime in microseconds UTC, null where a fault is reported.
        unit: Unit of the numbers; None where the source held no numbers.
    """

    column: Column
    unit: str | None


def to_instants(
    raw: pl.Series,
    name: str = "timestamp",
    *,
    unit: str | None = None,
    time_zone: str = "UTC",
    time_format: str | None = None,
) -> Instants:
    """Turn a column into instants.

    Args:
        raw: Integers or floats since 1970 UTC, text, dates or datetimes.
        name: What messages call the column.
        unit: ``s``, ``ms``, ``us`` or ``ns``; None guesses from the values.
        time_zone: IANA zone of texts, dates and datetimes that name none.
        time_format: strftime format of texts that are not ISO 8601.

    Returns:
        Instants in microseconds UTC. Missing, unreadable and impossible times are faults.

    Raises:
        UnitError: the numbers are in another unit than said.
        ConfigError: an unknown unit or time zone.
        DataError: the column holds no times at all.
    """
    _check_settings(unit, time_zone)
    text = raw.cast(pl.String) if raw.dtype in (pl.Categorical, pl.Enum, pl.Null) else raw
    if time_format is not None and (text.dtype == pl.String or text.dtype.is_integer()):
        return Instants(_from_format(text.cast(pl.String), name, time_format, time_zone), None)
    if text.dtype == pl.String:
        numbers = _numbers(text)
        if numbers is None:
            _refuse_unit(unit, raw)
            return Instants(_from_iso(text, name, time_zone), None)
        return _from_numbers(numbers, text, name, unit)
    if raw.dtype.is_numeric():
        return _from_numbers(raw, raw, name, unit)
    if raw.dtype == pl.Date or isinstance(raw.dtype, pl.Datetime):
        _refuse_unit(unit, raw)
        return Instants(_from_datetimes(raw, name, time_zone), None)
    raise DataError(
        f"expected times as numbers, text, dates or datetimes, found {raw.dtype} in column "
        f"{raw.name!r}; name another column or convert it."
    )


def _check_settings(unit: str | None, time_zone: str) -> None:
    if unit is not None and unit not in UNITS:
        raise ConfigError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}.")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"unknown time zone {time_zone!r}; expected an IANA name such as 'Europe/London'."
        ) from None


def _refuse_unit(unit: str | None, raw: pl.Series) -> None:
    if unit is not None and raw.null_count() < len(raw):
        raise UnitError(
            f"unit={unit!r} was given, but column {raw.name!r} holds no numbers "
            f"(first value: {raw.drop_nulls()[0]!r}). Leave unit out."
        )


def _numbers(text: pl.Series) -> pl.Series | None:
    """Read text as numbers if half of it is, or more; None where it is something else."""
    present = text.str.strip_chars() != ""
    n_present = int(present.sum() or 0)
    if n_present and bool(text.str.contains(r"^\s*-?\d+\s*$").fill_null(True).all()):
        return text.str.strip_chars().str.to_integer(strict=False)
    numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
    usable = int(numbers.is_finite().sum() or 0)
    return numbers if usable and 2 * usable >= n_present else None


def _from_numbers(numbers: pl.Series, raw: pl.Series, name: str, unit: str | None) -> Instants:
    if numbers.dtype.is_float():
        numbers = numbers.fill_nan(None)
    unit, notes = _checked_unit(numbers, name, unit)
    per_second = _PER_SECOND[unit]
    missing = _is_missing(raw)
    readable = numbers.is_not_null()
    in_range = (numbers >= _EARLIEST * per_second) & (numbers < _LATEST * per_second)
    beyond = (readable & ~in_range).fill_null(False)
    usable = pl.select(pl.when(~beyond).then(numbers)).to_series()
    faults = fault(f"{name} is missing", missing, raw)
    faults += fault(f"{name} is no time", ~missing & ~readable, raw)
    faults += fault(f"{name} in {_WORDS[unit]} lies outside the years 1900 to 2199", beyond, raw)
    if numbers.dtype == pl.Float32:
        notes += (
            f"{name} is Float32, in which neighbouring values of today lie 128 s apart; "
            "write the column as Int64 or Float64",
        )
    return Instants(Column(_microseconds(usable, unit).cast(TIME), faults, notes), unit)


def _microseconds(numbers: pl.Series, unit: str) -> pl.Series:
    if numbers.dtype.is_float():
        scaled = numbers.cast(pl.Float64) * (1_000_000 / _PER_SECOND[unit])
        return scaled.round().cast(pl.Int64)
    whole = numbers.cast(pl.Int64)
    return whole // 1_000 if unit == "ns" else whole * (1_000_000 // _PER_SECOND[unit])


def _checked_unit(numbers: pl.Series, name: str, unit: str | None) -> tuple[str, tuple[str, ...]]:
    """Guess the unit from the median, and compare it with the unit said."""
    sample = numbers.drop_nulls().gather_every(max(1, len(numbers) // 10_000))
    middle = sample.cast(pl.Float64).median()
    if middle is None:
        return unit or "s", ()
    median = float(middle)  # type: ignore[arg-type]  # of a number column, hence a number
    guess = epoch_unit(median)
    if unit is None:
        _refuse_calendar_numbers(numbers, median)
        if abs(median) < 1e8:
            note = (
                f"{name} has the median {median:,.0f}, taken as seconds since 1970; "
                f"pass unit= if these are relative times in another unit"
            )
            return guess, (note,)
        return guess, ()
    at = median / _PER_SECOND[unit]
    guessed_at = median / _PER_SECOND[guess]
    impossible = not _EARLIEST <= at < _LATEST
    year = f"{1970 + at / _YEAR:.0f}" if abs(at) < 8_000 * _YEAR else f"{1970 + at / _YEAR:,.0f}"
    if impossible or (guess != unit and _LIKELY <= guessed_at < _LATEST):
        raise UnitError(
            f"column {numbers.name!r} looks like {_WORDS[guess]} (median {median:.3g}) but "
            f"unit={unit!r} was given, which would place events near the year {year}. "
            f"Pass unit={guess!r}."
        )
    return unit, ()


def _refuse_calendar_numbers(numbers: pl.Series, median: float) -> None:
    """Refuse 20260301: as seconds it would be an August day of 1970."""
    if not 19_000_101 <= median <= 21_991_231:
        return
    texts = numbers.drop_nulls().head(1_000).cast(pl.Int64).cast(pl.String)
    if texts.str.to_date("%Y%m%d", strict=False).null_count() == 0:
        raise UnitError(
            f"column {numbers.name!r} looks like dates written as numbers ({texts[0]}), "
            f"not like a count since 1970. Pass time_format='%Y%m%d'."
        )


def _from_iso(text: pl.Series, name: str, time_zone: str) -> Column:
    plain = text.str.strip_chars().str.replace(r" ?(z|UTC|GMT)$", "Z")
    plain = plain.str.replace(r"(\d)[Tt](\d)", "${1} ${2}")
    zoned = plain.str.contains(r":\d{2}(\.\d+)? ?" + _ZONE).fill_null(False)
    local = pl.select(pl.when(~zoned).then(plain)).to_series()
    naive = _parse(local, _ISO_FORMATS)
    parts = [_in_zone(naive, time_zone)]
    if zoned.any():
        offsets = pl.select(pl.when(zoned).then(plain)).to_series().str.replace(" ?Z$", "+00:00")
        offsets = offsets.str.replace(r" ?([+-]\d{2})$", "${1}00").str.replace(r" ([+-]\d)", "${1}")
        parts.append(_parse(offsets, ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z"), zoned=True))
    instants = parts[0]
    for part in parts[1:]:
        instants = pl.select(pl.coalesce(instants, part)).to_series()
    what = f"{name} is no ISO 8601 time (give the format with time_format=)"
    return _judged(instants, text, naive, time_zone, name, what)


def _from_format(text: pl.Series, name: str, time_format: str, time_zone: str) -> Column:
    what = f"{name} does not match time_format={time_format!r}"
    if "%z" in time_format or "%:z" in time_format:
        instants = _parse(text, (time_format,), zoned=True)
        return _judged(instants, text, None, time_zone, name, what)
    naive = _parse(text, (time_format,))
    return _judged(_in_zone(naive, time_zone), text, naive, time_zone, name, what)


def _from_datetimes(raw: pl.Series, name: str, time_zone: str) -> Column:
    zone = raw.dtype.time_zone if isinstance(raw.dtype, pl.Datetime) else None
    if zone is not None:
        instants, naive = raw.dt.convert_time_zone("UTC").cast(TIME), None
    else:
        naive = raw.cast(pl.Datetime("us"))
        instants = _in_zone(naive, time_zone)
    return _judged(instants, raw, naive, time_zone, name, f"{name} is no time")


def _parse(text: pl.Series, formats: tuple[str, ...], *, zoned: bool = False) -> pl.Series:
    """Try one format after the other on the texts that are still unread."""
    kind = TIME if zoned else pl.Datetime("us")
    found: pl.Series | None = None
    for form in formats:
        parsed = text.str.to_datetime(form, time_unit="us", strict=False).cast(kind)
        found = parsed if found is None else pl.select(pl.coalesce(found, parsed)).to_series()
        if found.null_count() == text.null_count():
            break
    assert found is not None
    return found


def _in_zone(naive: pl.Series, time_zone: str) -> pl.Series:
    local = naive.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _judged(
    instants: pl.Series,
    raw: pl.Series,
    naive: pl.Series | None,
    time_zone: str,
    name: str,
    what: str,
) -> Column:
    """Report what could not be read, what the clock skipped, and what it showed twice."""
    missing = _is_missing(raw)
    skipped = instants.is_null() & (naive if naive is not None else instants).is_not_null()
    unread = instants.is_null() & ~missing & ~skipped
    seconds = instants.dt.epoch("s")
    beyond = ((seconds < _EARLIEST) | (seconds >= _LATEST)).fill_null(False)
    faults = fault(f"{name} is missing", missing, raw)
    faults += fault(what, unread, raw)
    faults += fault(f"{name} is an hour that the clocks of {time_zone} skip", skipped, raw)
    faults += fault(f"{name} lies outside the years 1900 to 2199", beyond, raw)
    notes: tuple[str, ...] = ()
    if naive is not None and time_zone != "UTC":
        later = naive.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
        twice = int((later.dt.convert_time_zone("UTC") != instants).sum() or 0)
        if twice:
            notes = (
                f"{name}: {twice:,} of {len(raw):,} local times occur twice when the clocks of "
                f"{time_zone} go back; the first was taken",
            )
    values = instants.set(beyond, None) if faults else instants
    return Column(values.alias(raw.name), faults, notes)


def _is_missing(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        return (raw.is_null() | (raw.str.strip_chars() == "")).fill_null(True)
    if raw.dtype.is_float():
        return raw.is_null() | raw.is_nan().fill_null(False)
    return raw.is_null()
