"""Asking: what a live model knows, as answers for people: ids, ranked, filtered, as of when.

One model and an ensemble are asked alike, so what they promise here is written once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.asking.likeness import By, alike, by_words
from recency.asking.live_answers import Floats, Live, Scored
from recency.asking.recommendations import Recommendations
from recency.asking.rules import Rules, Scene
from recency.asking.selection import Selection, SelectionArgs, best, check_k
from recency.content.adaptor import Adaptor
from recency.content.item_words import Spoken
from recency.data.catalogue import Catalogue
from recency.data.histories import Ints
from recency.data.intake import EventRow
from recency.data.vocab import Id, Vocab
from recency.errors import UnknownIdError
from recency.evaluation.protocol import block_length
from recency.ranking.filters import Mask
from recency.ranking.pool import Pool
from recency.units import Instant, parse_instant

Ranked = tuple[list[list[Id]], list[list[float]], list[bool]]  # items, scores, fallback
Items = pl.DataFrame | Sequence[Mapping[str, Any]]
_LOG2 = np.float32(1 / np.log(2))  # what is popular is scored by log2, a model by the natural one


class Asking(ABC):
    """Answer people's questions from a live model.

    Attributes:
        catalogue: What is known about items.
        model_version: Names the weights.
    """

    catalogue: Catalogue | None
    model_version: str

    @property
    def adaptor(self) -> Adaptor | None:
        """Give what makes vectors of items' content; None where events alone tell of them."""
        return None

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
            **selection: Which items may be given and what else weighs in: the attributes of
                `recency.Selection`.

        Raises:
            UnknownIdError: users were never seen and ``unknown="raise"``.
        """
        instant, chosen = self.instant(at), Selection(**selection)
        rows = self.users.rows([self.users.coerce(user) for user in users])
        if unknown == "raise":
            refuse_strangers(users, rows)
        allowed = chosen.mask(self.items, self.catalogue, instant)
        check_k(k, len(self.items))
        block = block_length(len(self.items))
        parts, strange = [], self._is_strange(chosen, allowed)
        for start in range(0, len(rows), block):
            part, who = rows[start : start + block], users[start : start + block]
            seen = None if chosen.repeats else self.live.seen(part, instant)
            part = np.full_like(part, -1) if strange else part
            scene = Scene(self.live, self.items, self.catalogue, instant, allowed, who, who, seen)
            listed = self._of_shortlist(part, k, chosen, scene)
            if listed is None:
                scored = self.live.scores(part, instant, chosen.repeats)
                listed = self._listed(scored, k, chosen, scene)
            parts.append(listed)
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
        scene = Scene(
            self.live,
            self.items,
            self.catalogue,
            instant,
            chosen.mask(self.items, self.catalogue, instant),
            who=[(histories.items.tolist(), histories.times.tolist())],
            users=[None],
            seen=None if chosen.repeats else histories,
        )
        check_k(k, len(self.items))
        scored = self.live.scores_after(histories, instant, chosen.repeats)
        listed = self._listed(scored, k, chosen, scene)
        return self._recommendations([None], [listed], instant)

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

    def similar_items(
        self, item: Id, k: int = 10, *, at: Instant | None = None, by: By = "behaviour"
    ) -> Recommendations:
        """Rank the items most like one (cosine in [-1, 1]).

        An ensemble takes the mean of its models' cosines as weighed.

        Args:
            item: Id.
            k: Most items.
            at: Only items that may be offered then are given. None: just after the newest event.
            by: ``"behaviour"`` compares vectors that were learned, ``"content"`` what is known of
                items: texts, categories, prices; ``"both"`` takes the mean of the two cosines, or
                the one there is.

        Raises:
            ConfigError: ``by`` is none of the three, or the model knows nothing of what items are.
            UnknownIdError: the item has no vector: never seen, or first seen after the learning.
        """
        return self._nearest(alike(self.live, self.adaptor, item, by), k, at)

    def search(
        self, words: str | Spoken, k: int = 10, *, at: Instant | None = None
    ) -> Recommendations:
        """Rank the items whose texts are nearest to some words (cosine in [-1, 1]).

        Args:
            words: What is looked for; or encoded by `recency.content.item_words.ItemWords`.
            k: Most items.
            at: As of `similar_items`.

        Raises:
            ConfigError: the model knows no texts, or their encoder is missing or another one.
            DataError: there are no words.
        """
        return self._nearest(by_words(self.adaptor, self.items, words), k, at)

    # --- items ---------------------------------------------------------------------------------

    def describe(self, items: Items, *, merge: bool = False) -> None:
        """Describe items, known or new; the next answer may give them.

        Args:
            items: As `Catalogue.upsert` takes them.
            merge: Whether only the attributes named change, as in `Catalogue.merge`; else an item
                is replaced whole.

        Raises:
            DataError: a description cannot be read; then none is taken.
        """
        known = self.catalogue
        if known is None:
            known = Catalogue(pl.DataFrame(schema={"item_id": self.items.dtype}))
        found = known.merge(items) if merge else known.upsert(items)
        ids = items["item_id"] if isinstance(items, pl.DataFrame) else [i["item_id"] for i in items]
        self.items.extend([self.items.coerce(one) for one in ids])
        self.catalogue = found

    def remove_items(self, items: Sequence[Id]) -> None:
        """Never give items again, and forget what is known about them; `describe` brings back."""
        self.describe([{"item_id": one, "is_hidden": True} for one in dict.fromkeys(items)])

    def n_events_of(self, item: Id) -> int:
        """Count the events that name an item."""
        row = self.items.row(self.items.coerce(item))
        return 0 if row < 0 else int(self.live.appearances.counts(len(self.items))[row])

    # --- users ---------------------------------------------------------------------------------

    @cached_property
    def rules(self) -> Rules:
        """Give what applies selections, and remembers what was shown to whom."""
        return Rules()

    def note_shown(self, user: Id, items: Sequence[Id], at: Instant) -> None:
        """Remember that items were shown to a user; rotation lets them step back for a while."""
        shown = [self.items.coerce(one) for one in items]
        self.rules.shown.note(self.users.coerce(user), shown, parse_instant(at))

    def history(self, user: Id, at: Instant | None = None) -> pl.DataFrame:
        """List a user's events before an instant, oldest first.

        Returns:
            ``item_id``, ``timestamp``, and ``event_type`` where the log has types; no rows for a
            user never seen.
        """
        return self.live.events_of(self.users.row(self.users.coerce(user)), self.instant(at))

    def merge_users(self, anonymous: Id, user: Id) -> None:
        """Give all events of one id to another, known or not.

        From here on answers are as if the events had been the user's from the start, in the order
        of time; where instants are equal, those of ``anonymous`` stand behind. Weights stay.
        """
        one, into = self.users.coerce(anonymous), self.users.coerce(user)
        self.live.merge_users(one, into)
        self.rules.shown.merge(one, into)

    def erase_user(self, user: Id) -> None:
        """Know nothing of a user any more, the id included.

        From here on answers are as if the user had never been, but for the weights: these keep
        what they learned until the next `fit`.
        """
        self.live.erase_user(self.users.coerce(user))
        self.rules.shown.forget(self.users.coerce(user))

    def instant(self, at: Instant | None) -> int:
        """Give the instant of a question in microseconds: None is just after what is known."""
        return self.live.now if at is None else parse_instant(at)

    def _is_strange(self, chosen: Selection, allowed: Mask | None) -> bool:
        """Tell whether a domain is asked for of which no item has weights: all are strangers."""
        known = allowed is None or bool(allowed[: self.live.n_learned].any())
        return chosen.domain is not None and not known

    def _nearest(self, cosines: Floats, k: int, at: Instant | None) -> Recommendations:
        """List the items with the highest cosines [1, items known] of those on offer."""
        instant = self.instant(at)
        allowed = Selection().mask(self.items, self.catalogue, instant)
        found = best(cosines, k, allowed, None)
        return self._recommendations([None], [self._ranked(found, [False])], instant)

    def _of_shortlist(self, users: Ints, k: int, chosen: Selection, scene: Scene) -> Ranked | None:
        """Rank the best candidates only; None where all items have to be scored."""
        width = self.rules.width(k, chosen, scene)
        if not width:
            return None
        few = self.live.shortlist(users, scene.at, width, scene.allowed, scene.seen)
        if few is None:
            return None
        items, scores, fallback = few
        full = items[:, -1] >= 0  # there may be more
        found = self.rules.lists(Pool(scores, items, _unit(fallback)), k, chosen, scene)
        if any(len(one) < k and more for one, more in zip(found[0], full, strict=True)):
            return None
        self.rules.note(found[0], chosen, scene)
        return self._ranked(found, fallback)

    def _listed(self, scored: Scored, k: int, chosen: Selection, scene: Scene) -> Ranked:
        """Apply the rules to scores of all items."""
        scores, fallback = scored
        found = self.rules.lists(Pool(scores, unit=_unit(fallback)), k, chosen, scene)
        self.rules.note(found[0], chosen, scene)
        return self._ranked(found, fallback)

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


def _unit(fallback: npt.NDArray[np.bool_]) -> Floats:
    """Give what one natural logarithm counts in each row's scores."""
    return np.where(fallback, _LOG2, np.float32(1))


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
