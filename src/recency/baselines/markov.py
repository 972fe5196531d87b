"""Markov: what usually comes after the last item."""

from collections.abc import Iterator
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from recency.baselines.popularity import spread
from recency.data.histories import Histories
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import NotFittedError
from recency.evaluation.protocol import Answer, Ints, Questions, block_length

# An item's popularity weighs as much as this many transitions: it ranks what never came next.
PRIOR = 0.5


class Markov:
    """Rank items by how often they came right after the last item of the history that it knows.

    Transitions are those of the log's own order. Items unseen in training are passed over: where
    most of what happens is new, the item before them still says something. Counts are mixed with
    the items' shares of all events, so that a last item seen rarely, or none at all, is answered
    with what is popular.
    """

    name = "markov"
    request_time = "unknown"

    def __init__(self) -> None:
        self.cut: int | None = None
        self._items = Vocab()
        self._shares = np.zeros(0, np.float32)
        self._next = csr_array((0, 0), dtype=np.float32)

    def fit(self, log: Log) -> Self:
        """Count transitions between consecutive events of each user."""
        self._items = Vocab.from_ids(log.events["item_id"])
        users = Vocab.from_ids(log.events["user_id"])
        histories = Histories.build(log, users, self._items)
        inner = np.ones(histories.n_events, bool)
        inner[histories.offsets[:-1]] = False
        later = np.flatnonzero(inner)
        n_items = len(self._items)
        pairs = (histories.items[later - 1], histories.items[later])
        ones = np.ones(len(later), np.float32)
        counts = csr_array((ones, pairs), shape=(n_items, n_items))
        counts.sum_duplicates()
        self._next = counts
        events = np.bincount(histories.items, minlength=n_items)
        self._shares = (events / events.sum()).astype(np.float32)
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Score the successors of each question's last item, all others by popularity."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has counted nothing yet; call fit(log) first.")
        row = PRIOR * spread(self._shares, self._items, questions)
        last = self._last_known(questions)
        columns = questions.items.rows(self._items.ids)
        asked = columns >= 0  # training may know items that nobody asks about
        step = block_length(len(row))
        for start in range(0, len(questions), step):
            index = np.arange(start, min(start + step, len(questions)))
            scores = np.repeat(row[None, :], len(index), axis=0)
            known = np.flatnonzero(last[index] >= 0)
            found = self._next[last[index[known]]].tocoo()
            real = asked[found.col]
            scores[known[found.row[real]], columns[found.col[real]]] += found.data[real]
            yield index, scores

    def _last_known(self, questions: Questions) -> Ints:
        """Give the row of the newest item of each history that training has seen, or -1, [n]."""
        rows = np.append(self._items.rows(questions.items.ids), -1)
        items = rows[questions.histories.items]
        # For each event, the newest position up to it whose item is known, of whichever user.
        newest = np.maximum.accumulate(np.where(items >= 0, np.arange(len(items)), -1))
        last = np.full(len(questions), -1, np.int64)
        some = np.flatnonzero(questions.stop > questions.start)
        place = newest[questions.stop[some] - 1]
        own = place >= questions.start[some]
        last[some[own]] = items[place[own]]
        return last
