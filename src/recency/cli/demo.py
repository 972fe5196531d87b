"""``recency demo``: from events to a page in the browser, in one go and in about a minute.

A made-up shop, or a log of one's own, is split by time; a GRU learns from the older nine tenths, is
judged on the newest tenth beside the baselines, learns that tenth too, and is served with the
studio's page. Nothing is kept: the model and the clicks go when the demo stops.
"""

import os
import signal
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output
from recency.cli.progress import training_bar
from recency.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from recency.data.catalogue import Catalogue
    from recency.data.log import Log
    from recency.data.synthetic import Shop
    from recency.evaluation.report import Report
    from recency.recommender import SequenceRecommender

_PORT = 8080
_SHARE = 0.9  # of the events, learned from before the judgement
_MOST_EVENTS = 300_000
_MOST_EVENTS_QUICK = 30_000
_MOST_TARGETS = 20_000
_STALE = 3_600_000_000  # µs; a log that ends longer ago is continued as if it ended now
_TITLES = {
    "gru": "GRU (this demo)",
    "truth": "The truth itself",
    "popularity": "Popularity",
    "decayed-popularity": "Decayed popularity",
    "live-popularity": "Live popularity",
    "recent-items": "Own recent items",
    "markov": "Last item (Markov)",
    "item-neighbours": "Item neighbours",
}


@dataclass(frozen=True)
class _Scene:
    """Hold what the demo plays with: events, items if described, and the truth if known."""

    log: "Log"
    catalogue: "Catalogue | None"
    shop: "Shop | None" = None


def demo(
    log: Annotated[
        str | None, typer.Option(help="Your own event file, in place of the made-up shop.")
    ] = None,
    items: Annotated[
        str | None, typer.Option(help="Your item file: titles, categories, availability.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help=f"Port; 0 for any free one; default {_PORT} if free.", min=0, max=65535),
    ] = None,
    users: Annotated[int, typer.Option(help="Users of the made-up shop.", min=10)] = 2_000,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small shop, or fewer of your events; seconds.")
    ] = False,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    exit_after_ready: Annotated[bool, typer.Option("--exit-after-ready", hidden=True)] = False,
) -> None:
    """Train on a made-up shop or your own log, judge, serve, and open the page."""
    if items is not None and log is None:
        raise ConfigError("--items describes the items of --log FILE; give that too.")
    # Taken first, so that a port in use is told before the training and not after.
    with closing(_bind(port)) as taken:
        scene = _shop(users, quick) if log is None else _own_log(log, items, quick)
        train, test = scene.log.split_at(scene.log.quantile(_SHARE))
        model = _learn(train, scene.catalogue, quick)
        table = _judge(model, test, scene)
        typer.echo(_text(table))
        model.partial_fit(test)
        clock = _now if scene.shop is not None else _clock(model.live.now)
        _serve(model, table, taken, clock, browser, exit_after_ready)


# --- the steps -----------------------------------------------------------------------------------


def _bind(port: int | None) -> "socket.socket":
    from recency.serving.server import bind

    if port is not None:
        return bind("127.0.0.1", port)
    try:
        return bind("127.0.0.1", _PORT)
    except ConfigError:
        return bind("127.0.0.1", 0)


def _shop(users: int, quick: bool) -> _Scene:
    """Make a shop whose last event was just now."""
    from recency.data.catalogue import Catalogue
    from recency.data.synthetic import shop

    made = shop(min(users, 400) if quick else users, end=_now())
    _tell_log(made.log, "Made a shop")
    return _Scene(made.log, Catalogue.from_frame(made.items), made)


def _own_log(file: str, items: str | None, quick: bool) -> _Scene:
    """Read a log; of a very long one, the newest part."""
    from recency.data.log import Log
    from recency.data.reading import read_items, read_log

    log = read_log(output.source(file), report=output.tell_reading)
    most = _MOST_EVENTS_QUICK if quick else _MOST_EVENTS
    if len(log) > most:
        output.tell(
            f"The demo takes the newest {most:,} of {len(log):,} events; recency fit takes all."
        )
        log = Log(log.events.tail(most))
    catalogue = None
    if items is not None:
        catalogue = read_items(output.source(items), report=output.tell_reading)
    _tell_log(log, "Read a log")
    return _Scene(log, catalogue)


def _learn(train: "Log", catalogue: "Catalogue | None", quick: bool) -> "SequenceRecommender":
    """Train a GRU of modest size for a fixed number of epochs, on everything before the cut.

    There is no early stop: what is newest is worth more than a judgement on it would be.
    """
    import torch

    from recency.nn.inputs import InputConfig
    from recency.nn.recurrent import GRU
    from recency.recommender import SequenceRecommender
    from recency.training.config import TrainConfig

    torch.set_num_threads(1)  # the products are small: two threads mostly wait for each other
    settings = TrainConfig(
        epochs=10, lr=8e-3, tokens=384 if quick else 1_024, valid_share=0.0, refit=False
    )
    recommender = SequenceRecommender(
        GRU(dim=64), inputs=InputConfig(dropout=0.2), training=settings
    )
    with training_bar() as progress:
        return recommender.fit(train, catalogue, progress)


def _judge(model: "SequenceRecommender", test: "Log", scene: _Scene) -> dict[str, Any]:
    """Rank every newer event, baselines beside; of a made-up shop, the truth as the ceiling."""
    from recency.baselines import default_baselines
    from recency.baselines.oracle import Oracle
    from recency.evaluation.evaluate import evaluate
    from recency.studio.report import page_report

    output.tell("Judging it beside the baselines …")
    others = default_baselines(repeats=True)
    if scene.shop is not None:
        others.append(Oracle(scene.shop))
    report: Report = evaluate(
        model, test, baselines=others, catalogue=scene.catalogue, max_targets=_MOST_TARGETS
    )
    ceiling = None if scene.shop is None else Oracle.name
    return page_report(report, _TITLES, ceiling)


def _serve(
    model: "SequenceRecommender",
    table: Mapping[str, Any],
    taken: "socket.socket",
    clock: Callable[[], int],
    browser: bool,
    exit_after_ready: bool,
) -> None:
    """Serve the model and the page until interrupted."""
    from recency.serving.app import create_app
    from recency.serving.engine import Engine
    from recency.serving.http.access import LOOPBACK
    from recency.serving.log.event_store import EventStore
    from recency.serving.server import address_of, run
    from recency.studio import mount

    address = f"{address_of(taken)}/studio/"
    with tempfile.TemporaryDirectory(prefix="recency-demo-") as folder:
        store = EventStore(Path(folder) / "events.sqlite")
        with closing(Engine(model, store, clock=clock)) as engine:
            app = create_app(engine, hosts=LOOPBACK)
            mount(app, table)
            typer.echo(f"\nThe shop is open: {address}")
            output.tell("Stop with Ctrl-C; clicks are forgotten then.")
            taken.listen()  # a browser that comes before the server waits instead of being refused
            if browser and not exit_after_ready and _has_display():
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            if exit_after_ready:
                threading.Thread(target=_stop_when_ready, args=(address,), daemon=True).start()
            run(app, [taken])


# --- the small parts -----------------------------------------------------------------------------


def _now() -> int:
    return time.time_ns() // 1_000


def _clock(newest: int) -> Callable[[], int]:
    """Give the wall clock, or one that goes on from the newest event where that is long ago."""
    behind = _now() - newest
    if 0 <= behind < _STALE:
        behind = 0
    return lambda: _now() - behind


def _tell_log(log: "Log", what: str) -> None:
    first, last = output.instant(log.start)[:10], output.instant(log.end - 1)[:10]
    output.tell(
        f"{what}: {log.n_events:,} events of {log.n_users:,} users on {log.n_items:,} items, "
        f"{first} to {last}."
    )


def _text(table: Mapping[str, Any]) -> str:
    """Write the table of results, the best first."""
    main, *others = table["metrics"]
    rows = sorted(table["rows"], key=lambda row: -row["metrics"][main]["value"])
    lines = [["", main, "95 % interval", *others]]
    for row in rows:
        numbers = row["metrics"]
        low, high = numbers[main]["low"], numbers[main]["high"]
        interval = "" if low is None else f"{low:.3f} to {high:.3f}"
        cells = [f"{numbers[name]['value']:.3f}" for name in others]
        title = f"* {row['title']}" if row["kind"] == "model" else f"  {row['title']}"
        lines.append([title, f"{numbers[main]['value']:.3f}", interval, *cells])
    right = [False, True, False, *(True for _ in others)]
    said = "\n".join(textwrap.fill(one, 96) for one in (*table["notes"], table["protocol"]))
    return f"\n{output.align(lines, right)}\n\n{said}"


def _has_display() -> bool:
    """Tell whether a browser of this machine could be seen; others may show the page in a tab."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _stop_when_ready(page: str) -> None:
    """Ask until the server is ready, then end this process as Ctrl-C would."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(page, timeout=5):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
