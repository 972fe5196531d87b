"""``recency replay``: how ways to learn on would have done over the newest part of a log."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.progress import replay_bar, training_bar
from recency.cli.reading import events, instant
from recency.cli.run_config import RunConfig
from recency.cli.run_flags import run_of

if TYPE_CHECKING:
    from recency.data.log import Log
    from recency.online.config import LearnConfig
    from recency.online.replay import Replay


def replay(
    file: options.File,
    update: Annotated[str, typer.Option(help="Time between two rounds of learning.")] = "1h",
    delay: Annotated[str, typer.Option(help="How old an event is when it is learned.")] = "5min",
    start: Annotated[
        str, typer.Option("--from", help="Where the replay begins: an instant, or a share.")
    ] = "0.9",
    arms: Annotated[
        str, typer.Option(help="Ways to learn, by commas.")
    ] = "frozen,state,fine-tune,replay,refit",
    newest: Annotated[
        int | None, typer.Option(help="Learn from so many newest events before it.", min=1)
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Length of the lists.", min=1)] = 10,
    max_targets: Annotated[int | None, typer.Option(help="Ask at most so many.", min=1)] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves: a .png file.")] = None,
    config: options.Config = None,
    encoder: options.EncoderName = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes of a fit.")] = None,
    device: options.Device = None,
    seed: options.Seed = None,
    user: options.User = None,
    item: options.Item = None,
    time: options.Time = None,
    unit: options.Unit = None,
    json: output.Json = False,
) -> None:
    """Fit on what came first, then replay the rest: predict, reveal after a delay, learn."""
    from recency.data.log import Log
    from recency.errors import ConfigError
    from recency.online.config import LearnConfig

    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigError(f"expected a picture ending in .png, found {str(picture)!r}.")
    settings = run_of(
        config, user=user, item=item, time=time, unit=unit, encoder=encoder, seed=seed,
        epochs=epochs, device=device,
    )  # fmt: skip
    settings.refuse(
        ensemble="one model lives through the log",
        content="a replay learns from events alone",
        profiles="a replay learns from events alone",
    )
    log = events(file, settings)
    past, rest = log.split_at(instant(log, start))
    past = past if newest is None else Log(past.events.tail(newest))
    told = LearnConfig(delay=delay, whole=update)
    began = perf_counter()
    found = _lived(Log(rest.events, past), settings, arms.split(","), update, told, k, max_targets)
    _draw(found, picture, Path(file).name)
    output.tell(f"Replayed {len(found.at):,} questions in {perf_counter() - began:.0f} s.")
    output.result(_facts(found, update, delay), as_json=json, text=_text)


def _draw(found: "Replay", picture: Path | None, name: str) -> None:
    if picture is None:
        return
    from recency.online.picture import replay_picture

    picture.write_bytes(replay_picture(found, f"Replay of {name}"))
    output.tell(f"Drawn: {picture}")


def _facts(found: "Replay", update: str, delay: str) -> dict[str, Any]:
    return {
        "update": update,
        "delay": delay,
        "start": output.instant(found.start),
        "n_questions": len(found.at),
        "arms": found.to_frame().to_dicts(),
        "curve": found.curve().to_dicts(),
    }


def _lived(
    log: "Log",
    settings: RunConfig,
    arms: list[str],
    update: str,
    config: "LearnConfig",
    k: int,
    max_targets: int | None,
) -> "Replay":
    """Fit on the past of a log, then replay it."""
    from recency.online.replay import replay as live_through

    assert log.past is not None
    with training_bar() as progress:
        fitted = settings.recommender().fit(log.past, progress=progress)
    with replay_bar() as told:
        return live_through(
            log, settings.recommender, arms=arms, update=update, config=config, fitted=fitted,
            k=k, max_targets=max_targets, told=told,
        )  # fmt: skip


def _text(facts: dict[str, Any]) -> str:
    import polars as pl

    return output.table(pl.DataFrame(facts["arms"]))
