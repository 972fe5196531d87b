"""User attributes: how what is known of people becomes small whole numbers.

Code 0 stands for everything that says nothing: no value, a value that training never saw, or one
that too few users share to be learned from (a postcode of one user would be that user's name).
Numbers with many values are cut at quantiles. Values and cuts are those of the users of training.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recency.data.histories import Ints

NOTHING = 0  # the code of what says nothing
_FEW_VALUES = 12  # numbers with no more of them are names
_BINS = 8
_MOST_VALUES = 500


@dataclass(frozen=True)
class Attribute:
    """Say how one attribute becomes codes.

    Attributes:
        name: Of the column.
        values: Texts by code less 1; empty for numbers that are cut.
        edges: Where numbers are cut, ascending; the code is 1 more than the edges at or below.
    """

    name: str
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def n_codes(self) -> int:
        """Count the codes, that of nothing included."""
        return len(self.values) + 1 if self.values else len(self.edges) + 2

    def said(self, value: object) -> str | float | None:
        """Give a value from outside, as JSON has them, as `codes` takes it; None says nothing."""
        if value is None or not isinstance(value, str | int | float):
            return None
        if not self.values:
            return None if isinstance(value, bool | str) else float(value)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(value).lower()
        # 3 and 3.0 are one number, whichever the column was made of.
        texts = [str(value), str(float(value)), *([str(int(value))] if value % 1 == 0 else [])]
        return next((one for one in texts if one in self.values), texts[0])

    def codes(self, column: pl.Series) -> Ints:
        """Turn values [n] into codes [n]."""
        if self.values:
            place = {value: code for code, value in enumerate(self.values, 1)}
            texts = column.cast(pl.String).to_list()
            return np.array([place.get(one, NOTHING) for one in texts], np.int64)
        numbers = column.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
        cut = np.searchsorted(np.array(self.edges), np.nan_to_num(numbers), side="right") + 1
        return np.where(np.isfinite(numbers), cut, NOTHING)


def chosen(column: pl.Series, least: int) -> Attribute | None:
    """Choose how a column becomes codes; None where there is nothing to learn."""
    known = column.drop_nulls()
    if not (known.dtype.is_numeric() or known.dtype in (pl.String, pl.Boolean, pl.Categorical)):
        return None
    counts = known.cast(pl.String).value_counts(sort=True).filter(pl.col("count") >= least)
    few = not known.dtype.is_numeric() or known.n_unique() <= _FEW_VALUES
    if few and counts.height > 1:
        return Attribute(column.name, tuple(counts[column.name].head(_MOST_VALUES).sort()))
    n_bins = min(_BINS, len(known) // least)
    if not known.dtype.is_numeric() or known.n_unique() < n_bins or n_bins < 2:
        return None
    shares = np.arange(1, n_bins) / n_bins
    edges = np.unique(np.quantile(known.cast(pl.Float64).to_numpy(), shares))
    return Attribute(column.name, edges=tuple(edges.tolist()))
