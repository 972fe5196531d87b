"""Live answers: what is asked of a live model, and in which shape it answers.

One model and an ensemble answer alike; rules and `recency.asking.asking` know this page only.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.appearances import Appearances
from recency.data.histories import Histories, Ints
from recency.data.intake import EventRow, Vocabs
from recency.data.timelines import Timelines
from recency.data.vocab import Id

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Scored = tuple[Floats, Flags]  # [n, n_items], and [n] who was answered with what is popular
Shortlisted = tuple[Ints, Floats, Flags]  # item rows [n, m], -1 for none; scores; as above


class Live(Protocol):
    """What is asked of a live model; see `recency.live.live_model.LiveModel`."""

    @property
    def vocabs(self) -> Vocabs:
        """Give the vocabularies."""
        ...

    @property
    def timelines(self) -> Timelines:
        """Give what every user did."""
        ...

    @property
    def now(self) -> int:
        """Give the instant just after the newest event known, in microseconds."""
        ...

    @property
    def n_learned(self) -> int:
        """Count the items with weights: the first rows of the vocabulary."""
        ...

    def scores(self, users: Ints, at: int, repeats: bool = True) -> Scored:
        """Score every item for users, and tell who had no history."""
        ...

    def scores_after(self, histories: Histories, at: int, repeats: bool = True) -> Scored:
        """Score every item after histories of people without a name."""
        ...

    def shortlist(
        self,
        users: Ints,
        at: int,
        m: int,
        allowed: Flags | None = None,
        seen: Histories | None = None,
    ) -> Shortlisted | None:
        """Give the items that `scores` would rank first; None where everything has to be scored."""
        ...

    @property
    def appearances(self) -> Appearances:
        """Count how often each item was seen."""
        ...

    def vectors(self, items: Ints) -> Floats:
        """Give the vectors of items at length 1."""
        ...

    def cosines(self, item: int) -> Floats:
        """Compare one item's vector with all others'."""
        ...

    def seen(self, users: Ints, at: int) -> Histories:
        """Give what users did before an instant."""
        ...

    def merge_users(self, anonymous: Id, user: Id) -> None:
        """Give all events of one id to another."""
        ...

    def erase_user(self, user: Id) -> None:
        """Know nothing of a user any more."""
        ...

    def events_of(self, user: int, at: int) -> pl.DataFrame:
        """List one user's events before an instant."""
        ...

    def histories_of(self, history: Sequence[EventRow]) -> Histories:
        """Turn the events of somebody without a name into one history."""
        ...
