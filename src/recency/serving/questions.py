"""What the service is asked, and what it answers: in the engine's own terms, before JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id, Vocab
from recency.recommendations import Recommendations
from recency.selection import Selection, SelectionArgs
from recency.units import Instant

Row = Mapping[str, Any]


class LiveRecommender(Protocol):
    """What the service needs of a model; `SequenceRecommender` and `Ensemble` have it."""

    model_version: str
    catalogue: Catalogue | None
    cut: int | None

    @property
    def users(self) -> Vocab:
        """Give the users known."""
        ...

    @property
    def items(self) -> Vocab:
        """Give the items known."""
        ...

    def observe(self, events: Any) -> object:
        """Take events in; all of them or, with an error, none."""
        ...

    def recommend(
        self,
        users: Sequence[Id],
        k: int = 10,
        *,
        at: Instant | None = None,
        **selection: Unpack[SelectionArgs],
    ) -> Recommendations:
        """Rank items for users."""
        ...

    def recommend_after(
        self,
        history: Sequence[Row],
        k: int = 10,
        *,
        at: Instant | None = None,
        **selection: Unpack[SelectionArgs],
    ) -> Recommendations:
        """Rank items after a history without a name."""
        ...

    def similar_items(self, item: Id, k: int = 10) -> Recommendations:
        """Rank the items most like one item."""
        ...

    def history(self, user: Id, at: Instant | None = None) -> pl.DataFrame:
        """List a user's events, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """Ask for a list.

    Attributes:
        user: Who is asked about; None where a history is given.
        history: Events of somebody without a name.
        k: Most items.
        at: Instant of the question, microseconds; None for now.
        selection: Which items may be given; its sequences are tuples, so that it can be compared.
    """

    user: Id | None = None
    history: tuple[Row, ...] | None = None
    k: int = 10
    at: int | None = None
    selection: Selection = Selection()


@dataclass(frozen=True, slots=True)
class AsOf:
    """Name the last thing an answer saw.

    Attributes:
        seq: Newest entry of the event log that the model took in; 0 for none.
        time: Newest instant of any event the model knows, microseconds; None without events.
    """

    seq: int
    time: int | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Answer a question: items, best first, with what they were ranked by.

    ``notes`` tell what of the question could not be used.
    """

    user: Id | None
    items: list[Id]
    scores: list[float]
    fallback: bool
    at: int
    as_of: AsOf
    model_version: str
    notes: tuple[str, ...] = ()
