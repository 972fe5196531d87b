"""How soon a server with a long log is ready: from its newest snapshot and what came after it.

    python -m benchmarks.serving.cold_start [--events 10000000] [--users 1000000] [--dirty]

The shop is generated: a model of random weights, a log of events in the event store, a state for
every user (speed does not depend on what it says), memories counted from every event, a snapshot,
and a tail of events behind it. A process of its own then starts as ``recency serve`` does, and is
ready when it has answered a first question; ``ready_seconds`` leaves out what the imports take,
``process_seconds`` does not.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl

from benchmarks.record import Row, peak_mb, record
from recency.data.histories import Ints
from recency.data.log import Log
from recency.loading import load
from recency.nn.tide import Tide
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.snapshots.snapshots import Origin, write

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
_TASTE = 100  # items that one user takes from
_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Size:
    """Choose how large a shop is.

    Attributes:
        events: In the log.
        tail: The newest of them, not in the snapshot.
        users: Who do something.
        items: In the catalogue.
    """

    events: int = 10_000_000
    tail: int = 100_000
    users: int = 1_000_000
    items: int = 100_000


@dataclass(frozen=True)
class Made:
    """Tell of what was made.

    Attributes:
        bytes_a_user: Of one state, with what belongs to it.
        rebuild_seconds: Counting the memories anew from all events before the tail.
        write_seconds: Of the snapshot.
    """

    bytes_a_user: float
    rebuild_seconds: float
    write_seconds: float


def main() -> None:
    """Make, start, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=Size.events)
    parser.add_argument("--users", type=int, default=Size.users)
    parser.add_argument("--items", type=int, default=Size.items)
    parser.add_argument("--tail", type=int, default=Size.tail)
    parser.add_argument("--runs", type=int, default=3, help="starts; the median counts")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    if arguments.start is not None:
        print(json.dumps(started(arguments.start)))
        return
    size = Size(arguments.events, arguments.tail, arguments.users, arguments.items)
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder) / "shop", size)
        starts = [start(Path(folder) / "shop") for _ in range(arguments.runs)]
    starts.sort(key=lambda one: one["ready_seconds"])
    row: Row = {
        "data": f"generated: {size.users:,} users, {size.items:,} items",
        "protocol": f"cold start: log of {size.events:,} events, snapshot and {size.tail:,} behind",
        "model": "tide(dim=64), untrained",
        "seed": 0,
        "metrics": {
            **starts[len(starts) // 2],
            "bytes_a_user": round(made.bytes_a_user),
            "memories_rebuilt_seconds": round(made.rebuild_seconds, 2),
            "snapshot_written_seconds": round(made.write_seconds, 2),
        },
        "peak_mb": max(one.pop("peak_mb") for one in starts),
    }
    row["metrics"].pop("peak_mb", None)
    print(json.dumps(row, indent=1))
    print(record("serving", [row], dirty=arguments.dirty))


def make(folder: Path, size: Size) -> Made:
    """Make a shop as a server leaves it behind that was killed: snapshot, and a log beyond it."""
    random = np.random.default_rng(0)
    with patch("recency.fitting.train_guarded", return_value=None):
        users, items, times = _drawn(random, 2 * size.items, size, 0, 30)
        items[: size.items] = np.arange(size.items)  # each has a row, so each has weights
        SequenceRecommender(Tide(dim=64)).fit(_log(users, items, times)).save(folder)
    path = folder / "serve" / "events.sqlite"
    path.parent.mkdir()
    with EventStore(path) as store:
        log_id = store.log_id
    recommender, seq = load(folder), 0
    origin, until = Origin.of(recommender, log_id), size.events - size.tail
    for n in _parts(until):
        rows = _drawn(random, n, size, 30 + seq / size.events * 60, 60 * n / size.events)
        _insert(path, seq, *rows)
        recommender.observe(_log(*rows))
        seq += n
    live = recommender.live
    began = time.perf_counter()
    recommender.recommend(["u1"], 10)
    counted = time.perf_counter() - began
    lengths = live.timelines.histories().lengths
    kept = live.models[0].states
    states = random.standard_normal((len(lengths), kept.size), dtype=np.float32)
    kept.restore(np.arange(len(lengths)), lengths, states)
    began = time.perf_counter()
    write(folder / "serve" / "snapshots", recommender, lambda: until, origin)
    written = time.perf_counter() - began
    _insert(path, until, *_drawn(random, size.tail, size, 91, 1))
    return Made(states.nbytes / len(states) + 12, counted, written)


def start(folder: Path) -> dict[str, float]:
    """Start a server's engine in a process of its own, and time it from the outside."""
    began = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.cold_start", "--start", str(folder)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )
    seconds = time.perf_counter() - began
    facts: dict[str, float] = json.loads(told.stdout)
    return {"process_seconds": round(seconds, 2), **facts}


def started(folder: Path) -> dict[str, float]:
    """Open an engine and ask it once; what it took, without the imports."""
    import torch

    torch.set_num_threads(1)
    began = time.perf_counter()
    engine = Engine.open(folder, snapshots=None)
    opened = time.perf_counter() - began
    engine.call(lambda model: model.recommend(["u1"], 10)).result()
    ready = time.perf_counter() - began
    found = {
        "ready_seconds": round(ready, 2),
        "opened_seconds": round(opened, 2),
        "replayed": float(engine.follower.n_replayed),
        "peak_mb": peak_mb(),
    }
    engine.close()
    return found


def _parts(n: int) -> Iterator[int]:
    for first in range(0, n, _AT_ONCE):
        yield min(_AT_ONCE, n - first)


def _drawn(
    random: np.random.Generator, n: int, size: Size, day: float, days: float
) -> tuple[Ints, Ints, Ints]:
    """Draw events of some days: each user takes from few items, a few of these mostly."""
    users = random.integers(0, size.users, n)
    groups = max(1, size.items // _TASTE)
    items = users * 2_654_435_761 % groups * _TASTE
    items += (_TASTE * random.power(0.5, n)).astype(np.int64)
    times = START + int(day * DAY) + np.sort(random.integers(0, max(1, int(days * DAY)), n))
    return users, np.minimum(items, size.items - 1), times


def _log(users: Ints, items: Ints, times: Ints) -> Log:
    frame = {
        "user_id": "u" + pl.Series(users).cast(pl.String),
        "item_id": "i" + pl.Series(items).cast(pl.String),
        "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
    }
    return Log.from_frame(pl.DataFrame(frame))


def _insert(path: Path, after: int, users: Ints, items: Ints, times: Ints) -> None:
    """Put events into a log that nobody has open, without waiting for the disk each time."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    rows = zip(users.tolist(), items.tolist(), times.tolist(), strict=True)
    with connection:
        connection.executemany(
            "INSERT INTO events (seq, event_id, user_id, item_id, time) VALUES (?, ?, ?, ?, ?)",
            (
                (seq, f"e{seq:09d}", f"u{user}", f"i{item}", when)
                for seq, (user, item, when) in enumerate(rows, after + 1)
            ),
        )
    connection.close()


if __name__ == "__main__":
    main()
