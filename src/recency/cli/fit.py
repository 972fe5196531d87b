"""``recency fit``: learn from an event file and save the model."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.content import content_of, showing
from recency.cli.ensemble import fit_ensemble, refuse_beside_ensemble
from recency.cli.progress import fit_bars
from recency.cli.reading import items_of, log_to_learn, people_of
from recency.cli.run_config import RunConfig
from recency.cli.run_flags import run_of

if TYPE_CHECKING:
    from recency.data.log import Log
    from recency.data.prepared import Prepared
    from recency.recommender import SequenceRecommender
    from recency.training.tracking.run_folder import RunFolder
    from recency.training.tracking.trackers import Tracker

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
    file: options.File,
    out: options.ModelOut,
    config: options.Config = None,
    until: options.Until = None,
    items: options.Items = None,
    users: Annotated[
        str | None, typer.Option(help="User file: profiles of any columns, read with the events.")
    ] = None,
    text: Text = None,
    vectors: Vectors = None,
    encoder: options.EncoderName = None,
    size: options.Size = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the events.")] = None,
    device: options.Device = None,
    seed: options.Seed = None,
    init_from: Annotated[
        Path | None, typer.Option(help="Model to start from; its item ids mean the same items.")
    ] = None,
    tracker: TrackerNames = None,
    run_dir: RunDir = None,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    json: output.Json = False,
) -> None:
    """Learn from an event file and save the model."""
    settings = run_of(
        config, user=user, item=item, time=time, unit=unit, until=until, encoder=encoder, size=size,
        seed=seed, epochs=epochs, device=device, text=text, vectors=vectors,
    )  # fmt: skip
    if settings.ensemble is not None:
        tracked = bool(tracker or run_dir)
        refuse_beside_ensemble(settings, init_from=init_from, users=users, tracked=tracked)
        fit_ensemble(settings, log_to_learn(file, settings), items_of(items), out, as_json=json)
        return
    recommender, people = settings.recommender(), people_of(users, settings)
    kept = None if run_dir is None else _run_folder(run_dir, settings, recommender)
    trackers = _trackers(tracker, kept)
    log, catalogue = log_to_learn(file, settings), items_of(items)
    known = None if settings.content is None else content_of(settings.content, catalogue)
    began = perf_counter()
    with fit_bars() as (progress, texts):
        recommender.fit(
            log, catalogue, progress, content=showing(known, texts), init_from=init_from,
            init_items=init_from is not None, tracker=trackers, users=people,
        )  # fmt: skip
    recommender.save(out)
    output.result(_facts(recommender, log, out, perf_counter() - began), as_json=json, text=_text)
    if kept is not None and not kept.whole:  # a note has said why; the model is saved
        raise typer.Exit(1)


def _run_folder(
    folder: Path, settings: RunConfig, recommender: "SequenceRecommender"
) -> "RunFolder":
    """Make a run folder that also knows what the command line knows."""
    from recency.training.tracking.run_folder import RunFolder

    sections = {
        "data": asdict(settings.data),
        **recommender.recipe.beyond_training(),
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
