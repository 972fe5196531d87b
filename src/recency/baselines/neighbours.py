"""Item neighbours: what is taken by those who took what this user took last."""

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
from scipy.sparse import csr_array, diags_array, vstack

from recency.baselines.choosing import choose
from recency.baselines.popularity import spread
from recency.data.histories import Ints, ragged_positions
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, NotFittedError
from recency.evaluation.protocol import Answer, Questions, Recommender, block_length

WINDOWS = (1, 3, 5, 10)
NEIGHBOURS = 500  # kept of each item; more change nothing that can be measured
PRIOR = 1e-3  # weight of an item's share of all events, beside cosines of at most 1
_ROWS = 2_000  # items whose neighbours are computed together


class ItemNeighbours:
    """Rank items by their likeness to the last items of the history.

    Two items are alike as the cosine of the sets of users who took them: ``|A ∩ B| / √(|A| |B|)``
    (Sarwar et al., Item-based collaborative filtering, WWW 2001, section 3.1.1). The likeness to
    each of the last ``window`` items counts the less the longer ago it was taken: 1, 1/2, 1/3, …

    Args:
        window: Last items looked at, or ``"fit"``: the best of `WINDOWS` on the newest tenth of the
            training events.
        own: Whether an item is a neighbour of itself; None chooses with the window.
        repeats: Whether these choices are made with items of the history as candidates.
    """

    name = "item-neighbours"
    request_time = "unknown"

    def __init__(
        self,
        window: int | Literal["fit"] = "fit",
        own: bool | None = None,
        *,
        repeats: bool = True,
    ) -> None:
        if window != "fit" and (type(window) is not int or window < 1):
            raise ConfigError(f"expected window of at least 1 or 'fit', found {window!r}.")
        self.window, self.own, self.repeats = window, own, repeats
        self.cut: int | None = None
        self._items = Vocab()
        self._shares = np.zeros(0, np.float32)
        self._cosines = csr_array((0, 0), dtype=np.float32)
        self._chosen = (5, False)

    def fit(self, log: Log) -> Self:
        """Compare all items; choose the window first if it is to be fitted."""
        settings = [
            (window, own)
            for window in (WINDOWS if self.window == "fit" else (self.window,))
            for own in ((False, True) if self.own is None else (self.own,))
        ]
        self._chosen = settings[0]
        if len(settings) > 1:
            self._chosen = choose(
                log,
                lambda before: self._each(before, settings),
                repeats=self.repeats,
                default=(5, False),
            )
        self._learn(log)
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Sum the neighbours of each question's last items."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has compared nothing yet; call fit(log) first.")
        window, own = self._chosen
        cosines = self._cosines
        if own:
            cosines = cosines + diags_array(np.ones(len(self._items), np.float32), format="csr")
        row = PRIOR * spread(self._shares, self._items, questions)
        columns = questions.items.rows(self._items.ids)
        asked = columns >= 0  # training may know items that nobody asks about
        rows_of = np.append(self._items.rows(questions.items.ids), -1)
        step = block_length(len(row))
        for start in range(0, len(questions), step):
            index = np.arange(start, min(start + step, len(questions)))
            weights = self._last_items(questions, index, window, rows_of)
            found = (weights @ cosines).tocoo()
            scores = np.repeat(row[None, :], len(index), axis=0)
            real = asked[found.col]
            scores[found.row[real], columns[found.col[real]]] += found.data[real]
            yield index, scores

    def _each(
        self, log: Log, settings: list[tuple[int, bool]]
    ) -> dict[tuple[int, bool], Recommender]:
        """Make one fitted model a setting; they share what takes long to compute."""
        first = ItemNeighbours(5, False)._learn(log)
        found: dict[tuple[int, bool], Recommender] = {}
        for setting in settings:
            one = ItemNeighbours(*setting)
            one._chosen, one.cut = setting, first.cut
            one._items, one._shares, one._cosines = first._items, first._shares, first._cosines
            found[setting] = one
        return found

    def _learn(self, log: Log) -> Self:
        self._items = Vocab.from_ids(log.events["item_id"])
        users = self._users(log)
        n_items = len(self._items)
        items = self._items.rows(log.events["item_id"])
        taken = csr_array(
            (np.ones(len(items), np.float32), (items, users)), shape=(n_items, int(users.max()) + 1)
        )
        taken.sum_duplicates()
        taken.data[:] = 1.0
        norms = np.sqrt(np.asarray(taken.sum(axis=1)).ravel())
        unit = diags_array((1 / norms).astype(np.float32), format="csr") @ taken
        self._cosines = _nearest(csr_array(unit))
        events = np.bincount(items, minlength=n_items)
        self._shares = (events / events.sum()).astype(np.float32)
        self.cut = log.end
        return self

    def _users(self, log: Log) -> Ints:
        return Vocab.from_ids(log.events["user_id"]).rows(log.events["user_id"])

    def _last_items(
        self, questions: Questions, index: Ints, window: int, rows_of: Ints
    ) -> csr_array:
        """Weigh the last items of each question: [m, n_items], 1 for the last, then 1/2, 1/3, …"""
        stops, starts = questions.stop[index], questions.start[index]
        lengths = np.minimum(stops - starts, window)
        places = ragged_positions(stops - lengths, lengths)
        rows = np.repeat(np.arange(len(index)), lengths)
        ago = np.repeat(stops, lengths) - places  # 1 for the last
        items = rows_of[questions.histories.items[places]]
        known = items >= 0
        return csr_array(
            ((1 / ago[known]).astype(np.float32), (rows[known], items[known])),
            shape=(len(index), len(self._items)),
        )


def _nearest(unit: csr_array) -> csr_array:
    """Compare all rows of unit length; keep each one's `NEIGHBOURS` nearest, itself left out."""
    parts = []
    other = csr_array(unit.T)
    for start in range(0, unit.shape[0], _ROWS):
        part = (unit[start : start + _ROWS] @ other).tocoo()
        inside = part.row + start != part.col
        row, column, value = part.row[inside], part.col[inside], part.data[inside]
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < NEIGHBOURS
        parts.append(
            csr_array(
                (value[kept], (row[kept], column[kept])), shape=(part.shape[0], unit.shape[0])
            )
        )
    return csr_array(vstack(parts, format="csr"))
