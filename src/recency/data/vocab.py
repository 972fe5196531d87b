"""Vocab: a person's ids on the outside, row numbers inside.

A vocabulary only grows. A row, once given to an id, never moves, because weights, states and counts
are stored under it.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.errors import DataError

Id = int | str
_INTEGER = re.compile(r"-?[0-9]{1,80}")


class Vocab:
    """Map ids to rows 0, 1, 2, … in the order of first appearance."""

    def __init__(self, dtype: "pl.DataType | type[pl.DataType]" = pl.String) -> None:
        if dtype not in (pl.Int64, pl.String):
            raise DataError(f"expected ids as Int64 or String, found {dtype}.")
        self._is_int = dtype == pl.Int64
        self._ids: list[Id] = []
        self._row_of: dict[Id, int] = {}

    @classmethod
    def from_ids(cls, ids: pl.Series) -> "Vocab":
        """Give rows to the different ids of a series, in the order of first appearance."""
        vocab = cls(ids.dtype)
        vocab._append(ids.unique(maintain_order=True).to_list())
        return vocab

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, one: object) -> bool:
        return one in self._row_of

    @property
    def dtype(self) -> "type[pl.DataType]":
        """Tell the type of the ids: Int64 or String."""
        return pl.Int64 if self._is_int else pl.String

    @property
    def ids(self) -> pl.Series:
        """List all ids by row."""
        return pl.Series("id", self._ids, dtype=self.dtype)

    def row(self, one: Id) -> int:
        """Give the row of one id, -1 when it is unknown."""
        return self._row_of.get(one, -1)

    def id_of(self, row: int) -> Id:
        """Give the id of one row."""
        return self._ids[row]

    def take(self, rows: Iterable[int]) -> list[Id]:
        """Give the ids of rows."""
        return [self._ids[row] for row in rows]

    def rows(self, ids: "pl.Series | Sequence[Id]") -> npt.NDArray[np.int64]:
        """Give the rows of ids, -1 for each unknown one.

        A series is matched inside Polars, which is much faster than one look-up an id.
        """
        if isinstance(ids, pl.Series):
            if ids.dtype != self.dtype:
                if len(ids):
                    raise DataError(
                        f"expected ids of type {self.dtype}, found {ids.dtype}; "
                        f"convert the column first."
                    )
                return np.empty(0, dtype=np.int64)
            table = pl.DataFrame({"id": self.ids, "row": np.arange(len(self), dtype=np.int64)})
            matched = ids.to_frame("id").join(table, on="id", how="left", maintain_order="left")
            return matched["row"].fill_null(-1).to_numpy()
        return np.fromiter((self._row_of.get(one, -1) for one in ids), np.int64, len(ids))

    def extend(self, ids: "pl.Series | Sequence[Id]") -> npt.NDArray[np.int64]:
        """Add the ids that are new, then give the rows of all."""
        if isinstance(ids, pl.Series):
            known = self.rows(ids)
            if (known < 0).any():
                self._append(ids.filter(pl.Series(known < 0)).unique(maintain_order=True).to_list())
                known = self.rows(ids)
            return known
        self._append([one for one in dict.fromkeys(ids) if one not in self._row_of])
        return self.rows(ids)

    def coerce(self, one: Id) -> Id:
        """Turn an id that came as text or number into this vocabulary's type.

        Raises:
            DataError: a text that is no integer of 64 bits, where ids are integers.
        """
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

    def to_frame(self) -> pl.DataFrame:
        """Give one column ``id``, in the order of rows."""
        return self.ids.to_frame()

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Vocab":
        """Rebuild a vocabulary from `to_frame`."""
        vocab = cls(frame["id"].dtype)
        vocab._append(frame["id"].to_list())
        if len(vocab._row_of) != len(vocab._ids):
            raise DataError("a saved vocabulary names an id twice; the file was changed.")
        return vocab

    def _append(self, ids: list[Id]) -> None:
        if self._is_int and any(type(one) is not int for one in ids):
            raise DataError(f"ids of this log are integers, found {ids[:3]!r}.")
        if not self._is_int and any(type(one) is not str for one in ids):
            raise DataError(f"ids of this log are text, found {ids[:3]!r}.")
        self._row_of.update(zip(ids, range(len(self._ids), len(self._ids) + len(ids)), strict=True))
        self._ids.extend(ids)
