"""``recency fit``: learn from an event file and save the model."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output
from recency.cli.inspect import File, Item, Time, Unit, User
from recency.cli.progress import training_bar
from recency.cli.run_config import RunConfig, read_run_config

if TYPE_CHECKING:
    from recency.data.catalogue import Catalogue
    from recency.data.log import Log
    from recency.recommender import SequenceRecommender


def fit(
    file: File,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    config: Annotated[
        Path | None, typer.Option(help="run.toml with every knob; flags go over it.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Learn from events before this instant, or this share (0.9) of the log."),
    ] = None,
    items: Annotated[
        str | None, typer.Option(help="Item file: titles, categories, availability.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="tide, transformer, gru, lstm, …")] = None,
    size: Annotated[str | None, typer.Option(help="small, medium or large.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the events.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    seed: Annotated[int | None, typer.Option(help="Repeats a run.")] = None,
    user: User = None,
    item: Item = None,
    time: Time = None,
    unit: Unit = None,
    json: output.Json = False,
) -> None:
    """Learn from an event file and save the model."""
    settings = read_run_config(
        config,
        {
            "data": data_flags(user, item, time, unit),
            "split": {"until": until},
            "model": {"encoder": encoder, "size": size, "seed": seed},
            "training": {"epochs": epochs, "device": device},
        },
    )
    log = training_log(file, settings)
    catalogue = None if items is None else _items(items)
    recommender = settings.recommender()
    began = perf_counter()
    with training_bar() as progress:
        recommender.fit(log, catalogue, progress)
    recommender.save(out)
    output.result(_facts(recommender, log, out, perf_counter() - began), as_json=json, text=_text)


def data_flags(
    user: str | None, item: str | None, time: str | None, unit: str | None
) -> dict[str, Any]:
    """Turn the flags that say how a file is read into a ``[data]`` section."""
    asked = {"user_id": user, "item_id": item, "timestamp": time}
    columns = {ours: theirs for ours, theirs in asked.items() if theirs is not None}
    return {"columns": columns or None, "unit": unit}


def training_log(file: str, settings: RunConfig) -> "Log":
    """Read the events that a run learns from."""
    log = events(file, settings)
    until = settings.split.until
    return log if until is None else log.split_at(instant(log, until))[0]


def events(file: str, settings: RunConfig) -> "Log":
    """Read an event file as ``[data]`` says; what was guessed is told on stderr."""
    from recency.data.reading import read_log

    data = settings.data
    return read_log(
        output.source(file),
        columns=data.columns,
        unit=data.unit,
        time_zone=data.time_zone,
        on_bad=data.on_bad,
        context=data.context,
        report=output.tell_reading,
    )


def instant(log: "Log", at: str | float) -> int:
    """Turn ``2026-03-01`` or a share such as ``0.9`` into an instant."""
    from recency.units import parse_instant

    try:
        share = float(at)
    except ValueError:
        return parse_instant(str(at))
    return log.quantile(share)


def _items(file: str) -> "Catalogue":
    from recency.data.reading import read_items

    return read_items(file, report=output.tell_reading)


def _facts(
    recommender: "SequenceRecommender", log: "Log", out: Path, seconds: float
) -> dict[str, Any]:
    from recency.units import format_instant

    result = recommender.training_result
    assert result is not None and recommender.cut is not None
    return {
        "folder": str(out),
        "model_version": recommender.model_version,
        "encoder": recommender.name,
        "n_events": log.n_events,
        "n_users": log.n_users,
        "n_items": log.n_items,
        "cut": format_instant(recommender.cut),
        "epochs": result.epochs,
        "valid_ndcg@10": result.valid,
        "n_targets": result.n_targets,
        "seconds": round(seconds, 1),
        "notes": list(result.notes),
    }


def _text(facts: dict[str, Any]) -> str:
    valid = facts["valid_ndcg@10"]
    judged = "" if valid is None else f", NDCG@10 {valid:.4f} on the newest slice"
    lines = [
        f"{facts['encoder']} {facts['model_version']} learned {facts['n_events']:,} events of "
        f"{facts['n_users']:,} users and {facts['n_items']:,} items before {facts['cut']}: "
        f"{facts['epochs']} epochs in {facts['seconds']} s{judged}.",
        f"Saved in {facts['folder']}. Next: recency evaluate {facts['folder']} FILE, "
        f"recency serve {facts['folder']}",
    ]
    return "\n".join([*(f"Note: {note}" for note in facts["notes"]), *lines])
