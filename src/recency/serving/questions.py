"""What the service is asked, and what it answers: in the engine's own terms, before JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import polars as pl

from recency.asking.likeness import By
from recency.asking.recommendations import Recommendations
from recency.asking.rules import Rules
from recency.asking.selection import Selection, SelectionArgs
from recency.content.adaptor import Adaptor
from recency.content.item_words import Spoken
from recency.data.catalogue import Catalogue
from recency.data.vocab import Id, Vocab
from recency.units import Instant

if TYPE_CHECKING:
    from recency.live.live_model import LiveModel

Row = Mapping[str, Any]


class LiveModels(Protocol):
    """What a snapshot is taken of: `recency.live.live_model.LiveModel`, or an ensemble's."""

    @property
    def models(self) -> "tuple[LiveModel, ...]":
        """Give the models that stand on the same events."""
        ...


class LiveRecommender(Protocol):
    """What the service needs of a model; `SequenceRecommender` and `Ensemble` have it."""

    model_version: str
    catalogue: Catalogue | None
    cut: int | None

    @property
    def adaptor(self) -> Adaptor | None:
        """Give what makes vectors of items' content; None where events alone tell of them."""
        ...

    @property
    def rules(self) -> Rules:
        """Give what remembers which items were shown to whom."""
        ...

    @property
    def live(self) -> LiveModels:
        """Give what moves while events arrive."""
        ...

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

    def similar_items(
        self, item: Id, k: int = 10, *, at: Instant | None = None, by: By = "behaviour"
    ) -> Recommendations:
        """Rank the items most like one item."""
        ...

    def search(
        self, words: str | Spoken, k: int = 10, *, at: Instant | None = None
    ) -> Recommendations:
        """Rank the items whose texts are nearest to some words."""
        ...

    def describe(self, items: Any, *, merge: bool = False) -> None:
        """Describe items, known or new; all of them or, with an error, none."""
        ...

    def merge_users(self, anonymous: Id, user: Id) -> None:
        """Give all events of one id to another."""
        ...

    def erase_user(self, user: Id) -> None:
        """Know nothing of a user any more."""
        ...

    def n_events_of(self, item: Id) -> int:
        """Count the events that name an item."""
        ...

    def note_shown(self, user: Id, items: Sequence[Id], at: Instant) -> None:
        """Remember that items were shown to a user."""
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
