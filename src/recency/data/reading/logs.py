"""Reading: a file or frame of events, items or users.

Decisions: only the columns that are kept are decoded. A row that lacks a user, an item or a time is
an error, unless the caller says ``on_bad="drop"``; then it is counted. What was guessed is told:
to ``report=`` where given, else to the logger ``recency``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.intake import EventRow
from recency.data.log import Log
from recency.data.reading.sources import Format
from recency.data.reading.tables import Kind, OnBad, ReadingReport, Table, TableOptions, tell
from recency.errors import DataError

Events = Log | pl.DataFrame | Sequence[EventRow]  # however they come
EVENT_COLUMNS: dict[str, Kind] = {
    "user_id": "id",
    "item_id": "id",
    "timestamp": "time",
    "event_type": "text",
    "value": "number",
    "session_id": "text",
    "domain": "text",
    "event_id": "text",
}
ITEM_COLUMNS: dict[str, Kind] = {
    "item_id": "id",
    "title": "text",
    "text": "text",
    "categories": "list",
    "price": "number",
    "available_from": "optional time",
    "expires_at": "optional time",
    "is_hidden": "text",
    "in_stock": "text",
    "domain": "text",
}
USER_COLUMNS: dict[str, Kind] = {"user_id": "id"}

Report = Callable[[ReadingReport], None]


def read_log(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    unit: str | None = None,
    time_zone: str = "UTC",
    time_format: str | None = None,
    context: Sequence[str] = (),
    on_bad: OnBad = "raise",
    format: Format | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    report: Report | None = None,
) -> Log:
    """Read events from a file, a folder or a frame.

    Args:
        source: Path of a CSV, TSV (also ``.gz``, ``.zst``), Parquet, NDJSON, Arrow or RecBole
            ``.inter`` file, a folder of Parquet files, an open binary file, a Polars, pandas or
            Arrow frame, or a list of dicts.
        columns: Recency's names (``user_id``, ``item_id``, ``timestamp``, ``event_type``,
            ``value``, ``session_id``, ``domain``, ``event_id``) to the table's; those not named
            are guessed from usual names. None as a value leaves an optional column out.
        unit: Of numeric times, ``s``, ``ms``, ``us`` or ``ns``; None guesses. Checked against the
            values either way.
        time_zone: IANA zone of times that name none.
        time_format: strftime format of times that are not ISO 8601, such as ``%d/%m/%Y %H:%M``.
        context: Further columns to keep, under their own names.
        on_bad: Whether rows without user, item or readable time raise, or are dropped and counted.
        format: What a file is; None tells from its suffix.
        names: Column names of a text file without header line.
        separator: Between the fields of a text file; None tells from its first line.
        report: Called with the `ReadingReport`. Without it the report goes to the logger
            ``recency`` at level INFO, and dropped rows are a `DataWarning`.

    Returns:
        The log, sorted by time; rows of equal time keep their order.

    Raises:
        DataError: the file cannot be read, a column is missing, or rows are bad.
        UnitError: times are in another unit than said.
        ConfigError: an impossible setting.
    """
    options = TableOptions(
        columns, unit, time_zone, time_format, context, on_bad, format, names, separator
    )
    table = Table(source, EVENT_COLUMNS, options)
    frame = table.read()
    if back := int((frame["timestamp"].to_physical().diff() < 0).sum()):
        table.notes.append(
            f"{back:,} of {frame.height:,} rows are earlier than the row before; sorted by time, "
            f"rows of equal time in the order of the source"
        )
    log = Log.from_frame(frame)
    tell(table.report(log.n_events), report)
    return log


def readable(events: Events) -> Log | Sequence[EventRow]:
    """Read events that come as a frame; others are taken as they are.

    Raises:
        DataError: the frame cannot be read.
    """
    return read_log(events) if isinstance(events, pl.DataFrame) else events


def read_items(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    unit: str | None = None,
    time_zone: str = "UTC",
    time_format: str | None = None,
    context: Sequence[str] = (),
    on_bad: OnBad = "raise",
    format: Format | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    report: Report | None = None,
) -> Catalogue:
    """Read what is known about items: title, text, categories, price, availability, stock.

    The arguments are those of `read_log`; Recency's names are ``item_id`` (required), ``title``,
    ``text``, ``categories`` (a list, or text parted by ``|``, ``;`` or ``,``), ``price``,
    ``available_from`` and ``expires_at`` (empty: open), ``is_hidden`` and ``in_stock`` (true and
    false, or numbers: above 0 is true) and ``domain``.

    Raises:
        DataError: the file cannot be read, ids are missing, or an item occurs twice.
    """
    options = TableOptions(
        columns, unit, time_zone, time_format, context, on_bad, format, names, separator
    )
    table = Table(source, ITEM_COLUMNS, options)
    items = Catalogue.from_frame(table.read())
    tell(table.report(len(items)), report)
    return items


def read_users(
    source: Any,
    *,
    columns: Mapping[str, str | None] | None = None,
    context: Sequence[str] | None = None,
    on_bad: OnBad = "raise",
    format: Format | None = None,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    report: Report | None = None,
) -> pl.DataFrame:
    """Read what is known about users: ``user_id`` and attributes of any kind.

    The arguments are those of `read_log`; ``context=None`` keeps every column.

    Raises:
        DataError: the file cannot be read, ids are missing, or a user occurs twice.
    """
    options = TableOptions(
        columns,
        context=context,
        on_bad=on_bad,
        format=format,
        names=names,
        separator=separator,
    )
    table = Table(source, USER_COLUMNS, options)
    users = table.read()
    twice = users["user_id"].filter(users["user_id"].is_duplicated()).unique(maintain_order=True)
    if len(twice):
        raise DataError(
            f"expected one row for each user in {table.source.name}, found {len(twice):,} users "
            f"with several, such as {twice.head(3).to_list()}; keep one row of each."
        )
    tell(table.report(users.height), report)
    return users
