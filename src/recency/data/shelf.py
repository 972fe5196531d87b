"""The shelf: what rules ask of items, as arrays over the rows of one vocabulary.

A question must not look at a million items to learn that none of them is hidden. So what may be
offered is kept as one mask with the span of time in which it holds, masks of categories are kept
until an item changes, and where nothing is refused there is no mask at all. A change of one item
changes its cells; the vocabulary only grows, so only its new rows are looked up.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Ints
from recency.data.item_facts import ALWAYS, CELL, Cells, ItemFacts
from recency.data.vocab import Id, Vocab

Mask = npt.NDArray[np.bool_]
Row = Mapping[str, Any]  # attributes of an item
Kept = TypeVar("Kept")
_MOST_KEPT = 32
_FEW = 1_024


@dataclass
class _Offered:
    """Hold what may be offered at any instant of [since, until), and how many may not."""

    mask: Mask
    at: int
    since: int
    until: int
    n_refused: int

    def join(self, later: "_Offered") -> None:
        """Take in rows that follow, as of the same instant."""
        self.mask = np.concatenate((self.mask, later.mask))
        self.since, self.until = max(self.since, later.since), min(self.until, later.until)
        self.n_refused += later.n_refused


class Shelf:
    """Give masks over the rows of a vocabulary.

    Attributes:
        touched: Rows of items that were described for the first time or came into other categories
            since the shelf was made, in that order; it only grows, so that who follows it reads on
            from where it was.

    Args:
        facts: Of the items of a table.
        newer: Attributes of items that changed since the table was made, by id.
        items: The vocabulary. It is not held, but given again whenever it is needed.
    """

    def __init__(self, facts: ItemFacts, newer: Mapping[Id, Row], items: Vocab) -> None:
        self._facts = facts
        self._cells: Cells = np.empty(0, CELL)
        self._place: Ints = np.full(len(facts), -1)  # vocabulary row of each row of the table
        self._changed: dict[int, tuple[str, ...]] = {}  # categories of changed items
        self._offered: dict[bool, _Offered] = {}
        self._kept: dict[object, Any] = {}
        self._n = 0
        self.touched: list[int] = []
        self.grow(items, newer)

    def __len__(self) -> int:
        return self._n

    @property
    def cells(self) -> Cells:
        """Give the `CELL` of each vocabulary row: [n]."""
        return self._cells[: self._n]

    def grow(self, items: Vocab, newer: Mapping[Id, Row]) -> None:
        """Look up the rows that the vocabulary has got since; arguments as of the constructor."""
        before, self._n = self._n, len(items)
        if before == self._n:
            return
        if len(self._cells) < self._n:
            more = max(self._n, 2 * len(self._cells)) - len(self._cells)
            self._cells = np.concatenate((self._cells, np.empty(more, CELL)))
        fresh = pl.Series(items.take(range(before, self._n)), dtype=items.dtype)
        same = fresh.cast(self._facts.vocab.dtype, strict=False)
        known = self._facts.vocab  # a few ids are looked up one by one, many in bulk
        rows = known.rows(same if len(same) > _FEW else same.to_list())
        if before:
            self.touched.extend((np.flatnonzero(rows >= 0) + before).tolist())
        self._cells[before : self._n] = self._facts.cells[rows]
        self._place[rows[rows >= 0]] = np.flatnonzero(rows >= 0) + before
        self._kept.clear()
        for out_of_stock, held in self._offered.items():
            held.join(_offered_at(self._cells[before : self._n], held.at, out_of_stock))
        if newer:
            for place, one in enumerate(same.to_list(), before):
                if one in newer:
                    self._put(place, newer[one])

    def change(self, items: Vocab, described: Mapping[Id, Row]) -> None:
        """Take in that items were described anew."""
        self._kept.clear()
        for one, attributes in described.items():
            if 0 <= (row := self._row(items, one)) < self._n:
                self._put(row, attributes)

    def offered(self, at: int, *, out_of_stock: bool = False) -> Mask | None:
        """Mark what may be offered at an instant: neither hidden, nor out of stock or of time.

        Args:
            at: Microseconds.
            out_of_stock: Whether what is out of stock may be offered too.

        Returns:
            [n], shared, not to be written to; None where everything may.
        """
        held = self._offered.get(out_of_stock)
        if held is None or not held.since <= at < held.until:
            held = self._offered[out_of_stock] = _offered_at(self.cells, at, out_of_stock)
        return held.mask if held.n_refused else None

    def available(self, at: int) -> Mask:
        """Mark what is neither too early nor too late at an instant (microseconds): [n]."""
        found: Mask = (self.cells["opens"] <= at) & (at < self.cells["closes"])
        return found

    def in_any(self, categories: Iterable[str]) -> Mask:
        """Mark the items that are in any of the categories: [n], shared, not to be written to."""
        wanted = frozenset(categories)
        return self.kept(("in any", wanted), lambda: self._of_categories(wanted))

    def in_domains(self, domains: Iterable[str]) -> Mask:
        """Mark the items of any of the domains: [n], shared, not to be written to."""
        codes = self._facts.domains.rows(sorted(domains))
        wanted = codes[codes >= 0]
        return self.kept(
            ("domains", tuple(wanted.tolist())), lambda: np.isin(self.cells["domain"], wanted)
        )

    def priced(self, least: float | None, most: float | None) -> Mask:
        """Mark the items whose price lies within bounds: [n], shared, not to be written to.

        An item without a price is not among them.
        """

        def find() -> Mask:
            price = self.cells["price"]
            low = -np.inf if least is None else least
            found: Mask = (price >= low) & (price <= (np.inf if most is None else most))
            return found

        return self.kept(("price", least, most), find)

    def kept(self, key: object, make: Callable[[], Kept]) -> Kept:
        """Give what follows from the descriptions of items, made anew when one changes.

        Args:
            key: Under which it is kept.
            make: Makes it; it is shared, and not to be written to.
        """
        found: Kept | None = self._kept.pop(key, None)
        if found is None:
            found = make()
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = found  # the newest last
        return found

    def categories_of(self, row: int) -> tuple[str, ...]:
        """Give the categories of one vocabulary row."""
        changed = self._changed.get(row)
        if changed is not None:
            return changed
        at = int(self._cells["row"][row])
        return () if at < 0 else self._facts.categories_of(at)

    def described(self, start: int) -> list[int]:
        """List the rows from ``start`` on of which anything is known, ascending."""
        rows = (np.flatnonzero(self.cells["row"][start:] >= 0) + start).tolist()
        return sorted({*rows, *(row for row in self._changed if row >= start)})

    def members(self, category: str) -> Ints:
        """Give the vocabulary rows of a category's items, ascending."""
        places = self._place[self._facts.members(category)]
        places = places[places >= 0]
        if not self._changed:
            return np.unique(places)  # an item may name a category twice
        changed = np.fromiter(self._changed, np.int64, len(self._changed))
        now = [row for row, own in self._changed.items() if category in own]
        return np.union1d(places[~np.isin(places, changed)], np.array(now, np.int64))

    def _row(self, items: Vocab, one: Id) -> int:
        """Give the vocabulary's row of a catalogue's id, which may be of the other type."""
        if items.dtype == self._facts.vocab.dtype:
            return items.row(one)
        if items.dtype == pl.String:
            return items.row(str(one))
        same = pl.Series([one]).cast(pl.Int64, strict=False)[0]
        return -1 if same is None else items.row(same)

    def _put(self, row: int, described: Row) -> None:
        known = row in self._changed or int(self._cells["row"][row]) >= 0
        categories = tuple(described.get("categories") or ())
        if not known or set(categories) != set(self.categories_of(row)):
            self.touched.append(row)
        self._cells[row] = self._facts.cell_of(described)
        self._changed[row] = categories
        cell = self._cells[row]
        for out_of_stock, held in self._offered.items():
            may = bool(_may(cell, held.at, out_of_stock))
            held.n_refused += int(held.mask[row]) - int(may)
            held.mask[row] = may
            for bound in (int(cell["opens"]), int(cell["closes"])):
                if bound <= held.at:
                    held.since = max(held.since, bound)
                else:
                    held.until = min(held.until, bound)

    def _of_categories(self, wanted: frozenset[str]) -> Mask:
        mask = np.zeros(self._n, dtype=bool)
        for one in wanted:
            places = self._place[self._facts.members(one)]
            mask[places[places >= 0]] = True
        for row, categories in self._changed.items():
            mask[row] = not wanted.isdisjoint(categories)
        return mask


def _offered_at(cells: Cells, at: int, out_of_stock: bool) -> _Offered:
    mask = _may(cells, at, out_of_stock)
    bounds = np.concatenate((cells["opens"], cells["closes"]))
    before, after = bounds[bounds <= at], bounds[bounds > at]
    since = int(before.max()) if len(before) else int(ALWAYS.min)
    until = int(after.min()) if len(after) else int(ALWAYS.max)
    return _Offered(mask, at, since, until, int(len(mask) - mask.sum()))


def _may(cells: Any, at: int, out_of_stock: bool) -> Mask:
    found: Mask = (cells["opens"] <= at) & (at < cells["closes"]) & ~cells["hidden"]
    return found if out_of_stock else found & cells["in_stock"]
