"""Values: single things that a client sent, read strictly and shown safely in messages."""

import difflib
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from recency.errors import DataError, UnitError
from recency.units import MICROSECONDS, epoch_unit, format_instant, parse_instant

Unit = Literal["s", "ms", "us"]
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

_LARGEST = 3.4e38  # of 32 bits, in which models hold numbers


def to_instant(value: object, unit: Unit = "us") -> int:
    """Turn ISO 8601 text or a number in ``unit`` into microseconds since 1970 UTC.

    Raises:
        UnitError: the number's size speaks for another unit.
        DataError: it is no instant.
    """
    if isinstance(value, str):
        return _within_reach(parse_instant(value))
    if not _is_finite(value):
        raise DataError(
            f"expected ISO 8601 text such as 2026-03-01T09:00Z or a number, found {shown(value)}."
        )
    if (looks := epoch_unit(value)) != unit and value:
        hint = f", or name the unit in the address: ?unit={looks}" if looks != "ns" else ""
        raise UnitError(
            f"a number here counts {_UNIT_NAMES[unit]} since 1970 UTC, but {shown(value)} looks "
            f"like {_UNIT_NAMES[looks]}. Send ISO 8601 text{hint}."
        )
    if unit == "us" and value != int(value):
        raise DataError(f"microseconds are whole, found {value!r}.")
    return _within_reach(round(value * MICROSECONDS[unit]))


def _within_reach(instant: int) -> int:
    """Refuse here what the model would take for another unit, once the event is kept."""
    try:
        return parse_instant(instant)
    except UnitError:
        raise DataError(
            f"instants within four months of 1970 and those after 2262 are taken for a wrong "
            f"unit, found {format_instant(instant)}."
        ) from None


def _is_finite(value: object) -> TypeGuard[int | float]:
    # The bound comes first: an integer too large for a float cannot be asked whether it is finite.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and math.isfinite(value)
    )


def number(name: str, value: object, faults: list[str]) -> float | None:
    """Give a finite number or None; note a fault for anything else."""
    if value is None:
        return None
    if not _is_finite(value):
        faults.append(f"{name} must be a finite number, found {shown(value)}.")
        return None
    if abs(value) > _LARGEST:  # a model would take it for infinite
        faults.append(f"{name} must lie between -3.4e38 and 3.4e38, found {shown(value)}.")
        return None
    return float(value)


def unknown_fields(raw: Mapping[Any, Any], known: tuple[str, ...], advice: str) -> list[str]:
    """List a fault for each field that has no meaning here, with the name that may be meant."""
    faults = []
    for name in raw:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{advice}."
            faults.append(f"unknown field {shown(name)}; {hint}")
    return faults


def shown(value: object) -> str:
    """Show a value that a client sent: as JSON would name it, and never more than a line of it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else "an integer of more than 30 digits"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:40]!r}… ({len(value):,} characters)"
    return repr(value)[:60]
