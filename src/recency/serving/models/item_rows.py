"""ItemRows: items that are described while a recommender serves get the rows their words make.

An encoder takes milliseconds a text, which no question should wait for. So the thread that owns the
recommender only notes who was described, and later takes in what came of it; what lies between is
done in another thread. A start does all of it at once, before anything is answered: rows are made
of the catalogue, which the event log holds, and vectors of texts are kept on disk; so a server that
was killed answers as it did before.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recency.content.item_vectors import ItemVectors
from recency.content.item_words import ItemWords
from recency.content.late_items import take_in_late
from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.questions import LiveRecommender

logger = logging.getLogger(__name__)
_MOST = 256  # items taken in at once: a model's thread stands still for a millisecond or so


@dataclass(frozen=True)
class Told:
    """Hold the descriptions of some items, and the vectors of their words once they are made."""

    items: Catalogue
    vectors: list[ItemVectors]


class ItemRows:
    """Make rows for items that were described since a recommender learned.

    Methods run in the thread that owns the recommender, but for `encode`, which runs in any.

    Args:
        recommender: Before anything was shown to it that its folder does not hold.
        cache: Folder to keep vectors of texts in; None keeps none.

    Attributes:
        n_refused: Items whose words could not be encoded, or not be taken in.
    """

    def __init__(self, recommender: LiveRecommender, cache: Path | None = None) -> None:
        self._recommender = recommender
        adaptor = recommender.adaptor
        self._words = ItemWords({} if adaptor is None else adaptor.features.sources, cache)
        self._first = 0 if adaptor is None else recommender.live.models[0].model.n_items
        self._told: dict[Id, None] = {}
        self._known = recommender.catalogue
        self.n_refused = 0

    @property
    def waiting(self) -> bool:
        """Tell whether items were described that have not been taken up."""
        return bool(self._told)

    @property
    def words(self) -> ItemWords:
        """Give what encodes words as the recommender knows them."""
        return self._words

    def tell(self, items: Iterable[Id]) -> None:
        """Note that items were described."""
        if self._recommender.adaptor is not None:
            self._told.update(dict.fromkeys(items))

    def tell_restored(self) -> None:
        """Note all items whose descriptions are others than the recommender's folder held."""
        now = self._recommender.catalogue
        if now is not None and now is not self._known:
            self.tell(_changed(self._known, now))

    def take(self, most: int = _MOST) -> Told | None:
        """Take up items that were described; None where there are none."""
        catalogue = self._recommender.catalogue
        chosen = list(self._told)[:most]
        for one in chosen:
            del self._told[one]
        if not chosen or catalogue is None:
            return None
        rows = [row for row in map(catalogue.describe, chosen) if row]
        frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
        return Told(Catalogue.from_frame(frame), []) if rows else None

    def encode(self, told: Told) -> Told | None:
        """Encode the words of items, in any thread; None where that cannot be done."""
        try:
            return Told(told.items, self._words.of_items(told.items))
        except RecencyError as error:
            self._refuse(told, error)
            return None

    def place(self, told: Told) -> None:
        """Give items the rows that their words make."""
        adaptor = self._recommender.adaptor
        if adaptor is None:
            return
        live = self._recommender.live.models[0]
        try:
            take_in_late(
                adaptor, live.model, live.vocabs.items, self._first, told.vectors, told.items
            )
        except RecencyError as error:
            self._refuse(told, error)

    def settle(self) -> None:
        """Give all items described their rows, here and now."""
        while (told := self.take(most=2**16)) is not None:
            encoded = self.encode(told)
            if encoded is not None:
                self.place(encoded)

    def _refuse(self, told: Told, error: RecencyError) -> None:
        self.n_refused += len(told.items)
        logger.warning(
            "%d items have no vector of their words, and are given by their popularity alone: %s",
            len(told.items), error,
        )  # fmt: skip


def _changed(before: Catalogue | None, now: Catalogue) -> list[Id]:
    """List the items that are described otherwise than before."""
    if before is None:
        return now.frame["item_id"].to_list()
    names = sorted(set(before.frame.columns) | set(now.frame.columns))
    old, new = (_as_text(one.frame, names) for one in (before, now))
    return new.join(old, ["item_id", "said"], "anti")["item_id"].to_list()


def _as_text(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    there = [pl.col(one) if one in frame.columns else pl.lit(None).alias(one) for one in names]
    return frame.select("item_id", said=pl.struct(there).struct.json_encode())
