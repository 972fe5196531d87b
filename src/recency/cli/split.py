"""``recency split``: cut an event file by time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.reading import instant, log_by_flags

if TYPE_CHECKING:
    from recency.data.log import Log

_NAMES = {2: ("train", "test"), 3: ("train", "valid", "test")}


def split(
    file: options.File,
    at: Annotated[
        list[str],
        typer.Option(help="Instant, or share of the events such as 0.9; may be given again."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for train.parquet and test.parquet.")],
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    time_zone: options.TimeZone = "UTC",
    time_format: options.TimeFormat = None,
    names: options.Names = None,
    drop_bad: options.DropBad = False,
    json: output.Json = False,
) -> None:
    """Cut a log by time into train and test (and valid, with two cuts)."""
    log = log_by_flags(file, user, item, time, unit, time_zone, time_format, names, drop_bad)
    cuts = [instant(log, one, time_zone) for one in at]
    parts = log.split_at(*cuts)
    stems = _NAMES.get(len(parts)) or [f"part-{n}" for n in range(len(parts))]
    out.mkdir(parents=True, exist_ok=True)
    facts = []
    for stem, part in zip(stems, parts, strict=True):
        part.write(out / f"{stem}.parquet")
        facts.append(_facts(out / f"{stem}.parquet", part))
    whole: dict[str, Any] = {"cuts": [output.instant(cut) for cut in cuts], "parts": facts}
    output.result(whole, as_json=json, text=_text)


def _facts(path: Path, part: "Log") -> dict[str, Any]:
    return {
        "file": str(path),
        "n_events": part.n_events,
        "n_users": part.n_users,
        "n_items": part.n_items,
        "start": output.instant(part.start),
        "end": output.instant(part.end - 1),
    }


def _text(facts: dict[str, Any]) -> str:
    rows = [["file", "events", "users", "items", "first event", "last event"]]
    for part in facts["parts"]:
        counts = [f"{part[name]:,}" for name in ("n_events", "n_users", "n_items")]
        rows.append([part["file"], *counts, part["start"], part["end"]])
    return output.align(rows, [False, True, True, True, False, False])
