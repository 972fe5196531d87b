"""Question checks: turn a query string or a JSON body into a question, with every fault named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from starlette.datastructures import QueryParams

from recency.asking.selection import Selection, SelectionArgs
from recency.data.vocab import Id
from recency.errors import DataError
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.rule_checks import (
    FLAGS,
    LISTS,
    NUMBERS,
    RULE_FIELDS,
    boosts_in_text,
    rules_of,
)
from recency.serving.http.terms import TERM_FIELDS, Terms
from recency.serving.intake.event_checks import EventChecks
from recency.serving.intake.values import Unit, number, shown, unknown_fields
from recency.serving.questions import Question, Row

QUERY_FIELDS = (
    "k",
    "at",
    "repeats",
    "categories",
    "candidates",
    "exclude",
    *RULE_FIELDS,
    "details",
    "unit",
    *TERM_FIELDS,
)
BODY_FIELDS = (
    "user_id",
    "history",
    "liked",
    "k",
    "at",
    "repeats",
    "categories",
    "candidates",
    "exclude",
    *RULE_FIELDS,
    "details",
    "unit",
    *TERM_FIELDS,
)
VISIT_FIELDS = ("item_id", "timestamp", "event_type", "value")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_UNITS = get_args(Unit)
_NO_RULES = frozenset({"user_id", "history", "k", "at", "details", "unit", *TERM_FIELDS})
_PLAIN = Selection()
_OFFSET = re.compile(r"(?<=:\d\d) (\d\d:?\d\d)$")


@dataclass(frozen=True)
class Asked:
    """Hold a question, whether the answer should describe the items, and on which terms."""

    question: Question
    details: bool
    terms: Terms = Terms()


@dataclass
class Reader:
    """Read the fields of one request, and note what is wrong with them.

    Args:
        raw: Names and values, typed as in JSON.
        checks: Knows ids, clock and limits.
        faults: What is wrong so far.
    """

    raw: Mapping[str, Any]
    checks: EventChecks
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, detail: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(name, detail))

    def finish(self) -> None:
        """Refuse the request if there is any fault.

        Raises:
            Problem: 422, with all faults.
        """
        if self.faults:
            listed = " ".join(f"{one.field}: {one.detail}" for one in self.faults)
            raise Problem(422, "invalid-request", listed, self.faults)

    def known_only(self, names: tuple[str, ...]) -> None:
        """Refuse names that have no meaning here."""
        advice = f"known are {', '.join(names)}"
        for name, text in zip(
            [one for one in self.raw if one not in names],
            unknown_fields(self.raw, names, advice),
            strict=True,
        ):
            self.fault(str(name)[:80], text)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number within bounds."""
        value = self.raw.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(
                name, f"expected a whole number from {low:,} to {high:,}, found {shown(value)}."
            )
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Read true or false."""
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(name, f"expected true or false, found {shown(value)}.")
            return default
        return value

    def terms(self) -> Terms:
        """Read what must have been seen, by when to answer, and whether to say why."""
        return Terms(
            self.integer("min_seq", 0, 0, 2**53),
            self.integer("timeout_ms", 0, 1, 60_000),
            self.flag("explain", False),
        )

    def unit(self) -> Unit:
        """Read the unit of instants that are numbers."""
        value = self.raw.get("unit", "us")
        if value not in _UNITS:
            self.fault("unit", f"expected {', '.join(_UNITS)}, found {shown(value)}.")
            return "us"
        return cast(Unit, value)

    def instant(self, name: str, unit: Unit, raw: Mapping[str, Any] | None = None) -> int | None:
        """Read an instant; it may lie in the future."""
        value = (self.raw if raw is None else raw).get(name)
        if value is None:
            return None
        try:
            return self.checks.time(value, unit, future=True)
        except DataError as error:
            self.fault(name, str(error))
            return None

    def names(self, name: str) -> tuple[str, ...] | None:
        """Read a list of texts."""
        values = self._list(name)
        if values is None:
            return None
        if not all(isinstance(one, str) and one for one in values):
            self.fault(name, "expected a list of texts, none of them empty.")
        return tuple(one for one in values if isinstance(one, str))

    def items(self, name: str) -> tuple[Id, ...] | None:
        """Read a list of item ids."""
        values = self._list(name)
        if values is None:
            return None
        found: list[Id] = []
        for n, one in enumerate(values):
            try:
                found.append(self.checks.item(one))
            except DataError as error:
                self.fault(f"{name}[{n}]", str(error))
                if len(self.faults) >= 20:  # enough to see what is wrong
                    break
        return tuple(found)

    def history(self, unit: Unit) -> tuple[Row, ...] | None:
        """Read the events of somebody without a name."""
        values = self._list("history", self.checks.limits.history)
        if values is None:
            return None
        return tuple(self._visit(f"history[{n}]", one, unit) for n, one in enumerate(values))

    def _visit(self, where: str, raw: object, unit: Unit) -> Row:
        if not isinstance(raw, Mapping):
            self.fault(where, f"expected an object, found {shown(raw)}.")
            return {}
        faults = unknown_fields(raw, VISIT_FIELDS, f"known are {', '.join(VISIT_FIELDS)}")
        row: dict[str, Any] = {"value": number("value", raw.get("value"), faults)}
        for name, read in (("item_id", self.checks.item), ("timestamp", self._past(unit))):
            try:
                if raw.get(name) is None:
                    raise DataError("is missing.")
                row[name] = read(raw[name])
            except DataError as error:
                faults.append(f"{name}: {error}")
        kind = raw.get("event_type")
        if kind is not None and not isinstance(kind, str):
            faults.append(f"event_type must be text, found {shown(kind)}.")
        row["event_type"] = kind
        if faults:
            self.fault(where, " ".join(faults))
        return row

    def _past(self, unit: Unit) -> Any:
        return lambda value: self.checks.time(value, unit)

    def _list(self, name: str, longest: int | None = None) -> Sequence[object] | None:
        values = self.raw.get(name)
        if values is None:
            return None
        longest = self.checks.limits.ids if longest is None else longest
        if not isinstance(values, list):
            self.fault(name, f"expected a list, found {shown(values)}.")
            return None
        if len(values) > longest:
            self.fault(name, f"expected at most {longest:,}, found {len(values):,}.")
            return None
        return values


def asked_in_query(user: str, query: QueryParams, checks: EventChecks) -> Asked:
    """Read a question about a user from an address.

    Raises:
        Problem: 422, with all faults.
    """
    reader = query_reader(query, checks)
    reader.known_only(QUERY_FIELDS)
    try:
        who: Id | None = checks.user(user)
    except DataError as error:
        reader.fault("user_id", str(error))
        who = None
    return asked_by(reader, who, None)


def asked_in_body(raw: Mapping[str, Any], checks: EventChecks) -> Asked:
    """Read a question about a user or a history from a JSON body.

    Raises:
        Problem: 422, with all faults.
    """
    reader = Reader(raw, checks)
    reader.known_only(BODY_FIELDS)
    who: Id | None = None
    if (raw.get("user_id") is None) == (raw.get("history") is None):
        reader.fault("history", "expected either a user_id or a history, which may be empty.")
    if raw.get("user_id") is not None:
        try:
            who = checks.user(raw["user_id"])
        except DataError as error:
            reader.fault("user_id", str(error))
    unit = reader.unit()
    return asked_by(reader, who, reader.history(unit))


def query_reader(query: QueryParams, checks: EventChecks) -> Reader:
    """Give a reader of an address, whose texts become numbers and flags where they look so."""
    reader = Reader({}, checks)
    raw: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name in LISTS:
            raw.setdefault(name, []).extend(one for one in value.split(",") if one)
        elif name == "boost":
            raw.setdefault(name, {}).update(boosts_in_text(value, reader.fault))
        elif name in raw:
            reader.fault(name, "is given more than once.")
        elif name in ("repeats", "details", "explain", "validate_only", *FLAGS):
            raw[name] = _FLAGS.get(value.lower(), value)
        elif name == "at":
            # In an address a plus stands for a space; here it began the offset of a time zone.
            raw[name] = _number(_OFFSET.sub(r"+\1", value))
        elif name in ("k", *NUMBERS, "limit", "after", "min_seq", "timeout_ms"):
            raw[name] = _number(value)
        else:
            raw[name] = value
    reader.raw = raw
    return reader


def asked_by(reader: Reader, user: Id | None, history: tuple[Row, ...] | None) -> Asked:
    """Read what all questions share.

    Raises:
        Problem: 422, with all faults.
    """
    unit = reader.unit()
    at = reader.instant("at", unit)
    if at is not None:
        late = [n for n, row in enumerate(history or ()) if row.get("timestamp", at - 1) >= at]
        if late:
            reader.fault(
                f"history[{late[0]}]", "lies at or after 'at'; only what came before counts."
            )
    rules: SelectionArgs = {}
    if not reader.raw.keys() <= _NO_RULES:
        rules = rules_of(reader.raw, reader.fault)
        rules["repeats"] = reader.flag("repeats", True)
        rules["candidates"] = reader.items("candidates")
        rules["exclude"] = reader.items("exclude") or ()
        rules["categories"] = reader.names("categories")
    k = reader.integer("k", 10, 1, reader.checks.limits.k)
    details, terms = reader.flag("details", False), reader.terms()
    reader.finish()
    selection = Selection(**rules) if rules else _PLAIN
    return Asked(Question(user, history, k, at, selection), details, terms)


def _number(text: str) -> int | float | str:
    """Give the number that a text is; the text itself where it is none."""
    digits = text[1:] if text[:1] == "-" else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= 30:
        return int(text)
    if digits.replace(".", "", 1).isdecimal() and len(digits) <= 30:
        return float(text)
    return text
