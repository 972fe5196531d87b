"""Recent items: what the user took last comes first. Hard to beat where people come back."""

from collections.abc import Iterator
from typing import Self

import numpy as np

from recency.baselines.popularity import spread
from recency.data.histories import ragged_positions
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import NotFittedError
from recency.evaluation.protocol import Answer, Questions, block_length


class RecentItems:
    """Rank the items of the user's history, the newest first, then all others by popularity."""

    name = "recent-items"
    request_time = "unknown"

    def __init__(self) -> None:
        self.cut: int | None = None
        self._items = Vocab()
        self._shares = np.zeros(0, np.float32)

    def fit(self, log: Log) -> Self:
        """Count the events of each item, for what stands below the history."""
        self._items = Vocab.from_ids(log.events["item_id"])
        counts = np.bincount(self._items.rows(log.events["item_id"]))
        self._shares = (counts / counts.sum()).astype(np.float32)
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Score an item of the history by the place of its newest event, others below 1."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has counted nothing yet; call fit(log) first.")
        row = spread(self._shares, self._items, questions)
        step = block_length(len(row))
        block = np.empty((min(step, len(questions)), len(row)), np.float32)
        starts, lengths = questions.start, questions.stop - questions.start
        for start in range(0, len(questions), step):
            index = np.arange(start, min(start + step, len(questions)))
            scores = block[: len(index)]
            scores[:] = row
            rows = np.repeat(np.arange(len(index)), lengths[index])
            places = ragged_positions(np.full(len(index), 2), lengths[index])
            items = questions.histories.items[ragged_positions(starts[index], lengths[index])]
            # Of an item's several events the last one written, the newest, stays.
            scores[rows, items] = places
            yield index, scores
