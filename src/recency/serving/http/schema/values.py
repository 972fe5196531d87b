"""Values that many bodies share."""

from typing import Annotated

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


class Body(BaseModel):
    """Be a body whose every field is known."""

    model_config = ConfigDict(extra="forbid")


class AsOf(Body):
    """The last event that an answer saw."""

    seq: int = Field(description="Its place in the event log; 0 before the first one")
    time: Text | None = Field(description="Newest instant of any event known")
