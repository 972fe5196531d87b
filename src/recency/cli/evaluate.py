"""``recency evaluate``: judge a saved model on what happened after it learned."""

from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import options, output
from recency.cli.reading import events
from recency.cli.run_flags import run_of
from recency.errors import DataError

if TYPE_CHECKING:
    from recency.data.log import Log


def evaluate(
    folder: options.Folder,
    file: options.File,
    config: options.Config = None,
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
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    json: output.Json = False,
) -> None:
    """Judge a saved model on the events after its cut, baselines beside it."""
    settings = run_of(
        config, user=user, item=item, time=time, unit=unit, k=k, history=history, repeats=repeats,
        reading=reading, ties=ties, targets=targets, max_targets=max_targets,
    )  # fmt: skip

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
