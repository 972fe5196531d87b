"""``recency inspect``: what is in an event file, and what in it will mislead."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import output

if TYPE_CHECKING:
    from recency.data.log import Log

File = Annotated[
    str,
    typer.Argument(
        help="Event file (CSV, TSV, Parquet, NDJSON, .inter), a folder of Parquet files, or - for "
        "NDJSON on standard input."
    ),
]
User = Annotated[str | None, typer.Option(help="Column of the user; default: guessed.")]
Item = Annotated[str | None, typer.Option(help="Column of the item; default: guessed.")]
Time = Annotated[str | None, typer.Option(help="Column of the time; default: guessed.")]
Unit = Annotated[str | None, typer.Option(help="Of numeric times: s, ms, us or ns.")]
TimeZone = Annotated[str, typer.Option(help="IANA zone of times that name none.")]
TimeFormat = Annotated[str | None, typer.Option(help="strftime format of times not in ISO 8601.")]
Names = Annotated[
    str | None, typer.Option(help="Column names, by comma, of a text file without header line.")
]
DropBad = Annotated[bool, typer.Option(help="Drop and count rows that cannot be used.")]


def inspect(
    file: File,
    user: User = None,
    item: Item = None,
    time: Time = None,
    unit: Unit = None,
    time_zone: TimeZone = "UTC",
    time_format: TimeFormat = None,
    names: Names = None,
    drop_bad: DropBad = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it: a .png, .svg or .html file.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Tell what is in a log and what will mislead."""
    if picture is not None:
        from recency.data.inspection.picture import checked_suffix

        checked_suffix(picture)  # before the work, not after it
    log = read(file, user, item, time, unit, time_zone, time_format, names, drop_bad)

    from recency.data.inspection import inspect as look

    found = look(log, now=datetime.now(UTC), time_zone=time_zone)
    output.result(found.to_dict(), as_json=json, text=lambda _: str(found))
    if picture is not None:
        found.picture(picture, title=Path(file).name if file != "-" else "")
        output.tell(f"Drawn: {picture}")


def read(
    file: str,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    unit: str | None = None,
    time_zone: str = "UTC",
    time_format: str | None = None,
    names: str | None = None,
    drop_bad: bool = False,
) -> "Log":
    """Read a log as the flags say, telling on stderr what was guessed."""
    from recency.data.reading import read_log

    asked = {"user_id": user, "item_id": item, "timestamp": time}
    return read_log(
        output.source(file),
        columns={ours: theirs for ours, theirs in asked.items() if theirs is not None},
        unit=unit,
        time_zone=time_zone,
        time_format=time_format,
        names=[name.strip() for name in names.split(",")] if names is not None else None,
        on_bad="drop" if drop_bad else "raise",
        report=output.tell_reading,
    )
