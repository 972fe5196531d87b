"""``recency learn``: a learner beside the server, in a process of its own."""

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output

if TYPE_CHECKING:
    from recency.online.config import LearnConfig
    from recency.online.drift import Drift, DriftWatch
    from recency.online.progress import Progress


def learn(
    folder: Annotated[Path, typer.Argument(help="Folder of the model, as served.")],
    every: Annotated[str, typer.Option(help="Time between two looks at the log.")] = "1min",
    whole: Annotated[
        str, typer.Option(help="Time of the log between moves of the whole model, or 'never'.")
    ] = "1h",
    delay: Annotated[str, typer.Option(help="How old an event is when it is learned.")] = "0s",
    events: Annotated[
        Path | None, typer.Option(help="Event log; default FOLDER/serve/events.sqlite.")
    ] = None,
    round_events: Annotated[int, typer.Option(help="Most events of a round.", min=1)] = 2_000,
    rounds: Annotated[int | None, typer.Option(help="Stop after so many rounds.", min=1)] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when all is learned.")] = False,
    publish: Annotated[bool, typer.Option(help="Hand models in as candidates.")] = True,
    nice: Annotated[int, typer.Option(help="Priority: 0 as others, 19 last.", min=0, max=19)] = 10,
    json: output.Json = False,
) -> None:
    """Follow the event log of a server: predict, score, learn, and hand candidates in.

    One line a round goes to stdout. It may be killed at any time: started again, it goes on.
    """
    from recency.online.config import LearnConfig
    from recency.serving.models.candidates import alone
    from recency.units import parse_duration

    config = LearnConfig(
        round_events=round_events, delay=delay, whole=None if whole == "never" else whole
    )
    wait = parse_duration(every)
    os.nice(nice)
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    progress = _progress(folder, events, config, publish)
    lock = alone(progress.folder)
    told = "going on" if progress.resume() else "beginning"
    standing = progress.learner.standing
    output.tell(f"Learning, {told} at seq {standing.seq:,}; stop with Ctrl-C.")
    done = 0
    while not stop.is_set() and (rounds is None or done < rounds):
        found = progress.step()
        if found is not None:
            done += 1
            output.result(found.to_dict(), as_json=json, text=_line)
        elif once:
            break
        else:
            stop.wait(wait)
    lock.release()
    output.tell(f"Stopped after {done} rounds, at seq {progress.learner.standing.seq:,}.")


def _progress(
    folder: Path, events: Path | None, config: "LearnConfig", publish: bool
) -> "Progress":
    import torch

    from recency.errors import ConfigError
    from recency.loading import load
    from recency.online.feed import NewOnly
    from recency.online.learner import Learner
    from recency.online.progress import Progress
    from recency.recommender import SequenceRecommender
    from recency.serving.log.event_reader import EventReader
    from recency.serving.models.candidates import Base, Candidates
    from recency.serving.models.registry import Registry

    torch.set_num_threads(1)
    registry = Registry.of(folder)
    home = registry.path
    reader = EventReader(events or home / "events.sqlite")
    base = Base.of(registry, home / "learn", reader.log_id)
    recommender = load(base.folder / "model")
    if not isinstance(recommender, SequenceRecommender):
        raise ConfigError(
            f"expected one model in {folder}, found an ensemble, which cannot learn on; "
            f"serve one of its models to have it learn."
        )
    learner = Learner(recommender, NewOnly(reader, recommender), config, _watch())
    learner.standing.seq = base.seq
    taker = Candidates(registry, reader.log_id, base.version) if publish else None
    return Progress(learner, base.folder, taker)


def _watch() -> "DriftWatch | None":
    from recency.errors import ConfigError
    from recency.online.drift import DriftWatch

    try:
        return DriftWatch(_alarm)
    except ConfigError as missing:
        output.tell(f"Note: {missing} Without it nothing is watched.")
        return None


def _alarm(drift: "Drift") -> None:
    output.tell(f"Drift: the {drift.series} is no longer what it was ({drift.mean:.4f} before).")


def _line(told: dict[str, Any]) -> str:
    moved = "gate and items" if told["n_targets"] else "nothing"
    what = "whole model" if told["whole"] else moved
    if told["refused"]:
        what += " (the whole model was put back: it foresaw the newest events worse)"
    return (
        f"round {told['number']}: seq {told['seq']:,}, {told['n_events']:,} events, "
        f"NDCG {told['ndcg']:.4f}, recall {told['recall']:.4f}, unseen {told['unseen']:.1%}, "
        f"learned: {what}; now {told['model_version']}"
    )
