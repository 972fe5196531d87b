"""Item checks: turn what a client says about an item into its stored description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from recency.errors import DataError
from recency.serving.intake.event_checks import EventChecks
from recency.serving.intake.values import Unit, number, shown, to_instant, unknown_fields
from recency.serving.log.events import ItemChange, Outcome

# As they are stored: instants are microseconds.
ITEM_COLUMNS: dict[str, type[pl.DataType] | pl.DataType] = {
    "title": pl.String,
    "text": pl.String,
    "categories": pl.List(pl.String),
    "price": pl.Float64,
    "available_from": pl.Int64,
    "expires_at": pl.Int64,
    "is_hidden": pl.Boolean,
    "in_stock": pl.Boolean,
    "domain": pl.String,
}
ITEM_FIELDS = ("item_id", *ITEM_COLUMNS)
_TEXT_LENGTH = 20_000  # characters
_CATEGORIES = 100


@dataclass(frozen=True)
class ItemChecks:
    """Check descriptions of items.

    Args:
        events: Knows what an item's id may be.
    """

    events: EventChecks

    def check(self, raw: object, unit: Unit = "us") -> ItemChange | Outcome:
        """Give the description to store, or an outcome that says what is wrong with it."""
        if not isinstance(raw, Mapping):
            return Outcome(
                None, "rejected", error=f"an item must be an object, found {shown(raw)}."
            )
        faults = unknown_fields(raw, ITEM_FIELDS, f"known are {', '.join(ITEM_FIELDS)}")
        found: dict[str, Any] = {}
        if raw.get("item_id") is None:
            faults.append("item_id is missing.")
        else:
            try:
                found["item_id"] = self.events.item(raw["item_id"])
            except DataError as error:
                faults.append(str(error))
        found["title"] = _text("title", raw.get("title"), faults)
        found["text"] = _text("text", raw.get("text"), faults)
        found["categories"] = _categories(raw.get("categories"), faults)
        found["price"] = number("price", raw.get("price"), faults)
        found["domain"] = _text("domain", raw.get("domain"), faults)
        for name in ("is_hidden", "in_stock"):
            found[name] = _flag(name, raw.get(name), faults)
        for name in ("available_from", "expires_at"):
            found[name] = _instant(name, raw.get(name), unit, faults)
        start, end = found["available_from"], found["expires_at"]
        if start is not None and end is not None and end < start:
            faults.append("expires_at must not lie before available_from.")
        if faults:
            return Outcome(None, "rejected", error=" ".join(faults))
        known = {name: value for name, value in found.items() if value is not None}
        return ItemChange(found["item_id"], msgspec.json.encode(known).decode())


def _text(name: str, value: object, faults: list[str]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        faults.append(f"{name} must be text, found {shown(value)}.")
        return None
    if len(value) > _TEXT_LENGTH:
        faults.append(f"{name} may have at most {_TEXT_LENGTH:,} characters, found {len(value):,}.")
        return None
    return value


def _flag(name: str, value: object, faults: list[str]) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    faults.append(f"{name} must be true or false, found {shown(value)}.")
    return None


def _categories(value: object, faults: list[str]) -> list[str] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
        faults.append(f"categories must be a list of texts, found {shown(value)}.")
        return None
    if len(names) > _CATEGORIES:
        faults.append(f"categories may be at most {_CATEGORIES}, found {len(names):,}.")
        return None
    return names


def _instant(name: str, value: object, unit: Unit, faults: list[str]) -> int | None:
    if value is None:
        return None
    try:
        return to_instant(value, unit)
    except DataError as error:
        faults.append(f"{name}: {error}")
        return None
