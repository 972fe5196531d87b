"""Make a table: fit every model with every seed that is not there yet, and record the rows.

    python -m benchmarks.accuracy.run time DATA/ml-100k --models gru rectools/sasrec --seeds 0 1 2

What is there already (see `store`) with the same settings is not done again, so a stopped run goes
on where it stopped. ``--models`` may say ``ours``, ``baselines`` and ``peers`` for all of them.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.accuracy.grids import Settings, settings_of
from benchmarks.accuracy.ours import BASELINES, OURS, UNSEEDED
from benchmarks.accuracy.rows import rows_of
from benchmarks.accuracy.splits import Split, split_of
from benchmarks.accuracy.store import STORE, Store
from benchmarks.peers.peer import PEERS, surroundings
from benchmarks.record import ROOT, commit, record

GROUPS = {"ours": list(OURS), "baselines": list(BASELINES), "peers": list(PEERS)}


def main() -> None:
    """Fit what is missing of each table, then record its rows."""
    arguments = parse()
    commit(dirty=arguments.dirty)  # refuse now, not after an hour
    if arguments.max_targets and arguments.store == STORE:
        raise SystemExit("fewer targets are another exam: give --max-targets a --store of its own.")
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        table(folder, arguments)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["time", "last"])
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    known = [*GROUPS, *OURS, *BASELINES, *PEERS]
    parser.add_argument("--models", nargs="+", default=list(GROUPS), metavar="MODEL", choices=known)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", default="{}", help="JSON that overrides what was chosen")
    parser.add_argument("--seconds", type=float, help="most seconds of a core for a peer's fit")
    parser.add_argument("--max-targets", type=int, help="draw users up to so many targets")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="fit anew what is there already")
    parser.add_argument("--store", type=Path, default=STORE, help="where fits are kept")
    parser.add_argument("--no-record", action="store_true", help="fit and keep, record no row")
    parser.add_argument(
        "--dirty", action="store_true", help="an uncommitted tree is marked as such"
    )
    return parser.parse_args()


def table(folder: Path, arguments: argparse.Namespace) -> None:
    """Fit what is missing of one table, and record it."""
    split = split_of(folder, arguments.kind)
    store = Store(split.data, split.kind, arguments.store)
    for model in models_of(arguments.models, split):
        settings = settings_of(model, split) | json.loads(arguments.settings)
        for seed in arguments.seeds[:1] if model in UNSEEDED else arguments.seeds:
            if not arguments.again and is_there(store, model, seed, settings, arguments.dirty):
                continue
            start(folder, model, seed, settings, arguments)
    if not arguments.no_record:
        print(record("accuracy", rows_of(store), dirty=arguments.dirty))


def models_of(wanted: list[str], split: Split) -> list[str]:
    """Spell groups out, and leave out what cannot run here, saying so."""
    every = dict.fromkeys(one for name in wanted for one in GROUPS.get(name, [name]))
    kept = []
    for model in every:
        maker = OURS.get(model) or BASELINES.get(model)
        if model in PEERS and not PEERS[model].python.exists():
            print(f"{model} is left out: run `make peers`")
        elif maker and maker.needs_time and split.source.order_only:
            print(f"{model} is left out: {split.data} tells no time")
        elif maker and maker.needs_others and split.source.by_day:
            print(f"{model} is left out: {split.data} tells no order of different users in a day")
        else:
            kept.append(model)
    return kept


def is_there(store: Store, model: str, seed: int, settings: Settings, dirty: bool) -> bool:
    """Tell whether a fit with these settings is kept; one of an uncommitted tree may not count."""
    said = store.said(model, seed)
    if said is None or said["settings"] != settings:
        return False
    return dirty or not said["commit"].endswith("+dirty")


def start(
    folder: Path, model: str, seed: int, settings: Settings, arguments: argparse.Namespace
) -> None:
    """Fit in a process of its own; a fit that fails is told, and the others go on."""
    options = {
        "--seed": seed,
        "--settings": json.dumps(settings),
        "--threads": arguments.threads,
        "--store": arguments.store,
        "--seconds": arguments.seconds,
        "--max-targets": arguments.max_targets,
    }
    words = [
        str(word) for name, value in options.items() if value is not None for word in (name, value)
    ]
    words += ["--dirty"] if arguments.dirty else []
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.accuracy.fit",
            arguments.kind,
            str(folder),
            model,
            *words,
        ],
        cwd=ROOT,
        env=os.environ | surroundings(arguments.threads),
    )
    if done.returncode:
        print(f"{model} {seed} failed; the others go on", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
