"""Asking: what a live model knows, as answers for people: ids, ranked, filtered, as of when.

One model and an ensemble are asked alike, so what they promise here is written once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.intake import EventRow, Vocabs
from recency.data.timelines import Timelines
from recency.data.vocab import Id
from recency.errors import UnknownIdError
from recency.evaluation.protocol import block_length
from recency.recommendations import Recommendations
from recency.selection import Selection, best
from recency.units import Instant, parse_instant

Floats = npt.NDArray[np.float32]
Scored = tuple[Floats, npt.NDArray[np.bool_]]
Ranked = tuple[list[list[Id]], list[list[float]], list[bool]]  # items, scores, fallback


class Live(Protocol):
    """What is asked of a live model; see `recency.live.LiveModel`."""

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

    def scores(self, users: Ints, at: int) -> Scored:
        """Score every item for users, and tell who had no history."""
        ...

    def scores_after(self, histories: Histories, at: int) -> Scored:
        """Score every item after histories of people without a name."""
        ...

    def cosines(self, item: int) -> Floats:
        """Compare one item's vector with all others'."""
        ...

    def seen(self, users: Ints, at: int) -> Histories:
        """Give what users did before an instant."""
        ...

    def events_of(self, user: int, at: int) -> pl.DataFrame:
        """List one user's events before an instant."""
        ...

    def histories_of(self, history: Sequence[EventRow]) -> Histories:
        """Turn the events of somebody without a name into one history."""
        ...


@dataclass(frozen=True)
class Asking:
    """Answer people's questions from a live model.

    Attributes:
        live: Asked.
        catalogue: What is known about items.
        model_version: Names the weights.
    """

    live: Live
    catalogue: Catalogue | None
    model_version: str

    def recommend(
        self,
        users: Sequence[Id],
        k: int,
        at: Instant | None,
        unknown: Literal["popular", "raise"],
        selection: Selection,
    ) -> Recommendations:
        """Rank items for users; see `recency.SequenceRecommender.recommend`."""
        instant, vocab = self.instant(at), self.live.vocabs.users
        rows = vocab.rows([vocab.coerce(user) for user in users])
        if unknown == "raise":
            refuse_strangers(users, rows)
        items = self.live.vocabs.items
        allowed = selection.allowed(items, self.catalogue, instant)
        block = block_length(len(items))
        parts = []
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            scores, fallback = self.live.scores(part, instant)
            seen = None if selection.repeats else self.live.seen(part, instant)
            parts.append(self._ranked(best(scores, k, allowed, seen), fallback))
        return self._recommendations(list(users), parts, instant)

    def recommend_after(
        self, history: Sequence[EventRow], k: int, at: Instant | None, selection: Selection
    ) -> Recommendations:
        """Rank items after a visit; see `recency.SequenceRecommender.recommend_after`."""
        histories, instant = self.live.histories_of(history), self.instant(at)
        if at is None and histories.n_events:
            instant = max(instant, int(histories.times.max()) + 1)
        scores, fallback = self.live.scores_after(histories, instant)
        allowed = selection.allowed(self.live.vocabs.items, self.catalogue, instant)
        found = best(scores, k, allowed, None if selection.repeats else histories)
        return self._recommendations([None], [self._ranked(found, fallback)], instant)

    def score(self, users: Sequence[Id], items: Sequence[Id], at: Instant | None) -> Floats:
        """Score given items for users; see `recency.SequenceRecommender.score`."""
        vocabs = self.live.vocabs
        rows = vocabs.users.rows([vocabs.users.coerce(one) for one in users])
        columns = vocabs.items.rows([vocabs.items.coerce(one) for one in items])
        refuse_strangers([*users, *items], np.concatenate((rows, columns)))
        scores, _ = self.live.scores(rows, self.instant(at))
        return scores[:, columns]

    def similar_items(self, item: Id, k: int) -> Recommendations:
        """Rank the items most like one; see `recency.SequenceRecommender.similar_items`."""
        items = self.live.vocabs.items
        row = items.row(items.coerce(item))
        if not 0 <= row < self.live.n_learned:
            raise UnknownIdError(
                f"item {item!r} has no vector: it was {'never seen' if row < 0 else 'seen'} "
                f"{'' if row < 0 else 'only after the model learned'}; "
                f"learn from events on it first (partial_fit)."
            )
        found = best(self.live.cosines(row), k, np.ones(len(items), bool), None)
        return self._recommendations([None], [self._ranked(found, [False])], self.live.now)

    def history(self, user: Id, at: Instant | None) -> pl.DataFrame:
        """List a user's events before an instant; see `recency.SequenceRecommender.history`."""
        users = self.live.vocabs.users
        return self.live.events_of(users.row(users.coerce(user)), self.instant(at))

    def instant(self, at: Instant | None) -> int:
        """Give the instant of a question in microseconds: None is just after what is known."""
        return self.live.now if at is None else parse_instant(at)

    def _ranked(self, found: tuple[list[Ints], list[Floats]], fallback: Iterable[bool]) -> Ranked:
        lists, values = found
        items = [self.live.vocabs.items.take(rows) for rows in lists]
        return items, [row.tolist() for row in values], [bool(one) for one in fallback]

    def _recommendations(
        self, users: list[Id | None], parts: list[Ranked], at: int
    ) -> Recommendations:
        return Recommendations(
            users=users,
            items=[one for items, _, _ in parts for one in items],
            scores=[one for _, scores, _ in parts for one in scores],
            fallback=[one for _, _, fallback in parts for one in fallback],
            at=at,
            as_of=self.live.timelines.newest,
            model_version=self.model_version,
        )


def refuse_strangers(ids: Sequence[Id], rows: Ints) -> None:
    """Refuse ids without a row.

    Raises:
        UnknownIdError: some were never seen.
    """
    strangers = [one for one, row in zip(ids, rows, strict=True) if row < 0]
    if strangers:
        raise UnknownIdError(
            f"{len(strangers)} of {len(ids)} ids were never seen: "
            f"{', '.join(map(repr, strangers[:5]))}. recommend(unknown='popular') serves "
            f"users anyway."
        )
