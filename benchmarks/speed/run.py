"""How fast do we train, against RecBole and RecTools, and how near is that to the ceiling?

    python -m benchmarks.speed.run DATA                     everything
    python -m benchmarks.speed.run DATA --contests gru-64-200 attention-200 --seconds 30

DATA holds ``ml-1m-order/`` and ``globo-news/``, each with ``events.parquet``. Every library trains
in a process and an environment of its own, with the same events, length of history, width, blocks
and loss. They take turns in slices of a few seconds, so that what disturbs the machine disturbs
all; before each contest the machine's ceiling is measured. What is recorded at this commit with the
same settings is not measured again, so a stopped run goes on (``--again`` measures anyway).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import recency as rc
from benchmarks import record as results
from benchmarks.accuracy.splits import split_of
from benchmarks.peers.exchange import Lesson
from benchmarks.peers.peer import PEERS, SASREC
from benchmarks.record import ROOT, Row, commit, load, record
from benchmarks.speed.contest import (
    ROUNDS,
    SAMPLED,
    SOFTMAX,
    Contest,
    Entry,
    Outcome,
    alone,
    hold,
    metrics_of,
)
from recency.data.vocab import Vocab

LENGTHS = (200, 50)
DIMS = (64, 128)
NEWS_LEN = 50  # a reader of globo-news has ten clicks in the mean; RecTools pads to the length


def main() -> None:
    """Hold every contest that is asked for, and record its rows."""
    arguments = parse()
    commit(dirty=arguments.dirty)  # refuse now, not after an hour
    if arguments.results is not None:
        results.RESULTS = arguments.results
    for name in arguments.contests:
        contest = CONTESTS[name]
        source = arguments.folder / contest.data / "events.parquet"
        if not source.exists():
            print(f"{name} is skipped: there is no {source}")
        elif not arguments.again and is_recorded(contest, arguments):
            print(f"{name} is recorded already")
        else:
            measure(name, contest, source.parent, arguments)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="holds ml-1m-order/ and globo-news/")
    parser.add_argument("--contests", nargs="+", choices=list(CONTESTS), default=list(CONTESTS))
    parser.add_argument("--seconds", type=float, default=60, help="of training of each entry")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="measure what is recorded already")
    parser.add_argument("--results", type=Path, help="where rows go, to try things")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    return parser.parse_args()


def measure(name: str, contest: Contest, source: Path, arguments: argparse.Namespace) -> None:
    """Hold one contest, print and record its rows."""
    present = tuple(entry for entry in contest.entries if is_installed(entry))
    lesson = lesson_of(source)
    n_targets = len(lesson.users) - len(np.unique(lesson.users))
    gflops = ceiling(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="recency-speed-") as scratch:
        folder = Path(scratch)
        lesson.write(folder / "lesson.npz")
        outcomes = hold(
            Contest(contest.data, contest.max_len, present),
            folder,
            folder,
            arguments.seconds,
            arguments.threads,
        )
    rows = rows_of(contest, outcomes, n_targets, gflops, arguments)
    for row in rows:
        print(f"{name}: {row['model']}: {row['metrics']}, peak {row['peak_mb']} MiB", flush=True)
    if rows:
        print(record("speed", rows, dirty=arguments.dirty))


def rows_of(
    contest: Contest,
    outcomes: list[Outcome],
    n_targets: int,
    gflops: float,
    arguments: argparse.Namespace,
) -> list[Row]:
    """Make a row an entry."""
    return [
        {
            "data": contest.data,
            "protocol": protocol(contest, arguments),
            "model": outcome.entry.name,
            "request_time": "unknown",
            "seed": 0,
            "metrics": metrics_of(outcome, outcomes, gflops) | {"ceiling GFLOP/s": round(gflops)},
            "n_targets": n_targets,
            "train_seconds": round(sum(one["seconds"] for one in outcome.slices), 1),
            "peak_mb": outcome.about["peak_mb"],
        }
        for outcome in outcomes
        if outcome.slices
    ]


def protocol(contest: Contest, arguments: argparse.Namespace) -> str:
    """Say how the contest is held."""
    return (
        f"training steps · at most {contest.max_len} events · {arguments.threads} threads · "
        f"{ROUNDS} slices of {arguments.seconds / ROUNDS:.3g} s in turn, median [least, most]"
    )


def is_recorded(contest: Contest, arguments: argparse.Namespace) -> bool:
    """Tell whether all rows that can be measured here were, at this commit and so long."""
    here = commit(dirty=arguments.dirty)
    found = {
        row["model"]
        for row in load("speed")
        if (row["data"], row["protocol"], row["commit"])
        == (contest.data, protocol(contest, arguments), here)
    }
    return found >= {entry.name for entry in contest.entries if entry.python.exists()}


def is_installed(entry: Entry) -> bool:
    """Tell whether an entry's environment is there; say so where it is not."""
    if not entry.python.exists():
        print(f"{entry.name} is left out: there is no {entry.python}; run `make peers`")
    return entry.python.exists()


def lesson_of(source: Path) -> Lesson:
    """Give the events to learn from: without each user's last one, or a whole log of news."""
    if source.name == "ml-1m-order":
        log = split_of(source, "last").train
    else:
        log = rc.read_log(source / "events.parquet")
    users, items = Vocab.from_ids(log.events["user_id"]), Vocab.from_ids(log.events["item_id"])
    return Lesson(
        users.rows(log.events["user_id"]),
        items.rows(log.events["item_id"]),
        log.times,
        np.array(len(items)),
    )


def ceiling(threads: int) -> float:
    """Measure the rate of float32 products, in a process with as many threads as the entries."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.ceiling"],
        cwd=ROOT,
        env=alone(threads),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"the ceiling could not be measured:\n{done.stderr}")
    found = json.loads(done.stdout)
    print(f"the machine: {found}", flush=True)
    return float(found["gflops"])


def ours(encoder: str, dim: int, max_len: int, negatives: int = 0, **more: Any) -> Entry:
    """Enter an encoder of ours."""
    loss = SAMPLED if negatives else SOFTMAX
    blocks = f"{more['blocks']} blocks, " if "blocks" in more else ""
    settings = {"encoder": encoder, "dim": dim, "max_len": max_len, "negatives": negatives}
    return Entry(f"{encoder}, {blocks}d={dim}, {loss}", "recency", loss, settings | more)


def transformer(max_len: int, negatives: int = 0) -> Entry:
    """Enter our Transformer as SASRec is: plain blocks, no time, and the whole window attended."""
    return ours(
        "transformer",
        64,
        max_len,
        negatives,
        blocks=2,
        heads=2,
        window=max_len,
        feed_forward="plain",
        time_bias="none",
    )


def recbole(name: str, dim: int, max_len: int, **more: Any) -> Entry:
    """Enter one of RecBole's models, with the size of batch that the accuracy tables have."""
    settings = {**PEERS[name].settings, "max_len": max_len} | more
    return Entry(f"{name}, d={dim}, {SOFTMAX}", "recbole", SOFTMAX, settings)


def rectools(max_len: int, **more: Any) -> Entry:
    """Enter RecTools' SASRec, with the size of batch that the accuracy tables have."""
    loss = SAMPLED if "n_negatives" in more else SOFTMAX
    settings = {**SASREC, "max_len": max_len} | more
    return Entry(f"rectools/sasrec, 2 blocks, d=64, {loss}", "rectools", loss, settings)


def recurrent(dim: int, max_len: int) -> Contest:
    """Let GRU and LSTM run against RecBole's GRU4Rec."""
    theirs = recbole(
        "recbole/gru4rec", dim, max_len, embedding_size=dim, hidden_size=dim, num_layers=1
    )
    entries = (ours("gru", dim, max_len), ours("lstm", dim, max_len), theirs)
    return Contest("ml-1m-order", max_len, entries)


def attention(data: str, max_len: int, *, with_recbole: bool) -> Contest:
    """Let the Transformer and Tide run against SASRec."""
    entries: tuple[Entry, ...] = (
        transformer(max_len),
        rectools(max_len),
        ours("tide", 64, max_len, blocks=2),
        transformer(max_len, negatives=256),
        rectools(max_len, loss="sampled_softmax", n_negatives=256),
    )
    if with_recbole:
        sizes = {"hidden_size": 64, "inner_size": 256, "n_layers": 2, "n_heads": 2}
        entries += (recbole("recbole/sasrec", 64, max_len, **sizes),)
    return Contest(data, max_len, entries)


CONTESTS: dict[str, Contest] = {
    **{f"gru-{dim}-{length}": recurrent(dim, length) for length in LENGTHS for dim in DIMS},
    **{
        f"attention-{length}": attention("ml-1m-order", length, with_recbole=True)
        for length in LENGTHS
    },
    "news": attention("globo-news", NEWS_LEN, with_recbole=False),
}


if __name__ == "__main__":
    main()
