"""Times and durations: the one place that knows about units.

Inside Recency an instant is an int64 count of microseconds since 1970-01-01 UTC, and a duration is
a float count of seconds. Instants never become float32: near today's epoch two neighbouring float32
values lie 128 s apart.
"""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from recency.errors import DataError, UnitError

Instant = str | datetime | date | int  # what `parse_instant` understands
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
SECOND = 1_000_000
DAY = 86_400 * SECOND

_SECONDS_PER = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
    "y": 31_557_600.0,  # 365.25 days
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|w|y)\s*")
# An integer instant below this is more likely a count of seconds or milliseconds than an event of
# January to April 1970; above the upper bound (year 2262) it is more likely nanoseconds.
_SMALLEST_INSTANT = 10_000_000_000_000
_LARGEST_INSTANT = 9_223_372_036_854_775


def parse_instant(value: Instant, time_zone: str = "UTC") -> int:
    """Turn a person's way of writing an instant into microseconds since 1970 UTC.

    Args:
        value: ISO 8601 text (``2026-03-01``, ``2026-03-01T09:00Z``), a datetime, a date, or an
            integer count of microseconds.
        time_zone: Zone of texts and datetimes that name none.

    Returns:
        Microseconds since 1970-01-01 UTC.

    Raises:
        UnitError: the integer looks like seconds, milliseconds or nanoseconds.
        DataError: the text is not ISO 8601.
    """
    if type(value) is int:  # as all but the first reading gives
        return _checked_microseconds(value)
    if isinstance(value, bool) or not isinstance(value, str | datetime | date | int):
        raise DataError(
            f"expected an instant as ISO 8601 text, datetime, date or integer microseconds, "
            f"found {type(value).__name__} {value!r}."
        )
    if isinstance(value, int):
        return _checked_microseconds(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise DataError(
                f"expected an ISO 8601 instant such as 2026-03-01 or 2026-03-01T09:00Z, "
                f"found {value[:80]!r}."
            ) from None
    elif isinstance(value, datetime):
        moment = value
    else:
        moment = datetime(value.year, value.month, value.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(time_zone))
    # Integer arithmetic: datetime.timestamp() is a float and loses microseconds.
    gap = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (gap.days * 86_400 + gap.seconds) * SECOND + gap.microseconds


def _checked_microseconds(value: int) -> int:
    if 0 < abs(value) < _SMALLEST_INSTANT or abs(value) > _LARGEST_INSTANT:
        unit = epoch_unit(value)
        raise UnitError(
            f"an integer instant is microseconds since 1970 UTC; {value} looks like "
            f"{'nanoseconds' if unit == 'ns' else 'seconds' if unit == 's' else 'milliseconds'}. "
            f"Pass ISO 8601 text or convert it first."
        )
    return value


def format_instant(microseconds: int) -> str:
    """Write an instant as ISO 8601 in UTC, with no more digits than it needs."""
    seconds, rest = divmod(int(microseconds), SECOND)
    days, seconds = divmod(seconds, 86_400)
    try:
        day = date.fromordinal(date(1970, 1, 1).toordinal() + days)
    except (ValueError, OverflowError):
        return f"{microseconds} us"
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{day.isoformat()}T{clock}" + (f".{rest:06}".rstrip("0") if rest else "") + "Z"


def parse_duration(value: str | float) -> float:
    """Turn ``"90s"``, ``"30min"``, ``"7d"``, ``"2w"`` or a number of seconds into seconds.

    Raises:
        DataError: the text is no duration, or the duration is negative or not finite.
    """
    seconds = value
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise DataError(
                f"expected a duration such as '90s', '30min', '1h', '7d' or '2w', found {value!r}."
            )
        seconds = float(match[1]) * _SECONDS_PER[match[2]]
    if not 0 <= float(seconds) < float("inf"):
        raise DataError(f"expected a duration of 0 seconds or more, found {value!r}.")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """Write a duration with its largest fitting unit: ``45 s``, ``3.5 h``, ``12 d``."""
    for unit in ("y", "d", "h", "min"):
        if abs(seconds) >= _SECONDS_PER[unit]:
            return f"{seconds / _SECONDS_PER[unit]:.3g} {unit}"
    return f"{seconds:.3g} s"


def epoch_unit(value: float) -> str:
    """Guess the unit of a count since 1970 from its size: ``s``, ``ms``, ``us`` or ``ns``.

    The borders lie at the year 5138 for seconds and at 1973 for the next finer unit, so that every
    instant between 1973 and 5138 is told apart.
    """
    size = abs(value)
    if size < 1e11:
        return "s"
    if size < 1e14:
        return "ms"
    return "us" if size < 1e17 else "ns"
