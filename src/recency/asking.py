"""Asking: what a live model knows, as answers for people: ids, ranked, filtered, as of when.

One model and an ensemble are asked alike, so what they promise here is written once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.intake import EventRow, Vocabs
from recency.data.timelines import Timelines
from recency.data.vocab import Id, Vocab
from recency.errors import UnknownIdError
from recency.evaluation.protocol import block_length
from recency.recommendations import Recommendations
from recency.selection import Selection, SelectionArgs, best
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


class Asking(ABC):
    """Answer people's questions from a live model.

    Attributes:
        catalogue: What is known about items.
        model_version: Names the weights.
    """

    catalogue: Catalogue | None
    model_version: str

    @property
    @abstractmethod
    def live(self) -> Live:
        """Give what is asked.

        Raises:
            NotFittedError: nothing is learned yet.
        """

    @property
    def users(self) -> Vocab:
        """Give the users known, trained or observed."""
        return self.live.vocabs.users

    @property
    def items(self) -> Vocab:
        """Give the items known, trained or observed."""
        return self.live.vocabs.items

    def recommend(
        self,
        users: Sequence[Id],
        k: int = 10,
        *,
        at: Instant | None = None,
        unknown: Literal["popular", "raise"] = "popular",
        **selection: Unpack[SelectionArgs],
    ) -> Recommendations:
        """Rank items for users.

        Args:
            users: Ids. Users without events get what is popular, and the answer says so.
            k: Most items a list.
            at: Instant of the question: only events strictly before it are seen, only items
                available then are given. None: just after the newest event known.
            unknown: ``"raise"`` refuses users never seen.
            **selection: Which items may be given, see `recency.Selection`: ``repeats``,
                ``candidates``, ``exclude``, ``categories``.

        Raises:
            UnknownIdError: users were never seen and ``unknown="raise"``.
        """
        instant, chosen = self.instant(at), Selection(**selection)
        rows = self.users.rows([self.users.coerce(user) for user in users])
        if unknown == "raise":
            refuse_strangers(users, rows)
        allowed = chosen.allowed(self.items, self.catalogue, instant)
        block = block_length(len(self.items))
        parts = []
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            scores, fallback = self.live.scores(part, instant)
            seen = None if chosen.repeats else self.live.seen(part, instant)
            parts.append(self._ranked(best(scores, k, allowed, seen), fallback))
        return self._recommendations(list(users), parts, instant)

    def recommend_after(
        self,
        history: Sequence[EventRow],
        k: int = 10,
        *,
        at: Instant | None = None,
        **selection: Unpack[SelectionArgs],
    ) -> Recommendations:
        """Rank items for somebody without a name, from the events of a visit.

        Args:
            history: Dictionaries with ``item_id``, ``timestamp``, and ``event_type`` and ``value``
                if any. Nothing of them is kept.
            k: Most items.
            at: As in `recommend`.
            **selection: As in `recommend`.
        """
        histories, chosen = self.live.histories_of(history), Selection(**selection)
        instant = self.instant(at)
        if at is None and histories.n_events:
            instant = max(instant, int(histories.times.max()) + 1)
        scores, fallback = self.live.scores_after(histories, instant)
        allowed = chosen.allowed(self.items, self.catalogue, instant)
        found = best(scores, k, allowed, None if chosen.repeats else histories)
        return self._recommendations([None], [self._ranked(found, fallback)], instant)

    def score(self, users: Sequence[Id], items: Sequence[Id], at: Instant | None = None) -> Floats:
        """Score given items for users: [n users, n items]; -inf for items that weights lack.

        Raises:
            UnknownIdError: a user or an item was never seen.
        """
        rows = self.users.rows([self.users.coerce(one) for one in users])
        columns = self.items.rows([self.items.coerce(one) for one in items])
        refuse_strangers([*users, *items], np.concatenate((rows, columns)))
        scores, _ = self.live.scores(rows, self.instant(at))
        return scores[:, columns]

    def similar_items(self, item: Id, k: int = 10) -> Recommendations:
        """Rank the items whose vectors point most nearly the same way (cosine in [-1, 1]).

        An ensemble takes the mean of its models' cosines as weighed.

        Raises:
            UnknownIdError: the item has no vector: never seen, or first seen after the learning.
        """
        row = self.items.row(self.items.coerce(item))
        if not 0 <= row < self.live.n_learned:
            raise UnknownIdError(
                f"item {item!r} has no vector: it was {'never seen' if row < 0 else 'seen'} "
                f"{'' if row < 0 else 'only after the model learned'}; "
                f"learn from events on it first (partial_fit)."
            )
        found = best(self.live.cosines(row), k, np.ones(len(self.items), bool), None)
        return self._recommendations([None], [self._ranked(found, [False])], self.live.now)

    def history(self, user: Id, at: Instant | None = None) -> pl.DataFrame:
        """List a user's events before an instant, oldest first.

        Returns:
            ``item_id``, ``timestamp``, and ``event_type`` where the log has types; no rows for a
            user never seen.
        """
        return self.live.events_of(self.users.row(self.users.coerce(user)), self.instant(at))

    def instant(self, at: Instant | None) -> int:
        """Give the instant of a question in microseconds: None is just after what is known."""
        return self.live.now if at is None else parse_instant(at)

    def _ranked(self, found: tuple[list[Ints], list[Floats]], fallback: Iterable[bool]) -> Ranked:
        lists, values = found
        items = [self.items.take(rows) for rows in lists]
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
