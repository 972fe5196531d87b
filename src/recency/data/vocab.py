"""Vocab: a person's ids on the outside, row numbers inside.

A vocabulary only grows. A row, once given to an id, never moves, because weights, states and counts
are stored under it. Where an id must be forgotten, its row stays under a name that stands for
nobody.

Ids of a log lie in a Polars series: a million of them are no Python objects until one is asked for
by itself, which is what a service does and training does not. Columns of ids are matched in bulk:
integers that lie close together by one table, all else by one join.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.errors import DataError

Id = int | str
_INTEGER = re.compile(r"-?[0-9]{1,80}")
_RETIRED = "\0erased-"  # no id that comes from outside has a NUL
_SPARSE, _SMALL = 4, 65_536  # most entries of a table of integers: so many an id, and these


class Vocab:
    """Map ids to rows 0, 1, 2, … in the order of first appearance.

    Attributes:
        n_retired: Rows whose id was forgotten.
    """

    def __init__(self, dtype: "pl.DataType | type[pl.DataType]" = pl.String) -> None:
        if dtype not in (pl.Int64, pl.String):
            raise DataError(f"expected ids as Int64 or String, found {dtype}.")
        self._is_int = dtype == pl.Int64
        self.n_retired = 0
        self._bulk = pl.Series("id", [], dtype=self.dtype)  # the first rows
        self._later: list[Id] = []  # those that came one by one since
        self._list: list[Id] | None = None  # all ids, once single ones are asked for
        self._row_of: dict[Id, int] | None = None  # the same the other way round

    @classmethod
    def from_ids(cls, ids: pl.Series) -> "Vocab":
        """Give rows to the different ids of a series, in the order of first appearance."""
        vocab = cls(ids.dtype)
        vocab._append_series(ids.unique(maintain_order=True))
        return vocab

    def __len__(self) -> int:
        return len(self._bulk) + len(self._later)

    def __contains__(self, one: object) -> bool:
        return one in self._rows_by_id()

    @property
    def dtype(self) -> "type[pl.DataType]":
        """Tell the type of the ids: Int64 or String."""
        return pl.Int64 if self._is_int else pl.String

    @property
    def _kind(self) -> str:
        return "integers" if self._is_int else "text"

    @property
    def ids(self) -> pl.Series:
        """List all ids by row."""
        if self._later:
            self._bulk = pl.concat((self._bulk, pl.Series("id", self._later, dtype=self.dtype)))
            self._later = []
        return self._bulk

    @property
    def named(self) -> pl.Series:
        """List all ids by row but those that were forgotten."""
        if not self.n_retired:
            return self.ids
        return self.ids.filter(~_retired(self.ids))

    def row(self, one: Id) -> int:
        """Give the row of one id, -1 when it is unknown."""
        return self._rows_by_id().get(one, -1)

    def id_of(self, row: int) -> Id:
        """Give the id of one row."""
        return self._ids_by_row()[row]

    def take(self, rows: Iterable[int]) -> list[Id]:
        """Give the ids of rows."""
        ids = self._ids_by_row()
        return [ids[row] for row in rows]

    def rows(self, ids: "pl.Series | Sequence[Id]") -> npt.NDArray[np.int64]:
        """Give the rows of ids, -1 for each unknown one.

        A series is matched in bulk, which is much faster than one look-up an id.
        """
        if isinstance(ids, pl.Series):
            if ids.dtype != self.dtype:
                if len(ids):
                    raise DataError(
                        f"expected ids of type {self.dtype}, found {ids.dtype}; "
                        f"convert the column first."
                    )
                return np.empty(0, dtype=np.int64)
            return self._matched(ids)
        row_of = self._rows_by_id().get
        return np.array([row_of(one, -1) for one in ids], np.int64)

    def extend(self, ids: "pl.Series | Sequence[Id]") -> npt.NDArray[np.int64]:
        """Add the ids that are new, then give the rows of all."""
        if isinstance(ids, pl.Series):
            known = self.rows(ids)
            new = known < 0
            if new.any():
                before = len(self)
                strangers = ids.filter(pl.Series(new))
                self._append_series(strangers.unique(maintain_order=True))
                fresh = Vocab(self.dtype)
                fresh._append_series(self._bulk.slice(before))
                known[new] = fresh.rows(strangers) + before
            return known
        rows = self.rows(ids)
        if (rows < 0).any():
            known_ids = self._rows_by_id()
            self._append([one for one in dict.fromkeys(ids) if one not in known_ids])
            rows = self.rows(ids)
        return rows

    def coerce(self, one: Id) -> Id:
        """Turn an id that came as text or number into this vocabulary's type.

        Raises:
            DataError: a text that is no integer of 64 bits, where ids are integers.
        """
        if type(one) is str and not self._is_int:  # as nearly all do
            return one
        if isinstance(one, bool) or not isinstance(one, int | str):
            raise DataError(
                f"expected an id as text or integer, found {type(one).__name__} {one!r}."
            )
        if not self._is_int:
            return str(one)
        if isinstance(one, str):
            if _INTEGER.fullmatch(one) is None:  # int() would also take "4_2" and " 42"
                raise DataError(f"ids of this log are integers, found {one[:80]!r}.")
            one = int(one)
        if not -(2**63) <= one < 2**63:
            raise DataError(f"ids of this log are integers of 64 bits, found {one}.")
        return one

    def retire(self, row: int) -> None:
        """Forget the id of a row; should it come again, it gets a new one.

        The name in its place follows from the row alone: text with a NUL, or one of the smallest
        integers.
        """
        old = self.id_of(row)
        if self.is_retired(old):
            return
        self.n_retired += 1
        name: Id = -(2**63) + row if self._is_int else f"{_RETIRED}{row}"
        self._bulk = self.ids.scatter(row, name)
        if self._list is not None:
            self._list[row] = name
        if self._row_of is not None:
            del self._row_of[old]
            self._row_of[name] = row

    def is_retired(self, one: Id) -> bool:
        """Tell whether an id is only the name of a row whose id was forgotten."""
        if isinstance(one, int):
            return one < -(2**63) + len(self)
        return one.startswith(_RETIRED)

    def to_frame(self) -> pl.DataFrame:
        """Give one column ``id``, in the order of rows."""
        return self.ids.to_frame()

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Vocab":
        """Rebuild a vocabulary from `to_frame`."""
        vocab = cls(frame["id"].dtype)
        if frame["id"].n_unique() != frame.height:
            raise DataError("a saved vocabulary names an id twice; the file was changed.")
        vocab._append_series(frame["id"])
        vocab.n_retired = int(_retired(vocab.ids).sum())
        return vocab

    def _matched(self, ids: pl.Series) -> npt.NDArray[np.int64]:
        """Look a column up among all ids; -1 for nulls and strangers."""
        all_ids = self.ids
        if self._is_int and len(all_ids) and not ids.has_nulls():
            known = all_ids.to_numpy()
            low, high = int(known.min()), int(known.max())
            if high - low < _SPARSE * len(known) + _SMALL:
                return _by_table(known, low, high, ids.to_numpy())
        table = pl.DataFrame({"id": all_ids, "row": np.arange(len(self), dtype=np.int64)})
        matched = ids.to_frame("id").join(table, on="id", how="left", maintain_order="left")
        found: npt.NDArray[np.int64] = matched["row"].fill_null(-1).to_numpy(writable=True)
        return found

    def _ids_by_row(self) -> list[Id]:
        if self._list is None:
            self._list = self.ids.to_list()
        return self._list

    def _rows_by_id(self) -> dict[Id, int]:
        if self._row_of is None:
            ids = self._ids_by_row()
            self._row_of = dict(zip(ids, range(len(ids)), strict=True))
        return self._row_of

    def _append_series(self, new: pl.Series) -> None:
        """Add different ids that are all new."""
        if new.has_nulls():
            raise DataError(f"ids of this log are {self._kind}, found [None].")
        before = len(self)
        self._bulk = pl.concat((self.ids, new.alias("id")), rechunk=True)
        if self._list is not None:
            self._list.extend(new.to_list())
        if self._row_of is not None:
            self._row_of.update(zip(new.to_list(), range(before, len(self)), strict=True))

    def _append(self, ids: list[Id]) -> None:
        """Add different ids that are all new and come one by one."""
        kind = int if self._is_int else str
        if any(type(one) is not kind for one in ids):
            raise DataError(f"ids of this log are {self._kind}, found {ids[:3]!r}.")
        rows, known = self._rows_by_id(), self._ids_by_row()
        rows.update(zip(ids, range(len(self), len(self) + len(ids)), strict=True))
        known.extend(ids)
        self._later.extend(ids)


def _retired(ids: pl.Series) -> pl.Series:
    """Mark the names of rows whose id was forgotten."""
    if ids.dtype == pl.Int64:
        return ids < -(2**63) + len(ids)
    return ids.str.starts_with(_RETIRED)


def _by_table(
    known: npt.NDArray[np.int64], low: int, high: int, ids: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Look integers up in a table over the span of the known ones."""
    rows = np.full(high - low + 2, -1, dtype=np.int32)  # the last entry answers for strangers
    rows[known - low] = np.arange(len(known), dtype=np.int32)
    inside = (ids >= low) & (ids <= high)
    places = np.where(inside, ids - low, high - low + 1)
    found: npt.NDArray[np.int64] = rows[places].astype(np.int64)
    return found
