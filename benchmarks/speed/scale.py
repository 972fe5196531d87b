"""Growth: a shop of 1, 5 and 20 million events, from the file to weights.

    python -m benchmarks.speed.scale [FOLDER] [--events 1000000 5000000 20000000] [--minutes 3]

FOLDER (default: a temporary one) gets the logs that `benchmarks.speed.shop_log` makes: 20 million
events of 1 million users on 200,000 items, and smaller logs of as many events a user on the same
200,000 items, so that nothing but the log grows. Ids are text. Each measurement is a process of its
own, so that its peak of memory is its own:

    read      `recency.read_log` and the arrays of training, in memory
    prepare   `recency prepare`: the same arrays in a folder, the log never in memory as a whole
    fit       LSTM d=64, 512 shared negatives: targets a second, and the peak of reading, training
              and starting the model; stopped after --minutes, the share of the epoch is told
    mapped    the same from the prepared folder

``growth_of_time`` is the time of a target here by that of the smallest log. ``assembly_share`` is
the share of a step that goes into making its batch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.record import ROOT, Row, peak_mb, record
from benchmarks.speed.shop_log import Size, write_shop_log

EVENTS = (1_000_000, 5_000_000, 20_000_000)
USER, ITEMS = 20, 200_000  # events a user; items of every log
TOKENS = 16_384  # cells a batch at every size: what 20 million events take by themselves
WARM = 20  # steps that are not timed
MODEL = "LSTM d=64, 512 shared negatives"
Run = dict[str, Any]


def main() -> None:
    """Measure all sizes, print, record; or measure one thing in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="where the logs are kept")
    parser.add_argument("--events", type=int, nargs="+", default=list(EVENTS))
    parser.add_argument("--minutes", type=float, default=3.0, help="most time of each training")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--only", choices=sorted(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(WAYS[arguments.only](arguments.file, arguments.minutes)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for events in sorted(arguments.events)
            for row in measure(log_of(folder, events), events, arguments.minutes)
        ]
    add_growth(rows)
    for row in rows:
        print(f"{row['data']}, {row['model']}: {row['metrics']}, peak {row['peak_mb']} MiB")
    print(record("speed", rows, dirty=arguments.dirty))


def log_of(folder: Path, events: int) -> Path:
    """Give the log of a size; make it if it is not there."""
    path = folder / f"shop-{events}.parquet"
    if not path.exists():
        write_shop_log(path, Size(events, events // USER, ITEMS), text=True)
    return path


def measure(file: Path, events: int, minutes: float) -> list[Row]:
    """Measure one size in every way."""
    found = {way: in_own_process(way, file, minutes) for way in WAYS}
    data = f"shop, {events / 1e6:g} million events"
    return [
        row(data, "growth", MODEL + ", in memory", found["fit"], found["read"]),
        row(data, "growth", MODEL + ", prepared", found["mapped"], found["prepare"]),
    ]


def in_own_process(way: str, file: Path, minutes: float) -> Run:
    """Run one measurement and read the JSON line that it ends with."""
    command = [sys.executable, "-m", "benchmarks.speed.scale", "--only", way, "--file", str(file)]
    command += ["--minutes", str(minutes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    answer: Run = json.loads(done.stdout.splitlines()[-1])
    return answer


def row(data: str, protocol: str, model: str, training: Run, reading: Run) -> Row:
    """Put what was measured of one size and way into a row."""
    return {
        "data": data,
        "protocol": protocol,
        "model": model,
        "request_time": "unknown",
        "seed": 0,
        "metrics": {
            "prepare_seconds": reading["seconds"],
            "prepare_peak_mb": reading["peak_mb"],
            "bytes_per_event": reading["bytes_per_event"],
            **training["metrics"],
        },
        "n_targets": training["n_targets"],
        "train_seconds": training["seconds"],
        "peak_mb": training["peak_mb"],
    }


def add_growth(rows: list[Row]) -> None:
    """Compare the time of a target with that of the smallest log, way by way."""
    first: dict[str, float] = {}
    for one in rows:
        rate = one["metrics"]["targets_per_second"]
        one["metrics"]["growth_of_time"] = round(first.setdefault(one["model"], rate) / rate, 3)


# --- each in a process of its own ----------------------------------------------------------------


def read(file: Path, minutes: float) -> Run:
    """Read a file into the arrays of training."""
    from recency.data.prepared import rows_of
    from recency.data.reading import read_log

    began = perf_counter()
    _, histories = rows_of(read_log(file))
    return _reading(perf_counter() - began, histories)


def prepare(file: Path, minutes: float) -> Run:
    """Prepare a file; what an earlier run left is prepared again."""
    import shutil

    from recency.data.preparation import prepare as prepared

    shutil.rmtree(_prepared(file), ignore_errors=True)
    began = perf_counter()
    histories = prepared(file, _prepared(file)).histories
    return _reading(perf_counter() - began, histories)


def fit(file: Path, minutes: float) -> Run:
    """Learn from a file read into memory."""
    from recency.data.reading import read_log

    return _trained(read_log(file), minutes)


def mapped(file: Path, minutes: float) -> Run:
    """Learn from a prepared folder."""
    from recency.data.prepared import read_prepared

    return _trained(read_prepared(_prepared(file)), minutes)


WAYS = {"read": read, "prepare": prepare, "fit": fit, "mapped": mapped}


class Stopped(Exception):
    """Say that the minutes are over."""


class Clock:
    """Time the steps of a training after the first ones, and stop it when its minutes are over."""

    def __init__(self, minutes: float) -> None:
        self.stop = perf_counter() + 60 * minutes
        self.ends: list[float] = []  # of each step
        self.of = 1

    def __call__(self, step: Any) -> None:
        """Take a step of the training in."""
        self.ends.append(perf_counter())
        self.of = step.steps
        if self.ends[-1] > self.stop and len(self.ends) > 2 * WARM:
            raise Stopped

    @property
    def step(self) -> float:
        """Give the mean seconds of a step, the first ones left out."""
        timed = self.ends[min(WARM, len(self.ends) // 2) :]
        return (timed[-1] - timed[0]) / (len(timed) - 1)


def _trained(log: Any, minutes: float) -> Run:
    """Train one epoch or as long as may be, then start the model as `fit` would."""
    from contextlib import suppress

    import torch

    import recency as rc
    from recency.data.prepared import rows_of
    from recency.live.live_model import LiveModel
    from recency.nn.model import SequenceModel
    from recency.training.loop import train

    vocabs, histories = rows_of(log)
    del log
    torch.manual_seed(0)
    model = SequenceModel(rc.LSTM(dim=64), len(vocabs.items))
    config = rc.TrainConfig(epochs=1, valid_share=0.0, negatives=512, tokens=TOKENS)
    clock, began = Clock(minutes), perf_counter()
    with suppress(Stopped):
        train(model, histories, config, progress=clock)
    seconds = perf_counter() - began
    n_targets, assembly = _assembly(histories, config.max_len)
    LiveModel(model, vocabs, histories, half_life=7 * 86_400)
    return {
        "metrics": {
            "targets_per_second": round(n_targets / clock.of / clock.step),
            "share_of_epoch": round(len(clock.ends) / clock.of, 3),
            "assembly_share": round(assembly / clock.step, 4),
        },
        "n_targets": n_targets,
        "seconds": round(seconds, 1),
        "peak_mb": peak_mb(),
    }


def _assembly(histories: Any, max_len: int, most: int = 200) -> tuple[int, float]:
    """Count the targets, and time the making of a batch in seconds."""
    import numpy as np

    from recency.data.batches import TrainingWindows

    windows = TrainingWindows(histories, max_len=max_len)
    batches, began = windows.epoch(TOKENS, np.random.default_rng(0)), perf_counter()
    for made, _ in enumerate(batches, start=1):
        if made == most:
            break
    return windows.n_targets, (perf_counter() - began) / min(most, len(batches))


def _reading(seconds: float, histories: Any) -> Run:
    return {
        "seconds": round(seconds, 2),
        "peak_mb": peak_mb(),
        "bytes_per_event": round(histories.nbytes / histories.n_events, 2),
    }


def _prepared(file: Path) -> Path:
    return file.with_suffix(".prepared")


if __name__ == "__main__":
    main()
