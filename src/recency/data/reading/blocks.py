"""Blocks: the events of a file, a part at a time, so that a log may be larger than memory.

Parquet and Arrow files are read some rows at a time; what else there is (text, NDJSON, frames) has
to be judged as a whole and is read at once. Either way the same events come, and they come again
whenever they are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recency.data.reading.logs import EVENT_COLUMNS, read_log
from recency.data.reading.sources import Source, open_source
from recency.data.reading.tables import OnBad, ReadingReport, Table, TableOptions
from recency.errors import DataError
from recency.units import Instant, format_instant, parse_instant

ROWS = 1_000_000  # a block
NEEDED = ("user_id", "item_id", "timestamp", "event_type", "value")


@dataclass(frozen=True)
class Reading:
    """Say how a file of events is read; see `recency.read_log`.

    Attributes:
        columns: Recency's names to the table's.
        unit: Of numeric times.
        time_zone: Of times that name none.
        time_format: Of times that are not ISO 8601.
        on_bad: Whether rows that cannot be used raise or are dropped.
        until: Leave out the events at or after this instant.
    """

    columns: Mapping[str, str | None] | None = None
    unit: str | None = None
    time_zone: str = "UTC"
    time_format: str | None = None
    on_bad: OnBad = "raise"
    until: Instant | None = None

    def facts(self) -> dict[str, Any]:
        """Give the settings as JSON, equal where the same events would come."""
        until = None if self.until is None else format_instant(parse_instant(self.until))
        columns = None if self.columns is None else dict(self.columns)
        return {**vars(self), "columns": columns, "until": until}


class EventBlocks:
    """Give the events of a file as frames of `NEEDED` columns, in the order of the file.

    Args:
        source: What `recency.read_log` reads.
        reading: How.

    Attributes:
        report: How it was read, after a pass over all blocks.
        n_rows: Rows of the file, those counted in that will be dropped or cut off.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """

    def __init__(self, source: str | Path, reading: Reading) -> None:
        self._reading = reading
        self._until = None if reading.until is None else parse_instant(reading.until)
        unused = {name: None for name in EVENT_COLUMNS if name not in NEEDED}
        self._options = TableOptions(
            columns={**unused, **(reading.columns or {})},
            unit=reading.unit,
            time_zone=reading.time_zone,
            time_format=reading.time_format,
            on_bad=reading.on_bad,
        )
        self.report: ReadingReport | None = None
        self._source = open_source(source)
        self._whole: pl.DataFrame | None = None
        if not _streams(self._source, Table(self._source, EVENT_COLUMNS, self._options)):
            self._whole = self._read_whole()
        self.n_rows = self._counted() if self._whole is None else self._whole.height

    def __iter__(self) -> Iterator[pl.DataFrame]:
        if self._whole is not None:
            for start in range(0, self._whole.height, ROWS):
                yield self._whole.slice(start, ROWS)
            return
        options, reports = self._options, []
        for start in range(0, self.n_rows, ROWS):
            part = self._source.part(start, min(ROWS, self.n_rows - start))
            table = Table(part, EVENT_COLUMNS, options)
            frame = table.read()
            reports.append(table.report(frame.height))
            frame = self._cut(frame)
            if reports[0].unit is not None:  # the first block decides what numbers mean
                options = replace(options, unit=reports[0].unit)
            if frame.height:
                yield frame
        self.report = _joined(self._source.name, reports)

    def _counted(self) -> int:
        assert self._source.rows is not None
        n_rows = int(self._source.rows.select(pl.len()).collect().item())
        if not n_rows:
            raise DataError(f"{self._source.name} has columns but no rows; expected at least one.")
        return n_rows

    def _read_whole(self) -> pl.DataFrame:
        def keep(report: ReadingReport) -> None:
            self.report = report

        reading = self._reading
        log = read_log(
            self._source,
            columns=self._options.columns,
            unit=reading.unit,
            time_zone=reading.time_zone,
            time_format=reading.time_format,
            on_bad=reading.on_bad,
            report=keep,
        )
        return self._cut(log.events)

    def _cut(self, frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.select(name for name in NEEDED if name in frame.columns)
        if self._until is None:
            return frame
        return frame.filter(pl.col("timestamp").to_physical() < self._until)


def _streams(source: Source, table: Table) -> bool:
    """Tell whether blocks can be judged one by one: types by name that mean the same everywhere."""
    if source.rows is None:
        return False
    types = source.rows.collect_schema()
    theirs = table.mapping.theirs
    return "event_type" not in theirs or not types[theirs["event_type"]].is_float()


def _joined(name: str, reports: list[ReadingReport]) -> ReadingReport:
    dropped: dict[str, int] = {}
    for report in reports:
        for why, n in report.dropped.items():
            dropped[why] = dropped.get(why, 0) + n
    return replace(
        reports[0],
        source=name,
        n_rows=sum(report.n_rows for report in reports),
        n_kept=sum(report.n_kept for report in reports),
        dropped=dropped,
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )
