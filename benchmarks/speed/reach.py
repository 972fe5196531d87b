"""How long does training take until it is within 1 % of the best NDCG@10 that it reaches?

    python -m benchmarks.speed.reach DATA/ml-1m-order
    python -m benchmarks.speed.reach DATA/ml-1m-order --models gru rectools/sasrec --epochs 10

Everybody learns from what lies before the newest tenth of the log and is judged on it after every
epoch. Ours judges itself, as `fit` does, and its judgements count as time; a peer is judged by our
evaluator while its clock stands still. So each has the best of its own judgements, and only times
are compared. RecBole, whose epochs at this length take from a third of an hour (GRU4Rec) to
hours (SASRec) at the rates of `benchmarks.speed.run`, is run if asked for.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import recency as rc
from benchmarks.accuracy.cost import NEAR
from benchmarks.accuracy.splits import split_of
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.record import Row, commit, record
from recency.nn.encoders import ENCODERS, make_encoder

OURS = ("gru", "lstm", "transformer", "tide")
DEFAULT = (*OURS, "rectools/sasrec")
SHARE = 0.1  # newest part of the log, judged on
PATIENCE = 4  # epochs without a better judgement after which training stops
MOST_TARGETS = 5_000  # of a peer's judgement
Judged = Sequence[tuple[float, float]]  # seconds so far, NDCG@10; one an epoch


def main() -> None:
    """Train everybody in turn, and record a row each."""
    arguments = parse()
    commit(dirty=arguments.dirty)  # refuse now, not after an hour
    if not (arguments.folder / "events.parquet").exists():
        print(f"skipped: there is no {arguments.folder / 'events.parquet'}")
        return
    torch.set_num_threads(arguments.threads)
    split = split_of(arguments.folder, "last")
    log, length = split.train, split.source.max_len
    for model in arguments.models:
        if model in PEERS and not PEERS[model].python.exists():
            print(f"{model} is left out: there is no {PEERS[model].python}; run `make peers`")
            continue
        run = judged_by_us if model in PEERS else judged_by_itself
        judged = run(model, log, length, arguments)
        made = row(arguments.folder.name, model, length, judged, arguments)
        print(made["model"], made["metrics"], flush=True)
        print(record("speed", [made], dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="ml-1m-order, with events.parquet")
    parser.add_argument(
        "--models", nargs="+", default=list(DEFAULT), choices=[*ENCODERS, *PEERS], metavar="MODEL"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="most of a peer's training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    return parser.parse_args()


def judged_by_itself(
    model: str, log: rc.Log, length: int, arguments: argparse.Namespace
) -> list[tuple[float, float]]:
    """Train ours; its own judgements, and their time, count."""
    settings = rc.TrainConfig(
        epochs=arguments.epochs,
        max_len=length,
        valid_share=SHARE,
        patience=PATIENCE,
        refit=False,
        device="cpu",
    )
    inputs = rc.InputConfig(gap=False, calendar=False)
    ours = rc.SequenceRecommender(
        make_encoder(model, {"dim": 64}), inputs=inputs, training=settings, experts=None
    ).fit(log)
    assert ours.training_result is not None
    taken, judged = 0.0, []
    for epoch in ours.training_result.history:
        taken += epoch.seconds
        judged.append((taken, epoch.valid or 0.0))
    return judged


def judged_by_us(
    model: str, log: rc.Log, length: int, arguments: argparse.Namespace
) -> list[tuple[float, float]]:
    """Train a peer epoch by epoch, and judge it in between."""
    train, test = log.split_at(log.quantile(1 - SHARE))
    peer = Peer(model, PEERS[model], {"max_len": length}, threads=arguments.threads)
    judged: list[tuple[float, float]] = []
    try:
        peer.start(train)
        for epoch in range(1, arguments.epochs + 1):
            peer.train(epoch)
            report = rc.evaluate(
                peer, test, k=10, baselines=False, max_targets=MOST_TARGETS, resamples=2
            )
            judged.append((peer.about["train_seconds"], report.model.metrics["ndcg@10"]))
            print(model, epoch, *judged[-1], flush=True)
            if judged[-1][0] > 60 * arguments.minutes or has_stopped_rising(judged):
                break
    finally:
        peer.close()
    return judged


def has_stopped_rising(judged: Judged) -> bool:
    """Tell whether no judgement of the last epochs is better than one before them."""
    scores = [score for _, score in judged]
    return len(scores) > PATIENCE and max(scores[-PATIENCE:]) <= max(scores[:-PATIENCE])


def near_best(judged: Judged) -> tuple[float, int]:
    """Give seconds and epochs until a judgement was within 1 % of the best one."""
    best = max(score for _, score in judged)
    epoch = next(n for n, (_, score) in enumerate(judged, 1) if score >= NEAR * best)
    return judged[epoch - 1][0], epoch


def row(data: str, model: str, length: int, judged: Judged, arguments: argparse.Namespace) -> Row:
    """Make a model's row."""
    seconds, epochs = near_best(judged)
    metrics: dict[str, Any] = {
        "seconds_to_1pct": round(seconds, 1),
        "epochs to within 1 %": epochs,
        "epochs run": len(judged),
        "best ndcg@10 on the newest tenth": round(max(score for _, score in judged), 4),
    }
    return {
        "data": data,
        "protocol": f"time to within 1 % of the best NDCG@10 · at most {length} events, "
        f"{arguments.epochs} epochs · {arguments.threads} threads",
        "model": f"{model}, d=64",
        "request_time": "unknown",
        "seed": 0,
        "metrics": metrics,
        "train_seconds": round(judged[-1][0], 1),
    }


if __name__ == "__main__":
    main()
