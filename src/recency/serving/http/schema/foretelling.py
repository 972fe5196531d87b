"""Bodies of what heads are asked and tell."""

from typing import Literal

from pydantic import ConfigDict, Field

from recency.serving.http.schema.values import AsOf, Body, Id, Instant, Text


class ForetellIn(Body):
    """A question about pairs of users and items, or about users."""

    what: Literal["rating", "propensity", "next_time", "basket"]
    users: list[Id] = Field(min_length=1)
    items: list[Id] | None = Field(None, description="One for each user, where pairs are asked")
    event_type: str | None = Field(None, description="Whose chance is asked", examples=["buy"])
    horizon: float | str | None = Field(None, description="Within which it may come")
    horizons: list[float | str] = Field(["1d", "7d", "30d"], description="For next_time")
    k: int = Field(10, ge=1, description="Most items of a basket")
    at: Instant | None = Field(None, description="Left out: now")
    unit: Literal["s", "ms", "us", "ns"] | None = None
    min_seq: int = Field(0, ge=0)
    timeout_ms: int = Field(0, ge=0)


class ForetoldLine(Body):
    """What is told of one user or pair; of a basket, a line for each item."""

    model_config = ConfigDict(extra="allow")  # wait_50, within_7d: named by what was asked
    user_id: Id
    item_id: Id | None = None
    rating: float | None = None
    probability: float | None = None
    rank: int | None = Field(None, description="Of an item of a basket, from 1")
    size: float | None = Field(None, description="Items expected in the basket")
    fallback: bool = Field(description="Whether the user had no event, or the item no vector")


class ForetellAnswer(Body):
    """What heads tell, in the order asked."""

    what: str
    rows: list[ForetoldLine]
    at: Text
    as_of: AsOf
    model_version: str
