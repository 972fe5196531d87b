"""Bodies about items."""

from typing import Literal

from pydantic import ConfigDict, Field

from recency.serving.http.schema.values import AsOf, Body, Id, Instant, Text


class ItemPartIn(Body):
    """What is known about the item of an address."""

    item_id: Id | None = Field(None, description="As in the address, or left out")
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: Instant | None = None
    expires_at: Instant | None = None
    is_hidden: bool | None = Field(None, description="Never give it")
    in_stock: bool | None = Field(None, description="false: do not give it unless asked for")
    domain: str | None = Field(None, description="Part of the house, such as a shop or a language")


class ItemIn(ItemPartIn):
    """What is known about an item; replaces what was known."""

    item_id: Id


class ItemOutcome(Body):
    """What became of one item, in the order sent."""

    item_id: Id | None
    status: Literal["accepted", "rejected"]
    error: str | None = None


class ItemsAnswer(Body):
    """What became of the items."""

    accepted: int
    rejected: int
    results: list[ItemOutcome]
    as_of: AsOf
    model_version: str


class ItemTaken(Body):
    """What became of an item."""

    item_id: Id
    status: Literal["accepted", "deleted"]
    as_of: AsOf
    model_version: str


class ItemLine(Body):
    """One item of a list, as it is described."""

    item_id: Id
    model_config = ConfigDict(extra="allow")


class ItemListAnswer(Body):
    """Some items, in the order in which they came."""

    items: list[ItemLine]
    n_items: int
    next_cursor: str | None = Field(description="Pass as cursor= for the next; null at the end")
    as_of: AsOf
    model_version: str


class ItemAnswer(Body):
    """What is known about an item."""

    item_id: Id
    title: str | None = None
    text: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available_from: Text | None = None
    expires_at: Text | None = None
    seen: bool = Field(description="Whether any event names it")
    as_of: AsOf
    model_version: str
    model_config = ConfigDict(extra="allow")  # a catalogue may have further columns
