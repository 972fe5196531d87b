"""``recency evaluate``: judge a saved model on what happened after it learned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import output
from recency.cli.fit import data_flags, events
from recency.cli.inspect import File, Item, Time, Unit, User
from recency.cli.run_config import read_run_config
from recency.errors import DataError

if TYPE_CHECKING:
    from recency.data.log import Log


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of the model.")],
    file: File,
    config: Annotated[Path | None, typer.Option(help="run.toml; flags go over it.")] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", "-k", help="Length of the lists; may repeat.")
    ] = None,
    history: Annotated[str | None, typer.Option(help="rolling or frozen.")] = None,
    repeats: Annotated[
        bool | None, typer.Option(help="Whether items of the history are candidates.")
    ] = None,
    reading: Annotated[str | None, typer.Option(help="warm, misses, growing or listed.")] = None,
    ties: Annotated[str | None, typer.Option(help="mean, worst or best.")] = None,
    targets: Annotated[str | None, typer.Option(help="event or basket.")] = None,
    max_targets: Annotated[int | None, typer.Option(help="Judge on at most so many.")] = None,
    baselines: Annotated[bool, typer.Option(help="Show the baselines beside.")] = True,
    user: User = None,
    item: Item = None,
    time: Time = None,
    unit: Unit = None,
    json: output.Json = False,
) -> None:
    """Judge a saved model on the events after its cut, baselines beside it."""
    flags = {
        "k": k, "history": history, "repeats": repeats, "reading": reading,
        "ties": ties, "targets": targets, "max_targets": max_targets,
    }  # fmt: skip
    data = data_flags(user, item, time, unit)
    settings = read_run_config(config, {"evaluate": flags, "data": data})

    from dataclasses import asdict

    from recency.evaluation.evaluate import evaluate as judge
    from recency.loading import load

    model = load(folder)
    test = _test(events(file, settings), model.cut, file)
    protocol = asdict(settings.evaluate)
    report = judge(model, test, baselines=baselines, catalogue=model.catalogue, **protocol)
    output.result(report.to_dict(), as_json=json, text=lambda _: str(report))


def _test(log: "Log", cut: int | None, file: str) -> "Log":
    """Take the events that the model has not learned from."""
    test = log if cut is None else log.since(cut)
    if cut is not None and not len(test):
        raise DataError(
            f"{file} has no event after the model's cut {output.instant(cut)}; "
            f"fit with --until 0.9 to keep events for the judgement."
        )
    return test
