"""Catalogue: what is known about items besides the events.

Decisions: a catalogue is immutable; `upsert`, `merge` and `remove` give a new one. The new one
shares the large table of the old and holds the few items that changed since beside it, so that one
new price costs the same in a shop of a hundred items and of a hundred thousand; now and then both
become one table. An item that the catalogue lacks is available, because a log may hold items that
no table describes; it is in no category and no domain, and has no price. Availability is half-open,
``[available_from, expires_at)``, and an empty bound is open. Answers are masks over the rows of a
`Vocab`, so a filter costs one look at an array, not one look-up an item.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import polars as pl

from recency.data.item_facts import ItemFacts
from recency.data.item_frames import COLUMNS, checked
from recency.data.shelf import Mask, Shelf
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, FormatError, raise_all
from recency.units import Instant, parse_instant

Row = dict[str, Any]
_FEW = 1_024  # items at once, and changed items in all, that are held beside the table
_BESIDE_SHARE = 64  # and one for so many rows of the table


class Catalogue:
    """Hold the attributes of items: title, text, categories, price, availability, and others.

    Rules of an answer read ``categories``, ``price``, ``domain``, ``available_from``,
    ``expires_at``, ``is_hidden`` and ``in_stock``; see `recency.Selection`.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """Use a checked frame as it is; make catalogues with `from_frame` or `read_items`."""
        self._facts = ItemFacts(frame)
        self._newer: dict[Id, Row] = {}
        self._shelves: WeakKeyDictionary[Vocab, _Held] = WeakKeyDictionary()

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Catalogue":
        """Check a frame with Recency's column names and bring it to their types.

        Times without zone are UTC; texts of categories are parted at ``|``, ``;`` or ``,``.

        Raises:
            DataError: ``item_id`` is missing, null, of a wrong type or not unique, a column cannot
                be converted, or an item expires before it is available; all faults together.
        """
        return cls(checked(frame))

    @classmethod
    def read(cls, path: str | Path) -> "Catalogue":
        """Read what `write` has written.

        Raises:
            FormatError: the file is missing or damaged.
        """
        try:
            return cls.from_frame(pl.read_parquet(path))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FormatError(
                f"cannot read the catalogue {path}: {str(error).splitlines()[0]}"
            ) from error

    def write(self, path: str | Path) -> None:
        """Write the attributes as a Parquet file."""
        self.frame.write_parquet(path, compression="zstd")

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Give all items, one row each.

        Returns:
            ``item_id`` (Int64 or String) and any of ``title``, ``text``, ``categories``,
            ``price``, ``available_from``, ``expires_at``, ``is_hidden``, ``in_stock``, ``domain``
            and further columns.
        """
        table = self._facts.frame
        if not self._newer:
            return table
        rows = list(self._newer.values())
        wide = list(dict.fromkeys(name for row in rows for name in row))
        known = COLUMNS | dict(table.schema)
        kinds = {name: known[name] for name in wide if name in known}
        newer = pl.DataFrame(rows, wide, schema_overrides=kinds, infer_schema_length=None)
        return _joined(table, newer)

    def __len__(self) -> int:
        return len(self._facts) + self._n_joined

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._newer or item_id in self._facts.vocab

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """List all categories, sorted."""
        newer = {name for row in self._newer.values() for name in row.get("categories") or ()}
        return tuple(sorted({one for one in self._facts.categories if self._is_still(one)} | newer))

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """List all domains that items have had, sorted."""
        newer = {row["domain"] for row in self._newer.values() if row.get("domain") is not None}
        return tuple(sorted({str(one) for one in self._facts.domains.ids.to_list()} | newer))

    def shelf(self, items: Vocab) -> Shelf:
        """Give what rules ask of items, over the rows of a vocabulary.

        It is handed on to the catalogue that follows this one, and kept in step with the
        vocabulary; ask for it anew for each question.
        """
        held = self._shelves.get(items)
        if held is None or held.owner is not self._newer:
            held = _Held(Shelf(self._facts, self._newer, items), self._newer)
            self._shelves[items] = held
        held.shelf.grow(items, self._newer)
        return held.shelf

    def available(self, items: Vocab, at: Instant) -> Mask:
        """Mark the items that may be offered at an instant: [len(items)].

        Args:
            items: The vocabulary whose rows are asked about.
            at: The instant; an item is available from ``available_from`` on and before
                ``expires_at``.
        """
        return self.shelf(items).available(parse_instant(at))

    def in_categories(self, items: Vocab, categories: Iterable[str]) -> Mask:
        """Mark the items that are in any of the categories: [len(items)], not to be written to.

        Raises:
            ConfigError: no item has such a category.
        """
        wanted = [categories] if isinstance(categories, str) else list(categories)
        raise_all(self.unknown_categories(wanted), ConfigError)
        return self.shelf(items).in_any(wanted)

    def unknown_categories(self, categories: Iterable[str]) -> list[str]:
        """Give a fault for each category that no item has."""
        return [
            _unknown("category", one, self.categories)
            for one in categories
            if not self.has_category(one)
        ]

    def unknown_domains(self, domains: Iterable[str]) -> list[str]:
        """Give a fault for each domain that no item has."""
        return [
            _unknown("domain", one, self.domains)
            for one in domains
            if one not in self._facts.domains and one not in self.domains
        ]

    def has_category(self, category: str) -> bool:
        """Tell whether any item is in a category."""
        return self._is_still(category) or any(
            category in (row.get("categories") or ()) for row in self._newer.values()
        )

    def describe(self, item_id: Id) -> Row:
        """Give what is known about an item; empty for an item that the catalogue lacks."""
        found = self._newer.get(item_id)
        if found is None:
            row = self._facts.vocab.row(item_id)
            if row < 0:
                return {}
            found = self._facts.frame.row(row, named=True)
        return {name: value for name, value in found.items() if value is not None}

    def titles(self, item_ids: Sequence[Id]) -> list[str | None]:
        """Give the titles of items, None where there is none."""
        return [self.describe(one).get("title") for one in item_ids]

    def upsert(self, items: "pl.DataFrame | Sequence[Mapping[str, Any]]") -> "Catalogue":
        """Give a new catalogue in which items are added, or replaced whole where they are known.

        Args:
            items: Recency's column names; a column that this catalogue lacks is added.

        Raises:
            DataError: as `from_frame`, or ids are of another type than here.
        """
        frame = _table(items)
        if not frame.height:
            return self
        new = checked(frame)
        if new["item_id"].dtype != self._facts.vocab.dtype:
            raise DataError(
                f"item ids of this catalogue are {self._facts.vocab.dtype}, "
                f"found {new['item_id'].dtype}; convert them first."
            )
        most = max(_FEW, len(self._facts) // _BESIDE_SHARE)
        if new.height > _FEW or new.height + len(self._newer) > most:
            return Catalogue(_joined(self.frame, new))
        return self._with({row["item_id"]: row for row in new.iter_rows(named=True)})

    def merge(self, items: "pl.DataFrame | Sequence[Mapping[str, Any]]") -> "Catalogue":
        """Give a new catalogue in which only the attributes named change.

        Args:
            items: As of `upsert`. An attribute named with None is taken away; those not named stay
                as they are. Items not known yet are added.

        Raises:
            DataError: as `upsert`; also where an item would then expire before it is available.
        """
        frame = _table(items)
        if not frame.height:
            return self
        rows = checked(frame).to_dicts()
        named = [frame.columns] * len(rows) if isinstance(items, pl.DataFrame) else list(items)
        merged = [
            self.describe(row["item_id"]) | {name: row[name] for name in names}
            for row, names in zip(rows, named, strict=True)
        ]
        return self.upsert(_table(merged))

    def remove(self, item_ids: Iterable[Id]) -> "Catalogue":
        """Give a new catalogue that says nothing of items but that they are hidden.

        They stay hidden, because events may go on naming them; `upsert` brings one back.
        """
        return self.upsert([{"item_id": one, "is_hidden": True} for one in dict.fromkeys(item_ids)])

    def _with(self, rows: dict[Id, Row]) -> "Catalogue":
        """Give a catalogue on the same table with some items changed beside it."""
        twin = Catalogue.__new__(Catalogue)
        twin._facts = self._facts
        twin._newer = self._newer | rows
        twin._shelves = WeakKeyDictionary()
        for items, held in self._shelves.items():
            if held.owner is self._newer:
                held.shelf.change(items, rows)
                held.owner = twin._newer
                twin._shelves[items] = held
        return twin

    @cached_property
    def _n_joined(self) -> int:
        return sum(one not in self._facts.vocab for one in self._newer)

    def _is_still(self, category: str) -> bool:
        """Tell whether an item of the table is in a category, and has not been changed since."""
        members = self._facts.members(category)
        if not self._newer:
            return len(members) > 0
        ids = self._facts.vocab
        return any(ids.id_of(int(row)) not in self._newer for row in members)


class _Held:
    """Hold a shelf, and for which catalogue it stands: that of these newer items."""

    def __init__(self, shelf: Shelf, owner: dict[Id, Row]) -> None:
        self.shelf, self.owner = shelf, owner


def _table(items: "pl.DataFrame | Sequence[Mapping[str, Any]]") -> pl.DataFrame:
    if isinstance(items, pl.DataFrame):
        return items
    return pl.DataFrame(list(items), strict=False, infer_schema_length=None)


def _joined(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    kept = old.filter(~pl.col("item_id").is_in(new["item_id"].implode()))
    return pl.concat([kept, new], how="diagonal_relaxed")


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"no item has the {what} {name!r}{hint}. Known: {', '.join(known[:20]) or 'none'}."
