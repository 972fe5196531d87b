"""Tables: the columns of a source, found, converted, judged and counted.

Event, item and user tables are read by the same steps and differ only in what kind of values each
column holds. What was guessed, dropped or turned into another type is told in a `ReadingReport`.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Literal

import polars as pl

from recency.data.conversion import (
    Column,
    Fault,
    to_ids,
    to_lists,
    to_natural,
    to_numbers,
    to_text,
)
from recency.data.reading.columns import map_columns
from recency.data.reading.sources import Format, Source, open_source
from recency.data.reading.timestamps import to_instants
from recency.errors import ConfigError, DataError, DataWarning

Kind = Literal["id", "time", "optional time", "number", "text", "list"]
OnBad = Literal["raise", "drop"]
_logger = logging.getLogger("recency")


@dataclass(frozen=True)
class ReadingReport:
    """Tell how a table was read.

    Attributes:
        source: The path, or the kind of frame.
        columns: Recency's names to the table's.
        guessed: Recency's names whose column was guessed.
        unread: Columns of the table that were left unread.
        unit: Unit of the times where they were numbers, else None.
        n_rows: Rows found.
        n_kept: Rows kept.
        dropped: Reason to number of rows; a row with two faults counts under both.
        notes: What else the reader should know, with counts.
    """

    source: str
    columns: dict[str, str]
    guessed: tuple[str, ...]
    unread: tuple[str, ...]
    unit: str | None
    n_rows: int
    n_kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max((len(ours) for ours in self.columns), default=0)
        lines = [f"{self.source}: {self.n_rows:,} rows"]
        for ours, theirs in self.columns.items():
            said = [] if ours == theirs or ours not in self.guessed else ["guessed"]
            if ours == "timestamp" and self.unit:
                said.append(f"unit {self.unit}")
            ending = f"  ({', '.join(said)})" if said else ""
            lines.append(f"  {ours:<{width}} = {theirs}{ending}")
        if self.unread:
            lines.append(f"  not read: {', '.join(self.unread)}")
        lines += [f"  dropped: {n:,} rows, {why}" for why, n in self.dropped.items()]
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


@dataclass(frozen=True)
class TableOptions:
    """Hold what the caller of a reading function said; see `recency.read_log`."""

    columns: Mapping[str, str | None] | None = None
    unit: str | None = None
    time_zone: str = "UTC"
    time_format: str | None = None
    context: Sequence[str] | None = ()
    on_bad: OnBad = "raise"
    format: Format | None = None
    names: Sequence[str] | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        if self.on_bad not in ("raise", "drop"):
            raise ConfigError(f"expected on_bad as 'raise' or 'drop', found {self.on_bad!r}.")


class Table:
    """Read one table: open, find the columns, convert, judge.

    Attributes:
        frame: The usable rows, with Recency's column names, after `read`.
        notes: What the reader should know; the caller may add to it before `report`.
    """

    def __init__(self, source: Any, kinds: Mapping[str, Kind], options: TableOptions) -> None:
        """Open a source and find its columns; ids and times are required, the rest is not."""
        self.source: Source = open_source(
            source, format=options.format, names=options.names, separator=options.separator
        )
        self.kinds = kinds
        self.options = options
        required = [name for name, kind in kinds.items() if kind in ("id", "time")]
        self.mapping = map_columns(
            self.source.columns,
            options.columns,
            required=required,
            optional=[name for name in kinds if name not in required],
            context=options.context or (),
            where=self.source.name,
        )
        used = set(self.mapping.theirs.values())
        # Without a list of context columns, every other column is context.
        self.context: Sequence[str] = (
            options.context
            if options.context is not None
            else [name for name in self.source.columns if name not in used]
        )
        self.frame = pl.DataFrame()
        self.notes = list(self.mapping.notes)
        self._faults: list[Fault] = []
        self._n_rows = 0
        self._unit: str | None = None

    def read(self) -> pl.DataFrame:
        """Read the kept columns, convert them, and drop bad rows or raise.

        Raises:
            DataError: the table cannot be read, has no rows, or has bad ones.
            UnitError: times are in another unit than said.
        """
        raw = self.source.take([*self.mapping.theirs.values(), *self.context])
        self._n_rows = raw.height
        if not raw.height:
            raise DataError(f"{self.source.name} has columns but no rows; expected at least one.")
        columns = []
        for ours, theirs in self.mapping.theirs.items():
            columns.append(self._convert(raw.drop_in_place(theirs), ours))
        for name in self.context:
            column = raw.drop_in_place(name)
            columns.append(to_natural(column) if self.source.is_text else column)
        self.frame = self._usable(pl.DataFrame(columns))
        return self.frame

    def report(self, n_kept: int) -> ReadingReport:
        """Sum up the reading."""
        read = {*self.mapping.theirs.values(), *self.context}
        return ReadingReport(
            source=self.source.name,
            columns=self.mapping.theirs,
            guessed=self.mapping.guessed,
            unread=tuple(name for name in self.source.columns if name not in read),
            unit=self._unit,
            n_rows=self._n_rows,
            n_kept=n_kept,
            dropped={one.what: one.n_rows for one in self._faults},
            notes=tuple(self.notes),
        )

    def _convert(self, raw: pl.Series, ours: str) -> pl.Series:
        kind = self.kinds[ours]
        column: Column
        if kind in ("time", "optional time"):
            instants = to_instants(
                raw,
                ours,
                unit=self.options.unit,
                time_zone=self.options.time_zone,
                time_format=self.options.time_format,
            )
            column, self._unit = instants.column, instants.unit or self._unit
        elif kind == "id":
            column = to_ids(raw, ours, is_text=self.source.is_text)
        elif kind == "number":
            column = to_numbers(raw, ours)
        elif kind == "list":
            column = Column(to_lists(raw, ours))
        else:
            column = Column(to_text(raw, ours))
        missing = f"{ours} is missing"
        self._faults += [
            one for one in column.faults if not (kind == "optional time" and one.what == missing)
        ]
        self.notes += column.notes
        return column.values.alias(ours)

    def _usable(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self._faults:
            return frame
        if self.options.on_bad == "raise":
            raise DataError(self._complaint("on_bad='drop' drops and counts them."))
        rest = frame.filter(~reduce(or_, (one.rows for one in self._faults)))
        if not rest.height:
            raise DataError(self._complaint("no row is left without them."))
        return rest

    def _complaint(self, ending: str) -> str:
        listed = "".join(f"\n  - {one}" for one in self._faults)
        return f"{self.source.name} has rows that cannot be used; {ending}{listed}"


def tell(done: ReadingReport, report: Callable[[ReadingReport], None] | None) -> None:
    """Hand a report to the caller, or else to the log; there, dropped rows are a warning too."""
    if report is not None:
        report(done)
        return
    _logger.info("%s", done)
    if done.n_kept < done.n_rows:
        why = ", ".join(f"{what}: {n:,}" for what, n in done.dropped.items())
        lost = f"{done.n_rows - done.n_kept:,} of {done.n_rows:,}"
        warnings.warn(f"{done.source}: dropped {lost} rows ({why}).", DataWarning, stacklevel=4)
