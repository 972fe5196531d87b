"""Series: many numeric series side by side, each with instants of its own.

Decisions: a value that is missing is no event, so it becomes a gap between its neighbours, which
encoders read in seconds. No grid is laid under the instants. Values stay float64 until a difference
in a series' own units is left of them (`recency.sequences.signals`).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Ints, ragged_positions
from recency.data.reading.timestamps import to_instants
from recency.data.vocab import Vocab
from recency.errors import DataError, DataWarning, raise_all
from recency.units import format_instant

Floats = npt.NDArray[np.float64]
COLUMNS = ("series_id", "timestamp", "value")


@dataclass(frozen=True)
class Series:
    """Hold series one after the other, each in the order of time.

    Attributes:
        offsets: [n_series + 1] start of each series.
        times: [n_values] int64 microseconds since 1970 UTC, rising strictly within a series.
        values: [n_values] float64, all finite.
    """

    offsets: Ints
    times: Ints
    values: Floats

    @classmethod
    def empty(cls, n_series: int = 0) -> "Series":
        """Make series without values."""
        return cls(np.zeros(n_series + 1, np.int64), np.empty(0, np.int64), np.empty(0))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Count the values of each series: [n_series]."""
        lengths: Ints = np.diff(self.offsets)
        return lengths

    @property
    def owners(self) -> Ints:
        """Name the series of each value: [n_values]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def before(self, cut: int) -> "Series":
        """Keep what lies before an instant."""
        return self.only(self.times < cut)

    def only(self, kept: npt.NDArray[np.bool_]) -> "Series":
        """Keep marked values; a series of which none is left stays, empty."""
        counts = np.bincount(self.owners[kept], minlength=len(self))
        return Series(_starts(counts), self.times[kept], self.values[kept])

    def extended(self, later: "Series") -> "Series":
        """Put later values behind the known ones; ``later`` may hold more series."""
        lengths = np.zeros(len(later), np.int64)
        lengths[: len(self)] = self.lengths
        offsets = _starts(lengths + later.lengths)
        times = np.empty(offsets[-1], np.int64)
        values = np.empty(offsets[-1])
        parts = (
            (self, offsets[: len(self)], self.lengths),
            (later, offsets[:-1] + lengths, later.lengths),
        )
        for part, starts, counts in parts:
            places = ragged_positions(starts, counts)
            times[places], values[places] = part.times, part.values
        return Series(offsets, times, values)

    def newest(self, n: int) -> Ints:
        """Give the position from which on a series has at most ``n`` values: [n_series]."""
        return np.maximum(self.offsets[:-1], self.offsets[1:] - n)

    def as_of(self, owners: Ints, instants: Ints) -> Ints:
        """Find the newest value at or before an instant: its position, -1 where there is none.

        All questions are answered by one search that halves every question's stretch at once.

        Args:
            owners: [n] series asked for.
            instants: [n] microseconds.
        """
        low, high = self.offsets[owners], self.offsets[owners + 1]
        first = low
        for _ in range(int(self.lengths.max(initial=0)).bit_length()):
            middle = (low + high) // 2
            after = self.times[np.minimum(middle, len(self.times) - 1)] > instants
            is_open = low < high
            low, high = (
                np.where(is_open & ~after, middle + 1, low),
                np.where(is_open & after, middle, high),
            )
        return np.where(low > first, low - 1, -1)


def read_series(frame: pl.DataFrame, names: Vocab) -> Series:
    """Read a frame of values and give their series rows in a vocabulary.

    Args:
        frame: ``series_id`` (text or integers), ``timestamp`` (as `recency.read_log` takes them)
            and ``value`` (numbers; missing ones are left out and counted), in any order.
        names: New series are added to it, once nothing is wrong with the frame.

    Raises:
        DataError: a column is missing or cannot be read, a value is infinite, or a series has two
            values at the same instant; all faults together.

    Warns:
        DataWarning: values are missing.
    """
    faults = [
        f"expected the columns {', '.join(COLUMNS)}, found no {name!r} among {frame.columns}."
        for name in COLUMNS
        if name not in frame.columns
    ]
    raise_all(faults, DataError)
    frame = _known_values(frame)
    column = to_instants(frame["timestamp"]).column
    ids = frame["series_id"]
    faults = [f"{one}; correct or drop these rows." for one in column.faults]
    if ids.null_count():
        faults.append(f"series_id is missing in {ids.null_count():,} of {len(ids):,} rows.")
    if ids.dtype != names.dtype and not (names.dtype == pl.Int64 and ids.dtype.is_integer()):
        faults.append(f"expected series_id as {names.dtype}, found {ids.dtype}; convert it first.")
    if infinite := int(frame["value"].is_infinite().sum()):
        faults.append(f"value is infinite in {infinite:,} of {len(frame):,} rows.")
    raise_all(faults, DataError)
    return _sorted(frame.with_columns(timestamp=column.values), names)


def id_type(frame: pl.DataFrame) -> type[pl.DataType]:
    """Tell which ids the series of a frame have: Int64 or String."""
    found = frame.schema.get("series_id")
    return pl.Int64 if found is not None and found.is_integer() else pl.String


def _known_values(frame: pl.DataFrame) -> pl.DataFrame:
    if not frame["value"].dtype.is_numeric():
        raise DataError(
            f"expected numbers in the column 'value', found {frame['value'].dtype}; convert it."
        )
    frame = frame.select(COLUMNS).with_columns(pl.col("value").cast(pl.Float64))
    kept = frame.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    if missing := len(frame) - len(kept):
        warnings.warn(
            f"{missing:,} of {len(frame):,} values are missing (null or NaN); they are left out, "
            f"and the time without them is read as a gap.",
            DataWarning,
            stacklevel=4,
        )
    return kept


def _sorted(frame: pl.DataFrame, names: Vocab) -> Series:
    keys = frame["series_id"].cast(names.dtype)
    order = frame.with_columns(series_id=keys).sort("series_id", "timestamp", maintain_order=True)
    pair = pl.struct("series_id", "timestamp")
    if twice := order.filter(pair.is_duplicated()).height:
        first = order.filter(pair.is_duplicated()).row(0)
        at = format_instant(int(order.filter(pair.is_duplicated())["timestamp"].to_physical()[0]))
        raise DataError(
            f"expected one value an instant, found {twice:,} rows that share theirs (first: series "
            f"{first[0]!r} at {at}); add them up or keep one."
        )
    rows = names.extend(keys)
    times = frame["timestamp"].dt.epoch("us").to_numpy()
    by_row = np.lexsort((times, rows))
    counts = np.bincount(rows, minlength=len(names))
    return Series(_starts(counts), times[by_row], frame["value"].to_numpy()[by_row])


def _starts(counts: Ints) -> Ints:
    starts: Ints = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return starts
