"""``recency fit``: learn from an event file and save the model."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output
from recency.cli.content import content_of
from recency.cli.inspect import File, Item, Time, Unit, User
from recency.cli.progress import training_bar
from recency.cli.run_config import RunConfig, read_run_config
from recency.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from recency.data.catalogue import Catalogue
    from recency.data.log import Log
    from recency.data.prepared import Prepared
    from recency.recommender import SequenceRecommender
    from recency.training.tracking.run_folder import RunFolder
    from recency.training.tracking.trackers import Tracker

Until = Annotated[
    str | None,
    typer.Option(help="Learn from events before this instant, or this share (0.9) of the log."),
]
EncoderName = Annotated[str | None, typer.Option(help="tide, transformer, gru, lstm, …")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Config = Annotated[Path | None, typer.Option(help="run.toml with every knob; flags go over it.")]
Items = Annotated[str | None, typer.Option(help="Item file: titles, categories, availability.")]
Text = Annotated[
    str | None,
    typer.Option(help="Encoder of the items' words: minilm, static, a folder or hub id."),
]
Vectors = Annotated[list[str] | None, typer.Option(help="File of item vectors; may be repeated.")]
TrackerNames = Annotated[
    list[str] | None, typer.Option(help="tensorboard, wandb or mlflow; may be repeated.")
]
RunDir = Annotated[
    Path | None, typer.Option(help="Folder that keeps all it takes to repeat the run.")
]


def fit(
    file: File,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    config: Config = None,
    until: Until = None,
    items: Items = None,
    users: Annotated[
        str | None, typer.Option(help="User file: profiles of any columns, read with the events.")
    ] = None,
    text: Text = None,
    vectors: Vectors = None,
    encoder: EncoderName = None,
    size: Annotated[str | None, typer.Option(help="small, medium or large.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the events.")] = None,
    device: Device = None,
    seed: Annotated[int | None, typer.Option(help="Repeats a run.")] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="Model to start from; its item ids mean the same items.")
    ] = None,
    tracker: TrackerNames = None,
    run_dir: RunDir = None,
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
            "content": {"text": text, "vectors": vectors},
        },
    )
    if settings.ensemble is not None:
        if init_from is not None or users is not None:
            raise ConfigError("--init-from, --users: for one model, but run.toml has [ensemble].")
        _fit_ensemble(settings, file, items, out, tracked=bool(tracker or run_dir), as_json=json)
        return
    kept = None if run_dir is None else _run_folder(run_dir, settings)
    trackers = _trackers(tracker, kept)
    log = log_to_learn(file, settings)
    catalogue = None if items is None else _items(items)
    known = None if settings.content is None else content_of(settings.content, catalogue)
    recommender, people = settings.recommender(), _people(users, settings)
    began = perf_counter()
    with training_bar() as progress:
        recommender.fit(
            log, catalogue, progress, content=known, init_from=init_from,
            init_items=init_from is not None, tracker=trackers, users=people,
        )  # fmt: skip
    recommender.save(out)
    output.result(_facts(recommender, log, out, perf_counter() - began), as_json=json, text=_text)
    if kept is not None and not kept.whole:  # a note has said why; the model is saved
        raise typer.Exit(1)


def _people(file: str | None, settings: RunConfig) -> "pl.DataFrame | None":
    """Read the profiles of users, if any; what was guessed is told on stderr."""
    from recency.data.reading import read_users

    if file is None:
        return None
    if settings.profiles is None:
        raise ConfigError("--users: say what is made of profiles in run.toml: [profiles].")
    return read_users(output.source(file), report=output.tell_reading)


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
    if settings.split.until is None:
        return log
    cut = instant(log, settings.split.until)
    return log if cut == log.end else log.split_at(cut)[0]  # a run folder may name the very end


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


def log_to_learn(file: str, settings: RunConfig) -> "Log | Prepared":
    """Open a prepared folder, or read an event file."""
    from recency.cli.run_config import DataSection
    from recency.data.prepared import is_prepared, read_prepared

    if not is_prepared(file):
        return training_log(file, settings)
    if settings.data != DataSection() or settings.split.until is not None:
        raise ConfigError(
            f"{file} is a prepared folder: columns, units and the end of what is learned were "
            f"settled by recency prepare; give its flags there and leave --until and [data] out."
        )
    return read_prepared(file)


def _fit_ensemble(
    settings: RunConfig, file: str, items: str | None, out: Path, *, tracked: bool, as_json: bool
) -> None:
    if tracked:
        raise ConfigError(
            "--tracker and --run-dir follow the training of one model, but run.toml has a section "
            "[ensemble]; leave one of both out."
        )
    if settings.content is not None:
        raise ConfigError(
            "--text, --vectors and [content] are for one model, but run.toml has a section "
            "[ensemble]; leave one of both out."
        )
    from recency.cli.ensemble import fit_ensemble

    log = log_to_learn(file, settings)
    catalogue = None if items is None else _items(items)
    fit_ensemble(settings, log, catalogue, out, as_json=as_json)


def _run_folder(folder: Path, settings: RunConfig) -> "RunFolder":
    """Make a run folder that also knows what the command line knows."""
    from recency.training.tracking.run_folder import RunFolder
    from recency.units import parse_duration

    asked = settings.model.fallback_half_life
    half_life = asked if asked == "fit" else parse_duration(asked)
    sections = {
        "data": asdict(settings.data),
        "model": {"fallback_half_life": half_life},
        "content": {} if settings.content is None else asdict(settings.content),
        "evaluate": asdict(settings.evaluate),
    }
    began = datetime.now(UTC).isoformat(timespec="seconds")
    return RunFolder(folder, sections, {"began": began, "command": ["recency", *sys.argv[1:]]})


def _trackers(names: list[str] | None, kept: "RunFolder | None") -> "list[Tracker]":
    """Give the trackers of a run, the run folder first."""
    if kept is None and names is None:
        return []
    from recency.training.tracking.trackers import trackers_of

    return trackers_of(names) if kept is None else [kept, *trackers_of(names, kept.folder)]


def _items(file: str) -> "Catalogue":
    from recency.data.reading import read_items

    return read_items(file, report=output.tell_reading)


def _facts(
    recommender: "SequenceRecommender", log: "Log | Prepared", out: Path, seconds: float
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
        "choices": list(result.choices),
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
    told = [f"Chosen: {choice}" for choice in facts["choices"]]
    told += [f"Note: {note}" for note in facts["notes"]]
    return "\n".join([*told, *lines])
