"""Ask heads and what is usually taken for their questions the same, and record the table `heads`.

    python -m benchmarks.heads.run DATA/ml-100k DATA/ml-latest-2k DATA/deskdrop DATA/online-retail

One folder a log; each is asked what makes sense of it:

    ml-100k, ml-latest-2k   rating
    deskdrop                like, when, joint
    online-retail           buys, when, joint, basket

``make peers`` builds the environment of SVD++ and BG/NBD; without it their rows are left out. With
``--valid`` everything is asked on the newest tenth of what lies before the cut instead, as settings
were chosen; nothing of that is recorded. Three seeds are asked where a fit takes less than a minute
(like, buys, and ratings of ml-100k), one elsewhere; ``--seeds`` says otherwise.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.heads import basket, buys, joint, like, rating, when
from benchmarks.heads.chosen import CHOSEN, QUICK
from benchmarks.heads.exams import Exam, Settings, read
from benchmarks.record import Row, commit, record

Task = Callable[[Exam, Settings, Sequence[int]], list[Row]]
TASKS: dict[str, Task] = {
    "rating": rating.rows,
    "like": like.rows,
    "buys": buys.rows,
    "when": when.rows,
    "joint": joint.rows,
    "basket": basket.rows,
}


def main() -> None:
    """Ask all there is, and record the rows of each task as it is done."""
    arguments = parse()
    if not (arguments.no_record or arguments.valid):
        commit(dirty=arguments.dirty)  # refuse now, not at the end
    torch.set_num_threads(arguments.threads)
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        exam = read(folder)
        exam = exam.inner() if arguments.valid else exam
        for task in arguments.tasks:
            if (task, folder.name) in CHOSEN:
                ask(task, exam, arguments)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument(
        "--seeds", type=int, nargs="*", help="else three where fits are quick, or 0"
    )
    parser.add_argument("--settings", default="{}", help="JSON that overrides what was chosen")
    parser.add_argument("--valid", action="store_true", help="ask before the cut; record nothing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-record", action="store_true", help="show rows, record none")
    parser.add_argument("--dirty", action="store_true", help="an uncommitted tree is marked so")
    return parser.parse_args()


def ask(task: str, exam: Exam, arguments: argparse.Namespace) -> None:
    """Ask one task of one log, show its rows and record them."""
    settings = merged(CHOSEN[task, exam.data], json.loads(arguments.settings))
    usual = (0, 1, 2) if (task, exam.data) in QUICK else (0,)
    rows = TASKS[task](exam, settings, usual if arguments.seeds is None else arguments.seeds)
    for row in rows:
        # What nothing defines, such as AUC where all happened, is no figure.
        row["metrics"] = {name: v for name, v in row["metrics"].items() if math.isfinite(v)}
        shown = {name: round(value, 4) for name, value in row["metrics"].items()}
        print(task, exam.data, row["model"], row["seed"], shown, flush=True)
    if not (arguments.no_record or arguments.valid):
        print(record("heads", rows, dirty=arguments.dirty))


def merged(chosen: Settings, given: Settings) -> dict[str, Any]:
    """Lay settings over others, one level down."""
    laid = {
        name: {**chosen.get(name, {}), **part} if isinstance(part, dict) else part
        for name, part in given.items()
    }
    return dict(chosen) | laid


if __name__ == "__main__":
    main()
