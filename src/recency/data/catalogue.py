"""Catalogue: what is known about items besides the events.

Decisions: a catalogue is immutable; `upsert` gives a new one. An item that the catalogue lacks is
available, because a log may hold items that no table describes; it is in no category. Availability
is half-open, ``[available_from, expires_at)``, and an empty bound is open. Answers are masks over
the rows of a `Vocab`, so a filter costs one look at an array, not one look-up an item.
"""

import difflib
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.conversion import to_lists
from recency.data.log import TIME
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, FormatError, raise_all
from recency.units import Instant, parse_instant

Mask = npt.NDArray[np.bool_]
COLUMNS: dict[str, pl.DataType] = {
    "title": pl.String(),
    "text": pl.String(),
    "categories": pl.List(pl.String()),
    "price": pl.Float64(),
    "available_from": TIME,
    "expires_at": TIME,
}
_ALWAYS = np.iinfo(np.int64)


class Catalogue:
    """Hold the attributes of items: title, text, categories, price, availability, and others.

    Attributes:
        frame: One row an item: ``item_id`` (Int64 or String) and any of ``title``, ``text``,
            ``categories``, ``price``, ``available_from``, ``expires_at`` and further columns.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """Use a checked frame as it is; make catalogues with `from_frame` or `read_items`."""
        self.frame = frame
        self._aligned: tuple[weakref.ref[Vocab], npt.NDArray[np.int64]] | None = None

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Catalogue":
        """Check a frame with Recency's column names and bring it to their types.

        Times without zone are UTC; texts of categories are parted at ``|``, ``;`` or ``,``.

        Raises:
            DataError: ``item_id`` is missing, null, of a wrong type or not unique, a column cannot
                be converted, or an item expires before it is available; all faults together.
        """
        if "item_id" not in frame.columns:
            raise DataError(
                f"expected a column item_id; found: {', '.join(frame.columns) or 'none'}. "
                f"Use read_items(columns=...) to name yours."
            )
        faults = _id_faults(frame["item_id"])
        columns = {}
        for name in frame.columns:
            try:
                columns[name] = _converted(frame[name])
            except (DataError, pl.exceptions.PolarsError) as error:
                faults.append(f"{name}: {str(error).splitlines()[0]}")
        raise_all(faults, DataError)
        checked = pl.DataFrame(columns)
        raise_all(_span_faults(checked), DataError)
        return cls(checked)

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

    def __len__(self) -> int:
        return self.frame.height

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._vocab

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """List all categories, sorted."""
        return tuple(sorted(self._members))

    def available(self, items: Vocab, at: Instant) -> Mask:
        """Mark the items that may be offered at an instant: [len(items)].

        Args:
            items: The vocabulary whose rows are asked about.
            at: The instant; an item is available from ``available_from`` on and before
                ``expires_at``.
        """
        instant = parse_instant(at)
        start, end = self._bounds
        return self._spread((start <= instant) & (instant < end), items, missing=True)

    def in_categories(self, items: Vocab, categories: Iterable[str]) -> Mask:
        """Mark the items that are in any of the categories: [len(items)].

        Raises:
            ConfigError: no item has such a category.
        """
        wanted = [categories] if isinstance(categories, str) else list(categories)
        raise_all([self._unknown(one) for one in wanted if one not in self._members], ConfigError)
        mask = np.zeros(len(self), dtype=bool)
        for one in wanted:
            mask[self._members[one]] = True
        return self._spread(mask, items, missing=False)

    def describe(self, item_id: Id) -> dict[str, Any]:
        """Give what is known about an item; empty for an item that the catalogue lacks."""
        row = self._vocab.row(item_id)
        if row < 0:
            return {}
        found = self.frame.row(row, named=True)
        return {name: value for name, value in found.items() if value is not None}

    def titles(self, item_ids: Sequence[Id]) -> list[str | None]:
        """Give the titles of items, None where there is none."""
        if "title" not in self.frame.columns:
            return [None] * len(item_ids)
        title = self.frame["title"]
        return [title[row] if (row := self._vocab.row(one)) >= 0 else None for one in item_ids]

    def upsert(self, items: "pl.DataFrame | Sequence[Mapping[str, Any]]") -> "Catalogue":
        """Give a new catalogue in which items are added, or replaced whole where they are known.

        Args:
            items: Recency's column names; a column that this catalogue lacks is added.

        Raises:
            DataError: as `from_frame`, or ids are of another type than here.
        """
        frame = (
            items if isinstance(items, pl.DataFrame) else pl.DataFrame(list(items), strict=False)
        )
        if not frame.height:
            return self
        new = Catalogue.from_frame(frame).frame
        if new["item_id"].dtype != self.frame["item_id"].dtype:
            raise DataError(
                f"item ids of this catalogue are {self.frame['item_id'].dtype}, "
                f"found {new['item_id'].dtype}; convert them first."
            )
        kept = self.frame.filter(~pl.col("item_id").is_in(new["item_id"].implode()))
        return Catalogue(pl.concat([kept, new], how="diagonal_relaxed"))

    @cached_property
    def _vocab(self) -> Vocab:
        return Vocab.from_ids(self.frame["item_id"])

    @cached_property
    def _bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Give the first instant available and the first one no more, microseconds, an item."""
        return (
            self._instants("available_from", int(_ALWAYS.min)),
            self._instants("expires_at", int(_ALWAYS.max)),
        )

    def _instants(self, name: str, missing: int) -> npt.NDArray[np.int64]:
        if name not in self.frame.columns:
            return np.full(len(self), missing, dtype=np.int64)
        return self.frame[name].to_physical().fill_null(missing).to_numpy()

    @cached_property
    def _members(self) -> dict[str, npt.NDArray[np.int64]]:
        """Give the rows of the items of each category."""
        if "categories" not in self.frame.columns:
            return {}
        rows = self.frame.select(pl.int_range(pl.len()).alias("row"), "categories")
        parts = rows.explode("categories").drop_nulls().group_by("categories").agg("row")
        return {name: np.array(members, dtype=np.int64) for name, members in parts.iter_rows()}

    def _unknown(self, category: str) -> str:
        close = difflib.get_close_matches(str(category), self.categories, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return (
            f"no item has the category {category!r}{hint}. "
            f"Known: {', '.join(self.categories[:20]) or 'none'}."
        )

    def _spread(self, mask: Mask, items: Vocab, *, missing: bool) -> Mask:
        """Bring a mask over the catalogue's rows to the rows of a vocabulary."""
        rows = self._rows_of(items)
        return np.where(rows >= 0, np.append(mask, missing)[rows], missing)

    def _rows_of(self, items: Vocab) -> npt.NDArray[np.int64]:
        """Give the catalogue row of each row of a vocabulary, -1 where there is none.

        The last answer is kept: a vocabulary only grows, so only its new rows are looked up.
        """
        known = np.empty(0, dtype=np.int64)
        if self._aligned is not None and self._aligned[0]() is items:
            known = self._aligned[1]
        if len(known) < len(items):
            fresh = pl.Series(items.take(range(len(known), len(items))), dtype=items.dtype)
            same = fresh.cast(self._vocab.dtype, strict=False)
            known = np.concatenate([known, self._vocab.rows(same)])
            self._aligned = (weakref.ref(items), known)
        return known


def _id_faults(ids: pl.Series) -> list[str]:
    if ids.dtype not in (pl.Int64, pl.String):
        return [f"expected item_id as Int64 or String, found {ids.dtype}; read_items converts it."]
    faults = []
    if n_null := ids.null_count():
        faults.append(f"item_id is null in {n_null:,} of {len(ids):,} rows; drop or repair them.")
    twice = ids.drop_nulls().filter(ids.drop_nulls().is_duplicated()).unique(maintain_order=True)
    if len(twice):
        faults.append(
            f"expected one row for each item, found {len(twice):,} items with several, "
            f"such as {twice.head(3).to_list()}; keep one row of each."
        )
    return faults


def _converted(column: pl.Series) -> pl.Series:
    if column.name == "categories":
        return to_lists(column, "categories")
    if column.name not in COLUMNS:
        return column
    kind = COLUMNS[column.name]
    if kind == TIME and column.dtype == pl.String:
        # ISO 8601, as a person or a client writes it.
        texts = column.to_list()
        return pl.Series(
            column.name, [None if one is None else parse_instant(one) for one in texts], pl.Int64
        ).cast(TIME)
    if kind == TIME and column.dtype.is_integer():
        present = column.drop_nulls().to_list()
        for one in present:
            parse_instant(one)  # refuses seconds and milliseconds
    if kind == TIME and isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is None:
        column = column.dt.replace_time_zone("UTC")
    return column.cast(kind)


def _span_faults(frame: pl.DataFrame) -> list[str]:
    if not {"available_from", "expires_at"} <= set(frame.columns):
        return []
    wrong = frame.filter(pl.col("expires_at") < pl.col("available_from"))
    if not wrong.height:
        return []
    return [
        f"{wrong.height:,} items expire before they are available, such as "
        f"{wrong['item_id'][0]!r}: expires_at {wrong['expires_at'][0]}, "
        f"available_from {wrong['available_from'][0]}; correct these times."
    ]
