"""Item facts: what rules ask of the items of a table, as arrays over its rows.

A table never changes, so its arrays are made once, when first asked for, and shared by every
catalogue that stands on it.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Ints
from recency.data.vocab import Vocab
from recency.units import parse_instant

ALWAYS = np.iinfo(np.int64)
# What is known of one item. `opens` and `closes` are microseconds, `price` is NaN and `domain` -1
# where there is none; `row` is the item's row in the table, -1 where it is in none.
CELL = np.dtype(
    [
        ("opens", "i8"),
        ("closes", "i8"),
        ("hidden", "?"),
        ("in_stock", "?"),
        ("price", "f8"),
        ("domain", "i4"),
        ("row", "i8"),
    ]
)
Cells = npt.NDArray[np.void]
UNDESCRIBED = (int(ALWAYS.min), int(ALWAYS.max), False, True, np.nan, -1, -1)


class ItemFacts:
    """Give the facts of a checked table of items.

    Args:
        frame: As `recency.data.item_frames.checked` gives it.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def vocab(self) -> Vocab:
        """Give the rows of the item ids."""
        return Vocab.from_ids(self.frame["item_id"])

    @cached_property
    def domains(self) -> Vocab:
        """Give codes to the domains; it grows when items of new ones join a catalogue."""
        if "domain" not in self.frame.columns:
            return Vocab(pl.String)
        return Vocab.from_ids(self.frame["domain"].drop_nulls())

    @cached_property
    def cells(self) -> Cells:
        """Give a `CELL` a row, and one more for an item that the table lacks."""
        cells = np.full(len(self) + 1, np.array(UNDESCRIBED, CELL))
        known = cells[:-1]
        known["row"] = np.arange(len(self))
        for name, column in (("opens", "available_from"), ("closes", "expires_at")):
            if column in self.frame.columns:
                missing = int(ALWAYS.min if name == "opens" else ALWAYS.max)
                known[name] = self.frame[column].to_physical().fill_null(missing).to_numpy()
        if "is_hidden" in self.frame.columns:
            known["hidden"] = self.frame["is_hidden"].fill_null(False).to_numpy()
        if "in_stock" in self.frame.columns:
            known["in_stock"] = self.frame["in_stock"].fill_null(True).to_numpy()
        if "price" in self.frame.columns:
            known["price"] = self.frame["price"].fill_null(np.nan).to_numpy()
        if "domain" in self.frame.columns:
            known["domain"] = self.domains.rows(self.frame["domain"])
        return cells

    def members(self, category: str) -> Ints:
        """Give the rows of the items of a category, ascending."""
        names, _, starts, rows = self._by_category
        code = names.row(category)
        return rows[:0] if code < 0 else rows[starts[code] : starts[code + 1]]

    def categories_of(self, row: int) -> tuple[str, ...]:
        """Give the categories of one row."""
        names, codes, _, _ = self._by_category
        start, stop = self._spans[row : row + 2]
        return tuple(str(one) for one in names.take(codes[start:stop].tolist()))

    @property
    def categories(self) -> list[str]:
        """List all categories, in no particular order."""
        return [str(one) for one in self._by_category[0].ids.to_list()]

    def cell_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Give the `CELL` of an item that stands beside the table, from its attributes."""
        opens, closes = row.get("available_from"), row.get("expires_at")
        domain, price = row.get("domain"), row.get("price")
        if domain is not None and domain not in self.domains:
            self.domains.extend([domain])
        return (
            int(ALWAYS.min) if opens is None else parse_instant(opens),
            int(ALWAYS.max) if closes is None else parse_instant(closes),
            bool(row.get("is_hidden")),
            row.get("in_stock") is not False,
            np.nan if price is None else price,
            -1 if domain is None else self.domains.row(domain),
            -1,
        )

    @cached_property
    def _by_category(self) -> tuple[Vocab, Ints, Ints, Ints]:
        """Give names, codes by item, and for each code where its rows start, and all rows."""
        if "categories" not in self.frame.columns:
            nothing = np.empty(0, np.int64)
            return Vocab(pl.String), nothing, np.zeros(1, np.int64), nothing
        rows = self.frame.select(pl.int_range(pl.len()).alias("row"), "categories")
        parts = rows.explode("categories").drop_nulls()
        names = Vocab.from_ids(parts["categories"])
        codes, owners = names.rows(parts["categories"]), parts["row"].to_numpy()
        order = np.argsort(codes, kind="stable")
        starts = np.append(0, np.cumsum(np.bincount(codes, minlength=len(names))))
        return names, codes, starts, owners[order]

    @cached_property
    def _spans(self) -> Ints:
        """Give where each row's codes start."""
        _, _, starts, rows = self._by_category
        return np.append(0, np.cumsum(np.bincount(rows, minlength=len(self))))
