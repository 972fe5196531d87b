"""How good are plain GRU and LSTM, the baselines and a peer, on public logs split by time?

    python -m benchmarks.quality.run DATA/ml-100k DATA/deskdrop [--dirty]

Each DATA folder holds ``events.parquet``. The log is looked at (`inspect`), cut at the instant of
its 0.9 quantile, and each model learns from what lies strictly before. Then every later event is a
target, six times over: with and without items of the history, and with the three readings of items
that training never saw. Rows go to ``results/quality.json``, paired differences to
``results/paired.json``; they take the place of all older rows of the same data.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import torch

import recency as rc
from benchmarks.peers.peer import Peer, sasrec
from benchmarks.record import Row, peak_mb, record
from recency.baselines import default_baselines
from recency.evaluation.protocol import Recommender
from recency.evaluation.report import Report
from recency.evaluation.settings import Reading

CUT = 0.9  # quantile of time
SHOWN = ("recall@10", "ndcg@10")  # with intervals, and in the paired table
DIFFERENCES = ("ndcg@10", "recall@10")


@dataclass(frozen=True)
class Fitted:
    """A fitted model, the seconds that took, and the memory it held where that is known."""

    model: Recommender
    seconds: float
    peak_mb: float | None = None


def main() -> None:
    """Run every data set given, one after the other."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        quality, paired = run(folder, arguments)
        record("paired", paired, afresh=True, dirty=arguments.dirty)
        print(record("quality", quality, afresh=True, dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    parser.add_argument("--epochs", type=int, default=30, help="most epochs of our models")
    parser.add_argument("--all-epochs", action="store_true", help="hold nothing back to judge on")
    parser.add_argument("--newest", type=int, help="our models learn from so many newest events")
    parser.add_argument("--max-targets", type=int, help="draw users up to so many targets")
    parser.add_argument("--encoders", nargs="+", choices=["gru", "lstm"], default=["gru", "lstm"])
    parser.add_argument("--save", type=Path, help="keep the fitted models in this folder")
    parser.add_argument("--no-peer", action="store_true", help="leave SASRec out")
    # More threads than free cores wait for each other at every barrier: fits take 50 times as long.
    parser.add_argument("--threads", type=int, default=1, help="of torch, ours and the peer's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    return parser.parse_args()


def run(folder: Path, arguments: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Inspect, split, fit and judge one log."""
    log = rc.read_log(folder / "events.parquet")
    print(rc.inspect(log))
    train, test = log.split_at(log.quantile(CUT))
    learned = newest(train, arguments.newest)
    ours = [fit(name, learned, arguments) for name in arguments.encoders]
    peer = None if arguments.no_peer else sasrec(folder.name, arguments.seed, arguments.threads)
    fitted = ours + ([fit_peer(peer, train)] if peer and peer.is_installed else [])
    if peer and not peer.is_installed:
        print(f"{peer.name} is left out: run `make peers`")
    quality: list[Row] = []
    paired: list[Row] = []
    for repeats in (True, False):
        baselines = default_baselines(repeats)  # fitted by the first evaluation, then kept
        for reading, judged in product(get_args(Reading), range(len(ours))):
            if judged and reading != "warm":  # one paired table of each further model is enough
                continue
            report = judge(fitted, judged, baselines, test, repeats, reading, arguments)
            print(report, flush=True)
            if not judged:
                quality += rows(folder.name, report, fitted, arguments.seed)
            paired += differences(folder.name, report, arguments.seed)
    if peer:
        peer.close()
    return quality, paired


def fit(name: str, train: rc.Log, arguments: argparse.Namespace) -> Fitted:
    """Fit one of our models with the settings that everything has by default."""
    encoder = {"gru": rc.GRU, "lstm": rc.LSTM}[name](dim=64)
    training = rc.TrainConfig(
        epochs=arguments.epochs, valid_share=0.0 if arguments.all_epochs else 0.1
    )
    model = rc.SequenceRecommender(encoder, training=training, seed=arguments.seed)
    started = time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - started
    result = model.training_result
    print(f"{name}: {result.epochs if result else '?'} epochs kept, {seconds:.0f} s", flush=True)
    if arguments.save:
        model.save(arguments.save / name)
    return Fitted(model, seconds, peak_mb())


def newest(train: rc.Log, n: int | None) -> rc.Log:
    """Keep the newest events of a log that is too long to learn from on this machine."""
    return train if n is None or n >= len(train) else rc.Log.from_frame(train.events.tail(n))


def fit_peer(peer: Peer, train: rc.Log) -> Fitted:
    """Fit the peer in its own environment."""
    peer.fit(train)
    print(f"{peer.name}: {peer.about}", flush=True)
    return Fitted(peer, peer.about["train_seconds"], peer.about["peak_mb"])


def judge(
    fitted: list[Fitted],
    judged: int,
    baselines: list[Recommender],
    test: rc.Log,
    repeats: bool,
    reading: Literal["warm", "misses", "growing"],
    arguments: argparse.Namespace,
) -> Report:
    """Evaluate one model, with all the others beside it."""
    others = [one.model for place, one in enumerate(fitted) if place != judged]
    return rc.evaluate(
        fitted[judged].model,
        test,
        k=10,
        history="rolling",
        repeats=repeats,
        reading=reading,
        baselines=[*others, *baselines],
        max_targets=arguments.max_targets,
        seed=arguments.seed,
    )


def protocol(report: Report) -> str:
    """Say what the numbers are numbers of."""
    said, counts = report.settings, report.counts
    drawn = f" · users drawn up to {said.max_targets:,} targets" if said.max_targets else ""
    return (
        f"split at the {CUT} quantile of time · history {said.history} · "
        f"repeats {'yes' if said.repeats else 'no'} · reading {said.reading} · ties {said.ties} · "
        f"{counts.n_items:,} candidates{drawn} · of {counts.n_events:,} test events "
        f"{counts.n_cold / counts.n_events:.1%} on items unseen in training, "
        f"{counts.n_empty / counts.n_events:.1%} without a history, "
        f"{counts.n_repeats / counts.n_events:.1%} repeats"
    )


def rows(data: str, report: Report, fitted: list[Fitted], seed: int) -> list[Row]:
    """Make a row of each model's numbers."""
    trained = {one.model.name: one for one in fitted}
    made = []
    for result in report.results:
        metrics = {name: float(value) for name, value in result.metrics.items() if value == value}
        for name in SHOWN:
            metrics[f"{name} low"], metrics[f"{name} high"] = result.intervals[name]
        one = trained.get(result.model)
        seconds = one.seconds if one else result.fit_seconds
        made.append(
            {
                "data": data,
                "protocol": protocol(report),
                "model": result.model,
                "request_time": result.request_time,
                "seed": seed,
                "metrics": metrics,
                "n_targets": report.counts.n_targets,
                "train_seconds": None if seconds is None else round(seconds, 2),
                "peak_mb": one.peak_mb if one else None,
            }
        )
    return made


def differences(data: str, report: Report, seed: int) -> list[Row]:
    """Make a row of the judged model's paired difference from each other one."""
    made: dict[str, Row] = {}
    for one in report.comparisons:
        if one.metric not in DIFFERENCES:
            continue
        row = made.setdefault(
            one.other,
            {
                "data": data,
                "protocol": protocol(report),
                "model": f"{one.model} − {one.other}",
                "seed": seed,
                "metrics": {},
                "n_targets": report.counts.n_targets,
            },
        )
        low, high = one.interval
        row["metrics"] |= {
            one.metric: one.difference,
            f"{one.metric} low": low,
            f"{one.metric} high": high,
            f"{one.metric} p": one.p,
        }
    return list(made.values())


if __name__ == "__main__":
    main()
