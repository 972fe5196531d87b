"""``recency prepare``: turn an event file once into arrays that training maps into memory."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.progress import preparation_bar
from recency.cli.run_flags import columns_of
from recency.errors import ConfigError

if TYPE_CHECKING:
    from recency.data.prepared import Prepared


def prepare(
    file: options.File,
    out: Annotated[Path, typer.Option(help="Folder for the arrays; `recency fit` reads it.")],
    until: Annotated[
        str | None, typer.Option(help="Leave out events at or after this instant.")
    ] = None,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    time_zone: options.TimeZone = "UTC",
    time_format: options.TimeFormat = None,
    drop_bad: options.DropBad = False,
    json: output.Json = False,
) -> None:
    """Turn an event file, larger than memory if need be, into what training reads."""
    from recency.data.preparation import prepare as prepared
    from recency.data.reading.blocks import Reading

    if file == "-":
        raise ConfigError("expected a file to prepare, which is read twice; found standard input.")
    reading = Reading(
        columns=columns_of(user, item, time) or None,
        unit=unit,
        time_zone=time_zone,
        time_format=time_format,
        on_bad="drop" if drop_bad else "raise",
        until=until,
    )
    path, began = output.source(file), perf_counter()
    assert isinstance(path, Path)
    with preparation_bar() as progress:
        found = prepared(path, out, reading, report=output.tell_reading, progress=progress)
    output.result(_facts(found, out, perf_counter() - began), as_json=json, text=_text)


def _facts(found: "Prepared", out: Path, seconds: float) -> dict[str, Any]:
    return {
        "folder": str(out),
        "n_events": found.n_events,
        "n_users": found.n_users,
        "n_items": found.n_items,
        "start": output.instant(found.start),
        "end": output.instant(found.end - 1),
        "bytes_per_event": round(found.histories.nbytes / found.n_events, 2),
        "seconds": round(seconds, 1),
    }


def _text(facts: dict[str, Any]) -> str:
    return (
        f"{facts['n_events']:,} events of {facts['n_users']:,} users and {facts['n_items']:,} "
        f"items, {facts['start']} to {facts['end']}, lie ready in {facts['folder']}: "
        f"{facts['bytes_per_event']} bytes an event, {facts['seconds']} s.\n"
        f"Next: recency fit {facts['folder']} --out MODEL"
    )
