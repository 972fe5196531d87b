"""Event checks: turn what a client sent into events, with every fault named.

One event may be rejected while its neighbours are taken. All faults of one event are reported
together; an unknown field is a fault, because a misspelt ``timestamp`` would otherwise be dropped
and replaced by the server's clock.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from recency.data.vocab import Id, Vocab
from recency.errors import DataError
from recency.serving.intake.event_aliases import by_own_names
from recency.serving.intake.values import Unit, number, shown, to_instant, unknown_fields
from recency.serving.limits import Limits
from recency.serving.log.events import Event, Outcome
from recency.units import SECOND, format_duration, format_instant

EVENT_FIELDS = (
    "user_id",
    "anonymous_id",
    "item_id",
    "timestamp",
    "event_type",
    "value",
    "session_id",
    "event_id",
    "context",
    "recommendation_id",
    "impression",
)
_FIELDS = frozenset(EVENT_FIELDS)
_OPTIONAL = _FIELDS - {"user_id", "anonymous_id", "item_id", "timestamp", "event_id"}
_INT64 = 2**63


def wall_clock() -> int:
    """Give the microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@dataclass
class Stamps:
    """Give times and ids to events that came without: each later than the one before."""

    clock: Callable[[], int] = wall_clock
    prefix: str = field(default_factory=lambda: f"r{secrets.token_hex(8)}-")
    _newest: int = 0
    _numbers: "count[int]" = field(default_factory=count)

    def time(self) -> int:
        """Give the clock's time, moved on where it stands still or goes back."""
        self._newest = max(self.clock(), self._newest + 1)
        return self._newest

    def event_id(self) -> str:
        """Give an id that no other start of the server will give."""
        return f"{self.prefix}{next(self._numbers)}"


@dataclass(frozen=True)
class EventChecks:
    """Check events against the ids of one model and the clock of one server.

    Args:
        users, items: Vocabularies whose id type decides what an id may be.
        stamps: Times and ids for events without.
        max_skew: Seconds that an event may lie ahead of the clock.
    """

    users: Vocab
    items: Vocab
    stamps: Stamps
    max_skew: float = 300.0
    limits: Limits = Limits()

    def check(self, raw: object, unit: Unit = "us") -> Event | Outcome:
        """Give the event, or an outcome that says what is wrong with it.

        Args:
            raw: What the client sent, decoded from JSON.
            unit: Unit of a timestamp that is a number.
        """
        if not isinstance(raw, Mapping):
            return Outcome(
                None, "rejected", error=f"an event must be an object, found {shown(raw)}."
            )
        faults: list[str] = []
        if not raw.keys() <= _FIELDS:
            raw = by_own_names(raw, faults)
            advice = "extra fields of your own belong in 'context'"
            faults += unknown_fields(raw, EVENT_FIELDS, advice)
        event_id = self._text_id("event_id", raw.get("event_id"), faults)
        user = self._who(raw, faults)
        item = self._required_id("item_id", raw, self.items, faults)
        instant = self._time(raw.get("timestamp"), unit, faults)
        rest = () if _OPTIONAL.isdisjoint(raw) else self._rest(raw, faults)
        if faults:
            return Outcome(event_id, "rejected", error=" ".join(faults))
        return Event(event_id or self.stamps.event_id(), user, item, instant, *rest)

    def user(self, one: object) -> Id:
        """Give a user's id in the type of this log's ids.

        Raises:
            DataError: it can be no id.
        """
        return self._raising("user_id", one, self.users)

    def item(self, one: object) -> Id:
        """Give an item's id in the type of this log's ids.

        Raises:
            DataError: it can be no id.
        """
        return self._raising("item_id", one, self.items)

    def time(self, value: object, unit: Unit = "us", *, future: bool = False) -> int:
        """Give microseconds since 1970 UTC.

        Args:
            value: ISO 8601 text, or a number in ``unit``.
            unit: Unit of a number.
            future: Whether an instant ahead of the clock may be named.

        Raises:
            DataError: it is no instant, or lies in the future. UnitError: the unit is another.
        """
        instant = to_instant(value, unit)
        ahead = (instant - self.stamps.clock()) / SECOND
        if ahead > self.max_skew and not future:
            raise DataError(
                f"{format_instant(instant)} lies {format_duration(ahead)} ahead of the server's "
                f"clock ({format_instant(self.stamps.clock())}); at most "
                f"{format_duration(self.max_skew)} is allowed. Check the unit, the time zone and "
                f"the sender's clock."
            )
        return instant

    def _raising(self, name: str, one: object, vocab: Vocab) -> Id:
        faults: list[str] = []
        found = self._id(name, one, vocab, faults)
        if found is None:
            raise DataError(faults[0])
        return found

    def _rest(self, raw: Mapping[str, Any], faults: list[str]) -> tuple[Any, ...]:
        """Check the fields that most events lack, in the order of `Event`."""
        return (
            self._event_type(raw.get("event_type"), faults),
            number("value", raw.get("value"), faults),
            self._optional_id("session_id", raw.get("session_id"), faults),
            self._context(raw.get("context"), faults),
            self._text_id("recommendation_id", raw.get("recommendation_id"), faults),
            self._impression(raw.get("impression"), faults),
        )

    def _who(self, raw: Mapping[str, Any], faults: list[str]) -> Id:
        """Give the user's id, or where nobody is known yet, the anonymous one; both are checked."""
        user, anonymous = raw.get("user_id"), raw.get("anonymous_id")
        if user is None and anonymous is None:
            faults.append("user_id is missing.")
            return ""
        found = None if user is None else self._id("user_id", user, self.users, faults)
        if anonymous is not None:
            other = self._id("anonymous_id", anonymous, self.users, faults)
            found = other if user is None else found
        return "" if found is None else found

    def _required_id(
        self, name: str, raw: Mapping[str, Any], vocab: Vocab, faults: list[str]
    ) -> Id:
        one = raw.get(name)
        if one is None:
            faults.append(f"{name} is missing.")
            return ""
        found = self._id(name, one, vocab, faults)
        return "" if found is None else found

    def _optional_id(self, name: str, one: object, faults: list[str]) -> Id | None:
        return None if one is None else self._id(name, one, None, faults)

    def _id(self, name: str, one: object, vocab: Vocab | None, faults: list[str]) -> Id | None:
        if isinstance(one, bool) or not isinstance(one, int | str):
            faults.append(f"{name} must be text or an integer, found {shown(one)}.")
            return None
        if isinstance(one, str) and (fault := self._text_fault(name, one)):
            faults.append(fault)
            return None
        if vocab is not None:
            try:
                one = vocab.coerce(one)
            except DataError as error:
                faults.append(f"{name}: {error}")
                return None
        if isinstance(one, int) and not -_INT64 <= one < _INT64:
            faults.append(f"{name} must fit into 64 bits, found {shown(one)}.")
            return None
        return one

    def _text_fault(self, name: str, text: str) -> str | None:
        if 0 < len(text) <= self.limits.id_length and text.isascii() and "\0" not in text:
            return None
        if not text:
            return f"{name} must not be empty."
        if len(text) > self.limits.id_length:
            return (
                f"{name} may have at most {self.limits.id_length} characters, found {len(text):,}: "
                f"{text[:20]!r}…"
            )
        if "\0" in text:
            return f"{name} must not hold a NUL character, found {shown(text)}."
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return f"{name} must be valid Unicode, found half a surrogate pair: {shown(text)}."
        return None

    def _text_id(self, name: str, one: object, faults: list[str]) -> str | None:
        found = self._optional_id(name, one, faults)
        return None if found is None else str(found)

    def _impression(self, value: object, faults: list[str]) -> str | None:
        """Give the items shown as JSON text, each in the type of this log's ids."""
        if value is None:
            return None
        if not isinstance(value, list):
            faults.append(f"impression must be a list of item ids, found {shown(value)}.")
            return None
        if len(value) > self.limits.impression:
            most = f"{self.limits.impression:,}"
            faults.append(f"impression may name at most {most} items, found {len(value):,}.")
            return None
        ids = [self._id("impression", one, self.items, faults) for one in value]
        return msgspec.json.encode(ids).decode()

    def _event_type(self, one: object, faults: list[str]) -> str | None:
        if one is None:
            return None
        if not isinstance(one, str):
            faults.append(f"event_type must be text such as 'click', found {shown(one)}.")
            return None
        if fault := self._text_fault("event_type", one):
            faults.append(fault)
            return None
        return one

    def _time(self, value: object, unit: Unit, faults: list[str]) -> int:
        if value is None:
            return self.stamps.time()
        try:
            return self.time(value, unit)
        except DataError as error:
            faults.append(f"timestamp: {error}")
            return 0

    def _context(self, value: object, faults: list[str]) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Mapping):
            faults.append(f"context must be an object, found {shown(value)}.")
            return None
        text = msgspec.json.encode(value)
        if len(text) > self.limits.context_bytes:
            most = f"{self.limits.context_bytes:,} bytes of JSON"
            faults.append(f"context may be at most {most}, found {len(text):,}.")
            return None
        return text.decode()


def merged(checked: Sequence[Event | Outcome], kept: Sequence[Outcome]) -> list[Outcome]:
    """Put the outcomes of the events that were kept between those of the rejected ones."""
    rest = iter(kept)
    return [one if isinstance(one, Outcome) else next(rest) for one in checked]
