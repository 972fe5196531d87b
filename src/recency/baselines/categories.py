"""Category popularity: what is popular in the categories that the user likes.

    score(i) = sum over categories c of i of P(c | user) P(i | c)

with P(c | user) from the categories of the history, drawn towards everybody's as if by ten events
more, and P(i | c) the item's share of the events in c, each item counted once more. So an item
without any event can be recommended by what it is, which a model of ids cannot do.
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from recency.data.catalogue import Catalogue
from recency.data.histories import ragged_positions
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, NotFittedError
from recency.evaluation.protocol import Answer, Ints, Questions, block_length

PRIOR = 10.0  # events that everybody's liking weighs, against the user's own
MOST = 500  # categories


class CategoryPopularity:
    """Rank items by how popular they are in the categories of the user's history.

    Args:
        catalogue: Says what items are in.
        column: Lists of categories; of a text, each word is one.

    Raises:
        ConfigError: the catalogue has no such column.
    """

    name = "category-popularity"
    request_time = "unknown"

    def __init__(self, catalogue: Catalogue, column: str = "categories") -> None:
        if column not in catalogue.frame.columns:
            raise ConfigError(
                f"CategoryPopularity(column={column!r}): the catalogue has "
                f"{', '.join(catalogue.frame.columns)}; name one that says what items are."
            )
        self.cut: int | None = None
        self._frame = _parted(catalogue.frame.select("item_id", category=pl.col(column)))
        self._categories: Sequence[str] = ()
        self._counts: pl.DataFrame = pl.DataFrame()

    def fit(self, log: Log) -> Self:
        """Count the events of items and categories."""
        counts = log.events.group_by("item_id").agg(n=pl.len())
        events = self._frame.join(counts, "item_id", "inner").group_by("category")
        common = events.agg(pl.col("n").sum()).sort(["n", "category"], descending=[True, False])
        self._categories = common["category"].head(MOST).to_list()
        self._counts, self.cut = counts, log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Score every item; those of which nothing is known, last."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has counted nothing yet; call fit(log) first.")
        members, counts = self._members(questions.items), self._events(questions.items)
        smoothed = members.multiply((counts + 1)[:, None]).tocsr()
        shares = np.asarray((smoothed / np.maximum(smoothed.sum(0), 1)).todense(), np.float32)
        everybody = members.T @ counts
        everybody = PRIOR * everybody / max(everybody.sum(), 1)
        step = block_length(len(questions.items))
        for start in range(0, len(questions), step):
            index = np.arange(start, min(start + step, len(questions)))
            liking = _history(questions, index) @ members + everybody
            yield index, (liking.astype(np.float32) @ shares.T)

    def _members(self, items: Vocab) -> csr_array:
        """Tell which items are in which categories: [items, categories], 1 or nothing."""
        place = {name: row for row, name in enumerate(self._categories)}
        frame = self._frame.filter(pl.col("category").is_in(list(place)))
        rows = items.rows([items.coerce(one) for one in frame["item_id"]])
        columns = np.array([place[one] for one in frame["category"]], np.int64)
        known = rows >= 0
        ones = np.ones(int(known.sum()), np.float32)
        cells = (ones, (rows[known], columns[known]))
        return csr_array(cells, shape=(len(items), len(place)))

    def _events(self, items: Vocab) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        rows = items.rows(self._counts["item_id"])
        found = np.zeros(len(items))
        found[rows[rows >= 0]] = self._counts["n"].to_numpy()[rows >= 0]
        return found


def _history(questions: Questions, index: Ints) -> csr_array:
    """Count the items of histories: [questions, items]."""
    lengths = questions.stop[index] - questions.start[index]
    items = questions.histories.items[ragged_positions(questions.start[index], lengths)]
    rows = np.repeat(np.arange(len(index)), lengths)
    cells = (np.ones(len(items), np.float32), (rows, items))
    return csr_array(cells, shape=(len(index), len(questions.items)))


def _parted(frame: pl.DataFrame) -> pl.DataFrame:
    """Give one row an item and category."""
    if frame["category"].dtype == pl.String:
        words = pl.col("category").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]{2,}")
        frame = frame.with_columns(category=words)
    return frame.explode("category").drop_nulls().unique(maintain_order=True)
