"""``recency tune``: search good settings for an event file, and write them as a run.toml."""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.progress import tuning_bar
from recency.cli.reading import log_to_learn
from recency.cli.run_config import RunConfig
from recency.cli.run_flags import run_of

if TYPE_CHECKING:
    from recency.tuning.result import TuningResult

_INTERRUPTED = 130  # as shells have it


def tune(
    file: options.File,
    out: Annotated[Path, typer.Option(help="Folder for the study; the same again goes on.")],
    config: Annotated[
        Path | None, typer.Option(help="run.toml to start from; [tune.space] says what is tried.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all; 30 if not said.")] = None,
    minutes: Annotated[float | None, typer.Option(help="No trial begins later than this.")] = None,
    workers: Annotated[int | None, typer.Option(help="Trials side by side.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Judge by so many windows of a cross-validation over time."),
    ] = None,
    horizon: Annotated[str | None, typer.Option(help="Length of such a window, as 7d.")] = None,
    until: options.Until = None,
    encoder: options.EncoderName = None,
    size: Annotated[str | None, typer.Option(help="small, medium or large: the start.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes of a trial.")] = None,
    device: options.Device = None,
    seed: Annotated[int | None, typer.Option(help="Of every trial, and of what is tried.")] = None,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    json: output.Json = False,
) -> None:
    """Search good settings by trials on the newest events."""
    settings = run_of(
        config, user=user, item=item, time=time, unit=unit, until=until, encoder=encoder, size=size,
        seed=seed, epochs=epochs, device=device, trials=trials, minutes=minutes, workers=workers,
        folds=folds, horizon=horizon,
    )  # fmt: skip
    began = perf_counter()
    found = _search(file, out, settings)
    facts = _write(found, out, file, settings)
    facts["seconds"] = round(perf_counter() - began, 1)
    output.result(facts, as_json=json, text=_text)


def _search(file: str, out: Path, settings: RunConfig) -> "TuningResult":
    """Go on with the study of a folder; an interrupt from the keyboard ends it in words."""
    settings.refuse(
        ensemble="one model is tuned at a time", content="trials learn from events alone"
    )
    from recency.tuning.tune import tune as search

    start = settings.recommender()
    log = log_to_learn(file, settings)
    try:
        with tuning_bar() as progress:
            asked = asdict(settings.tune)
            return search(log, start=start, folder=out, progress=progress, **asked)
    except KeyboardInterrupt:
        output.tell(f"Stopped. Finished trials are kept in {out}: the same command goes on.")
        raise typer.Exit(_INTERRUPTED) from None


def _write(found: "TuningResult", out: Path, file: str, settings: RunConfig) -> dict[str, Any]:
    """Write the best settings and the report; give what there is to tell."""
    from recency.tuning.run_file import setting

    data = {name: value for name, value in asdict(settings.data).items() if value}
    more = {"data": data, "split": asdict(settings.split), "evaluate": asdict(settings.evaluate)}
    best, report = out / "best.toml", out / "report.html"
    best.write_text(found.run_toml(more), encoding="utf-8")
    found.report(report, title=Path(file).name if file != "-" else "")
    return {
        "folder": str(out),
        "encoder": found.sections["model"]["encoder"],
        "objective": str(found.objective),
        "trials": found.trials.height,
        "pruned": found.n_pruned,
        "start": found.start,
        "best": found.value,
        "settings": found.best,
        "started_from": {name: setting(found.sections, name) for name in found.best},
        "importance": found.importance,
        "best_toml": str(best),
        "report": str(report),
        "file": file,
    }


def _text(facts: dict[str, Any]) -> str:
    start = facts["start"]
    gained = "" if not start else f" (started at {start:.4f}, {facts['best'] / start - 1:+.1%})"
    rows = [["setting", "from", "best", "weight"]]
    for name, value in facts["settings"].items():
        share = facts["importance"].get(name)
        weight = "" if share is None else f"{share:.0%}"
        rows.append([name, _shown(facts["started_from"][name]), _shown(value), weight])
    return "\n".join(
        [
            f"{facts['encoder']}: {facts['trials']} trials, {facts['pruned']} of them ended early, "
            f"in {facts['seconds']} s. Best NDCG@10 {facts['best']:.4f}{gained},",
            f"judged by {facts['objective']}.",
            "",
            output.align(rows, [False, True, True, True]),
            "",
            f"Settings in {facts['best_toml']}, report in {facts['report']}.",
            f"Next: recency fit {facts['file']} --config {facts['best_toml']} --out model/",
        ]
    )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
