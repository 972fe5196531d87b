"""Bodies about users."""

from pydantic import Field, RootModel

from recency.serving.http.schema.values import AsOf, Body, Id, Text


class HistoryEvent(Body):
    """One event of a user."""

    item_id: Id
    timestamp: Text
    event_type: str | None = None
    title: str | None = None


class UserAnswer(Body):
    """A user's history, oldest first."""

    user_id: Id
    n_events: int = Field(description="All events before 'at'; the list holds the newest of them")
    events: list[HistoryEvent]
    at: Text
    idle_seconds: float | None = Field(description="From the newest of them to 'at'")
    profile: dict[str, str | float | bool] | None = Field(description="As PUT said it last")
    as_of: AsOf
    model_version: str


class UserLine(Body):
    """One user of a list."""

    user_id: Id
    n_events: int
    newest: Text | None


class UsersAnswer(Body):
    """Some users, in the order in which they appeared."""

    users: list[UserLine]
    n_users: int
    next_cursor: str | None = Field(description="Pass as cursor= for the next; null at the end")
    next_after: int | None = Field(description="The same for after=, which older clients send")
    as_of: AsOf
    model_version: str


class ProfileIn(RootModel[dict[str, str | float | bool | None]]):
    """What is known of a user: texts, numbers and flags by name; nothing is known by null."""


class DescribeAnswer(Body):
    """What became of a profile."""

    user_id: Id = Field(description="The id that it is kept under")
    seq: int = Field(description="Its place in the event log")
    read: list[str] = Field(description="Attributes that the model learned to read")
    left: list[str] = Field(description="Attributes that are kept without effect")
    as_of: AsOf
    model_version: str


class MergeIn(Body):
    """Who a user was before the name was known."""

    anonymous_id: Id


class MergeAnswer(Body):
    """What a merge did."""

    user_id: Id = Field(description="The id that the events are under now")
    anonymous_id: Id
    seq: int = Field(description="Its place in the event log")
    n_events: int = Field(description="Events in the log that became the user's")
    already: bool = Field(description="Whether it was done before")
    as_of: AsOf
    model_version: str


class EraseAnswer(Body):
    """What an erasure did."""

    user_id: Id
    seq: int = Field(description="Place of the tombstone in the event log")
    n_events: int = Field(description="Events deleted from the log")
    already: bool = Field(description="Whether it was done before")
    pending: bool = Field(description="Whether files still hold the id, until the next start")
    as_of: AsOf
    model_version: str
