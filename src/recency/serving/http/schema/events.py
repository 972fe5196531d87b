"""Bodies about events."""

from typing import Any, Literal

from pydantic import Field

from recency.serving.http.schema.values import AsOf, Body, Id, Instant


class EventIn(Body):
    """Something a user did."""

    user_id: Id | None = Field(None, description="Needed, or else an anonymous_id")
    anonymous_id: Id | None = Field(None, description="Who it was, while nobody is known yet")
    item_id: Id
    timestamp: Instant | None = Field(None, description="Left out: the time of arrival")
    event_type: str | None = Field(None, examples=["click"])
    value: float | None = Field(None, description="A rating, a price, seconds watched")
    session_id: Id | None = None
    event_id: Id | None = Field(
        None, description="Your own id: it makes sending the same event twice harmless"
    )
    context: dict[str, Any] | None = Field(None, description="Kept with the event, not used")
    recommendation_id: str | None = Field(None, description="Of the answer that led to it")
    impression: list[Id] | None = Field(None, description="Items that were shown")


class EventOutcome(Body):
    """What became of one event, in the order sent."""

    event_id: str | None = Field(description="Yours, or the one it was given; null if it has none")
    status: Literal["accepted", "duplicate", "rejected"]
    seq: int | None = Field(None, description="Its place in the event log")
    error: str | None = Field(None, description="All that is wrong with it")


class EventsAnswer(Body):
    """What became of the events. Accepted ones are on the disk and seen by the next answer."""

    accepted: int
    duplicate: int = Field(description="Known by their event_id; nothing was done")
    rejected: int
    results: list[EventOutcome]
    as_of: AsOf
    model_version: str
