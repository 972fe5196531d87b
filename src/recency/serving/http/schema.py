"""Schema: the bodies of the service, as OpenAPI shows them.

These models document; they do not check. A request is checked by `event_checks`, `item_checks` and
`question_checks`, which report all faults at once and take one event while they reject its
neighbour. A test holds every real answer against the model that documents it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[int | str, Field(description="In the type of the log's ids", examples=["u1", 42])]
Instant = Annotated[
    str | int | float,
    Field(
        description="ISO 8601 (UTC where it names no zone), or a number: microseconds since 1970 "
        "UTC unless ?unit= says otherwise",
        examples=["2026-02-01T09:00:00Z"],
    ),
]
Text = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-02-01T09:00:00Z"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EventIn(_Body):
    """Something a user did."""

    user_id: Id
    item_id: Id
    timestamp: Instant | None = Field(None, description="Left out: the time of arrival")
    event_type: str | None = Field(None, examples=["click"])
    value: float | None = Field(None, description="A rating, a price, seconds watched")
    session_id: Id | None = None
    event_id: Id | None = Field(
        None, description="Your own id: it makes sending the same event twice harmless"
    )
    context: dict[str, Any] | None = Field(None, description="Kept with the event, not used")


class ItemIn(_Body):
    """What is known about an item; replaces what was known."""

    item_id: Id
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: Instant | None = None
    expires_at: Instant | None = None


class Visit(_Body):
    """An event of somebody without a name."""

    item_id: Id
    timestamp: Instant
    event_type: str | None = None
    value: float | None = None


class QuestionIn(_Body):
    """A question about a user, or about a history without a name; one of both."""

    user_id: Id | None = None
    history: list[Visit] | None = Field(None, description="Nothing of it is kept")
    k: int = Field(10, ge=1, le=1000)
    at: Instant | None = Field(None, description="Left out: now")
    repeats: bool = Field(True, description="Whether items of the history may come again")
    categories: list[str] | None = Field(None, description="Only items of one of these")
    candidates: list[Id] | None = Field(None, description="Only these items")
    exclude: list[Id] | None = Field(None, description="Never these items")
    details: bool = Field(False, description="Describe each item")
    unit: Literal["s", "ms", "us"] = "us"


class AsOf(_Body):
    """The last event that an answer saw."""

    seq: int = Field(description="Its place in the event log; 0 before the first one")
    time: Text | None = Field(description="Newest instant of any event known")


class EventOutcome(_Body):
    """What became of one event, in the order sent."""

    event_id: str | None = Field(description="Yours, or the one it was given; null if it has none")
    status: Literal["accepted", "duplicate", "rejected"]
    seq: int | None = Field(None, description="Its place in the event log")
    error: str | None = Field(None, description="All that is wrong with it")


class EventsAnswer(_Body):
    """What became of the events. Accepted ones are on the disk and seen by the next answer."""

    accepted: int
    duplicate: int = Field(description="Known by their event_id; nothing was done")
    rejected: int
    results: list[EventOutcome]
    as_of: AsOf
    model_version: str


class ItemOutcome(_Body):
    """What became of one item, in the order sent."""

    item_id: Id | None
    status: Literal["accepted", "rejected"]
    error: str | None = None


class ItemsAnswer(_Body):
    """What became of the items."""

    accepted: int
    rejected: int
    results: list[ItemOutcome]
    as_of: AsOf
    model_version: str


class ItemAnswer(_Body):
    """What is known about an item."""

    item_id: Id
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: Text | None = None
    expires_at: Text | None = None
    seen: bool = Field(description="Whether any event names it; only then it is recommended")
    as_of: AsOf
    model_version: str
    model_config = ConfigDict(extra="allow")  # a catalogue may have further columns


class Scored(BaseModel):
    """One recommended item."""

    model_config = ConfigDict(extra="allow")  # with details=true: the item's description
    item_id: Id
    score: float = Field(description="Higher is better; no scale is promised")


class RecommendationsAnswer(_Body):
    """A ranked list."""

    user_id: Id | None = Field(description="null for a history without a name")
    items: list[Scored] = Field(description="Best first; fewer than k where no more may be given")
    fallback: bool = Field(description="Whether it is what is popular, for lack of a history")
    at: Text = Field(description="Instant of the question: only earlier events count")
    as_of: AsOf
    model_version: str
    notes: list[str] | None = Field(None, description="What of the question could not be used")


class SimilarAnswer(_Body):
    """Items like one item, by the cosine of their vectors."""

    item_id: Id
    items: list[Scored]
    as_of: AsOf
    model_version: str
    notes: list[str] | None = None


class HistoryEvent(_Body):
    """One event of a user."""

    item_id: Id
    timestamp: Text
    event_type: str | None = None
    title: str | None = None


class UserAnswer(_Body):
    """A user's history, oldest first."""

    user_id: Id
    n_events: int = Field(description="All events before 'at'; the list holds the newest of them")
    events: list[HistoryEvent]
    at: Text
    as_of: AsOf
    model_version: str


class UserLine(_Body):
    """One user of a list."""

    user_id: Id
    n_events: int
    newest: Text | None


class UsersAnswer(_Body):
    """Some users, in the order in which they appeared."""

    users: list[UserLine]
    n_users: int
    next_after: int | None = Field(description="Pass as after= for the next ones; null at the end")
    as_of: AsOf
    model_version: str


class ModelLine(_Body):
    """One model."""

    model_version: str
    active: bool
    cut: Text | None = Field(description="End of the events that weights learned from")
    n_users: int
    n_items: int
    as_of: AsOf


class ModelsAnswer(_Body):
    """The models of this server."""

    models: list[ModelLine]


class StateAnswer(_Body):
    """How the server is."""

    status: str
    version: str


class FaultLine(_Body):
    """One thing that is wrong."""

    field: str
    detail: str


class ProblemAnswer(_Body):
    """Any error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable, for programs")
    detail: str = Field(description="What was expected, what was found, what to do")
    instance: str
    errors: list[FaultLine] | None = None
