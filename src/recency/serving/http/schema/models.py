"""Bodies about models."""

from typing import Any, Literal

from pydantic import Field

from recency.serving.http.schema.values import AsOf, Body, Text


class FolderIn(Body):
    """A model to publish."""

    folder: str = Field(description="Name of a folder in the registry's incoming/")


class ShareIn(Body):
    """How many users a challenger answers."""

    share: float = Field(ge=0, lt=1, description="Of the users; 0 answers nobody, but compares")


class ModelScore(Body):
    """What a version was worth on the newest events judged, each before it was applied."""

    n: int
    ndcg: float | None = Field(description="Mean NDCG@10")
    hit_rate: float | None = Field(description="Share of events whose item was among the ten")


class ModelComparison(Body):
    """A version beside the one that serves, on events that neither had seen."""

    n: int
    ndcg: float
    champion_ndcg: float
    low: float | None = Field(description="Of the difference, 95 % lie above")
    high: float | None


class ModelLine(Body):
    """One version."""

    model_version: str
    active: bool
    role: Literal["champion", "challenger", "trial", "previous"] | None = Field(
        description="null for a version that is not loaded"
    )
    share: float = Field(description="Of the users that it answers")
    published: Text | None
    candidate: bool = Field(description="Whether it takes over as soon as the gate lets it")
    refused: str | None = Field(description="Why the gate refused it")
    facts: dict[str, Any] = Field(description="What its publisher told")
    cut: Text | None = Field(description="End of the events that weights learned from")
    n_users: int | None
    n_items: int | None
    as_of: AsOf | None
    score: ModelScore | None
    comparison: ModelComparison | None


class ModelsAnswer(Body):
    """The versions of this server's model."""

    models: list[ModelLine]


class ModelChanged(Body):
    """A version, and which one serves now."""

    version: str
    as_of: AsOf
    model_version: str = Field(description="Of the version that serves")
