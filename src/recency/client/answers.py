"""Answers: what a service says, as frozen structs.

Fields that a newer service adds are left aside; those that an older one lacks have their defaults.
"""

from typing import Any

import msgspec

Id = str | int
Json = dict[str, Any]


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """Name the last event that an answer saw.

    Attributes:
        seq: Its place in the event log; 0 before the first one.
        time: Newest instant of any event known, ISO 8601.
    """

    seq: int
    time: str | None = None


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what became of one event.

    Attributes:
        status: ``"accepted"``, ``"duplicate"`` or ``"rejected"``.
        seq: Its place in the event log.
        error: All that is wrong with it.
    """

    event_id: str | None
    status: str
    seq: int | None = None
    error: str | None = None


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what became of the events of one request, in the order sent."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[EventOutcome]
    as_of: AsOf
    model_version: str


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Name an event or item that was not taken.

    Attributes:
        index: Its place among those sent, from 0.
        error: All that is wrong with it.
    """

    index: int
    error: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Sum up what became of many events.

    Attributes:
        duplicate: Known by their ``event_id`` already; nothing was done.
        rejections: The first thousand of those rejected.
        last_seq: Newest place in the log of any of them; 0 for none.
    """

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    rejections: list[Rejection] = []
    last_seq: int = 0


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """Name one recommended item.

    Attributes:
        score: Higher is better; no scale is promised.
        title: With ``details=True``, as the following.
    """

    item_id: Id
    score: float
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: str | None = None
    expires_at: str | None = None


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a ranked list.

    Attributes:
        items: Best first; fewer than asked for where no more may be given.
        user_id: None for a history without a name.
        fallback: Whether it is what is popular, for lack of a history.
        at: Instant of the question: only earlier events count.
        recommendation_id: Names this list, in events that it led to and for `next`.
        took_ms: Milliseconds in the service.
        degraded: Codes of what is amiss with the service; empty if nothing is.
        notes: What of the question could not be used.
        explanation: With ``explain=True``.
    """

    items: list[Scored]
    as_of: AsOf
    model_version: str
    user_id: Id | None = None
    fallback: bool = False
    at: str | None = None
    recommendation_id: str | None = None
    took_ms: float | None = None
    degraded: list[str] = []
    notes: list[str] = []
    explanation: Json | None = None

    @property
    def item_ids(self) -> list[Id]:
        """List the items, best first."""
        return [one.item_id for one in self.items]


class Foretold(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what heads tell.

    Attributes:
        what: As asked.
        rows: One a user or a pair, of a basket one an item, in the order asked; the columns are
            those of the model's own answer.
        at: Instant of the question: only earlier events count.
    """

    what: str
    rows: list[Json]
    at: str
    as_of: AsOf
    model_version: str


class ItemOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what became of one item."""

    item_id: Id | None
    status: str
    error: str | None = None


class ItemsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what became of items, in the order sent."""

    accepted: int
    rejected: int
    results: list[ItemOutcome]
    as_of: AsOf
    model_version: str


class ItemTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what became of an item."""

    item_id: Id
    status: str
    as_of: AsOf
    model_version: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Describe an item.

    Attributes:
        seen: Whether any event names it.
    """

    item_id: Id
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: str | None = None
    expires_at: str | None = None
    seen: bool = False
    as_of: AsOf
    model_version: str


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Hold some items, in the order in which they came.

    Attributes:
        items: As they are described.
        n_items: All there are.
        next_cursor: Asks for what follows; None at the end.
    """

    items: list[Json]
    n_items: int
    next_cursor: str | None = None
    as_of: AsOf
    model_version: str


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Name one event of a user."""

    item_id: Id
    timestamp: str
    event_type: str | None = None
    title: str | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Show a user's history, oldest first.

    Attributes:
        n_events: All of them; ``events`` holds the newest.
        profile: What was said of the user; None for nothing.
    """

    user_id: Id
    n_events: int
    events: list[HistoryEvent]
    at: str
    as_of: AsOf
    model_version: str
    profile: dict[str, str | float | bool] | None = None


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """Say what became of a profile.

    Attributes:
        user_id: The id that it is kept under.
        seq: Its place in the event log.
        read: Attributes that the model learned to read.
        left: Attributes that are kept without effect.
    """

    user_id: Id
    seq: int
    read: list[str]
    left: list[str]
    as_of: AsOf
    model_version: str


class UserLine(msgspec.Struct, frozen=True, kw_only=True):
    """Name one user of a list."""

    user_id: Id
    n_events: int
    newest: str | None = None


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Hold some users, in the order in which they appeared.

    Attributes:
        n_users: All there are.
        next_cursor: Asks for what follows; None at the end.
    """

    users: list[UserLine]
    n_users: int
    next_cursor: str | None = None
    as_of: AsOf
    model_version: str


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what a merge did.

    Attributes:
        n_events: Events that became the user's.
        already: Whether it was done before.
    """

    user_id: Id
    anonymous_id: Id
    seq: int
    n_events: int = 0
    already: bool = False
    as_of: AsOf


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what an erasure did.

    Attributes:
        n_events: Events deleted from the log.
        already: Whether it was done before.
        pending: Whether files still hold the id, until the next start.
    """

    user_id: Id
    seq: int
    n_events: int = 0
    already: bool = False
    pending: bool = False
    as_of: AsOf


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one model of a service."""

    model_version: str
    active: bool = False
    cut: str | None = None
    n_users: int | None = None
    n_items: int | None = None


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """List the models of a service."""

    models: list[Model]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Say that a service takes events."""

    status: str
    version: str
