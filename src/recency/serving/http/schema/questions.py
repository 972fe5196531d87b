"""Bodies of questions and ranked lists."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from recency.serving.http.schema.values import AsOf, Body, Id, Instant, Text


class Visit(Body):
    """An event of somebody without a name."""

    item_id: Id
    timestamp: Instant
    event_type: str | None = None
    value: float | None = None


class VisitIn(Body):
    """An event of a visit, in the shape in which events are posted."""

    item_id: Id
    timestamp: Instant | None = Field(None, description="Left out: just now")
    event_type: str | None = Field(None, examples=["click"])
    value: float | None = None
    model_config = ConfigDict(extra="allow")  # what else events have; left aside here


class QuestionIn(Body):
    """A question about a user, a history without a name, or liked items; one of them."""

    user_id: Id | None = None
    history: list[Visit] | None = Field(None, description="Nothing of it is kept")
    liked: list[Id] | None = Field(
        None, description="In place of a history: items liked by somebody new, in no order"
    )
    k: int = Field(10, ge=1, le=1000)
    at: Instant | None = Field(None, description="Left out: now")
    repeats: bool = Field(True, description="Whether items of the history may come again")
    categories: list[str] | None = Field(None, description="Only items of one of these")
    candidates: list[Id] | None = Field(None, description="Only these items")
    exclude: list[Id] | None = Field(None, description="Never these items")
    exclude_categories: list[str] | None = Field(None, description="No item of any of these")
    domain: list[str] | None = Field(None, description="Only items of one of these domains")
    price: list[float | None] | None = Field(
        None,
        description="Least and most, null for no bound",
        min_length=2,
        max_length=2,
        examples=[[5, 20]],
    )
    out_of_stock: bool = Field(False, description="Whether to give what is out of stock")
    boost: dict[str, float] | None = Field(
        None,
        description="Factors on the chance of items or categories",
        examples=[{"camping": 2.0, "item:tent": 0.5}],
    )
    rotation: float = Field(0, ge=0, le=1, description="How far what was shown steps back")
    rotation_time: float | str = Field("2h", description="Half-life of being shown")
    counts_as_shown: bool = Field(True, description="Whether an answer with rotation was shown")
    diversity: float = Field(0, ge=0, le=1, description="How much the list avoids items alike")
    max_per_category: int | None = Field(None, ge=1, description="Most items of one category")
    explore: float = Field(0, ge=0, le=1, description="Share of new or little seen items")
    objective: str | dict[str, float] | None = Field(
        None,
        description="Event type that the list is for, or several with weights",
        examples=["purchase", {"click": 0.7, "purchase": 0.3}],
    )
    explore_age: float | str = Field("30d", description="Age from which items are not explored")
    details: bool = Field(False, description="Describe each item")
    unit: Literal["s", "ms", "us"] = "us"
    min_seq: int = Field(0, ge=0, description="Wait until this entry of the log is in effect")
    timeout_ms: int | None = Field(None, ge=1, le=60_000, description="503 when it takes longer")
    explain: bool = Field(False, description="Say what the list rests on")


class Scored(BaseModel):
    """One recommended item."""

    model_config = ConfigDict(extra="allow")  # with details=true: the item's description
    item_id: Id
    score: float = Field(description="Higher is better; no scale is promised")


class NextIn(Body):
    """A list to go on with."""

    recommendation_id: str
    k: int | None = Field(None, ge=1, le=1000, description="Left out: as many as before")
    min_seq: int = Field(0, ge=0, description="Wait until this entry of the log is in effect")
    timeout_ms: int | None = Field(None, ge=1, le=60_000, description="503 when it takes longer")
    explain: bool = Field(False, description="Say what the list rests on")


class EventBrought(Body):
    """What one event of the user brings to the chance of an item."""

    ago: int = Field(description="How many events ago; 1 is the newest")
    item_id: Id
    title: str | None
    timestamp: Text
    contribution: float = Field(description="Nats that the item's chance loses without the event")
    sentence: str


class ItemExplained(Body):
    """What speaks for one item of a list."""

    item_id: Id
    chance: float = Field(description="That the model gives the item, among all it knows")
    events: list[EventBrought] = Field(description="Three at most, what brings most first")
    voices: dict[str, float] | None = Field(
        description="Share of the chance that each expert brings; null without experts"
    )


class Explanation(Body):
    """What a list rests on."""

    voices: dict[str, float] | None = Field(
        description="Each expert's share, which sum to 1; null where the model has no experts"
    )
    items: list[ItemExplained] | None = Field(
        description="Why each item is there; null where the user has no events"
    )


class RecommendationsAnswer(Body):
    """A ranked list."""

    user_id: Id | None = Field(description="null for a history without a name")
    items: list[Scored] = Field(description="Best first; fewer than k where no more may be given")
    fallback: bool = Field(description="Whether it is what is popular, for lack of a history")
    at: Text = Field(description="Instant of the question: only earlier events count")
    as_of: AsOf
    model_version: str
    notes: list[str] | None = Field(None, description="What of the question could not be used")
    recommendation_id: str = Field(description="Names this answer, in events and for the next page")
    took_ms: float = Field(description="Milliseconds from the question to the answer")
    degraded: list[str] = Field(description="Codes of what is amiss with the server; empty if none")
    explanation: Explanation | None = Field(None, description="With explain=true")


class SearchAnswer(Body):
    """Items by words, by the cosine of their texts' vectors."""

    q: str
    items: list[Scored]
    as_of: AsOf
    model_version: str
    notes: list[str] | None = None
    recommendation_id: str
    took_ms: float
    degraded: list[str]


class SimilarAnswer(Body):
    """Items like one item, by the cosine of their vectors."""

    item_id: Id
    items: list[Scored]
    as_of: AsOf
    model_version: str
    notes: list[str] | None = None
    recommendation_id: str
    took_ms: float
    degraded: list[str]
