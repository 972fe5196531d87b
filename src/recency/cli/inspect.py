"""``recency inspect``: what is in an event file, and what in it will mislead."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from recency.cli import options, output
from recency.cli.reading import log_by_flags


def inspect(
    file: options.File,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    time_zone: options.TimeZone = "UTC",
    time_format: options.TimeFormat = None,
    names: options.Names = None,
    drop_bad: options.DropBad = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it: a .png, .svg or .html file.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Tell what is in a log and what will mislead."""
    if picture is not None:
        from recency.data.inspection.picture import checked_suffix

        checked_suffix(picture)  # before the work, not after it
    log = log_by_flags(file, user, item, time, unit, time_zone, time_format, names, drop_bad)

    from recency.data.inspection import inspect as look

    found = look(log, now=datetime.now(UTC), time_zone=time_zone)
    output.result(found.to_dict(), as_json=json, text=lambda _: str(found))
    if picture is not None:
        found.picture(picture, title=Path(file).name if file != "-" else "")
        output.tell(f"Drawn: {picture}")
