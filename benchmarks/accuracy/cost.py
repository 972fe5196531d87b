"""What do encoders cost: memory of a user, time of an event, time of an epoch?

    python -m benchmarks.accuracy.cost                            states and steps, on drawn inputs
    python -m benchmarks.accuracy.cost DATA/ml-1m-order           and epochs of a real log
    python -m benchmarks.accuracy.cost DATA/ml-1m-order --encoders tide gru --epochs 20

A step is `Encoder.step` alone, without embedding and scoring. An epoch is one of the search stage,
judgement included; how long it takes to within 1 % of the best judgement is counted over such
epochs. Experts are off: what they cost does not depend on the encoder.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import recency as rc
from benchmarks.accuracy.splits import split_of
from benchmarks.record import Row, peak_mb, record
from recency.data.histories import NO_GAP
from recency.nn.encoder import Clock, Encoder
from recency.nn.encoders import ENCODERS

DIM, BATCH, LENGTH = 64, 128, 200
REPEATS = 200  # steps timed one by one; the median counts
NEAR = 0.99  # of the best judgement


def main() -> None:
    """Measure, and record a row an encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="a folder with events.parquet")
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.encoders:
        rows = [stepped(name, arguments.threads)]
        if arguments.folder is not None and not (arguments.folder / "events.parquet").exists():
            print(f"skipped: there is no {arguments.folder / 'events.parquet'}")
        elif arguments.folder is not None:
            rows.append(trained(name, arguments.folder, arguments.epochs))
        for row in rows:
            print(name, row["data"], row["metrics"], flush=True)
        record("encoders", rows, dirty=arguments.dirty)


def stepped(name: str, threads: int) -> Row:
    """Time steps of one user and of 1,024, and a pass forward and back over a large batch."""
    torch.manual_seed(0)
    encoder = ENCODERS[name](dim=DIM)
    metrics: dict[str, Any] = {"state bytes": 4 * encoder.state_size}
    metrics["forward and backward ms"] = round(1e3 * _pass_seconds(encoder), 1)
    encoder.eval()
    for users in (1, 1_024):
        seconds = _step_seconds(encoder, users)
        metrics[f"µs a step, {users:,} users"] = round(1e6 * seconds, 1)
        metrics[f"µs an event, {users:,} users"] = round(1e6 * seconds / users, 2)
    return {
        "data": "drawn",
        "protocol": f"dim {DIM}, {threads} threads · one pass of {BATCH} histories of {LENGTH} "
        f"events · a step of 1 and of 1,024 users after {LENGTH} events",
        "model": name,
        "metrics": metrics,
    }


def trained(name: str, folder: Path, epochs: int) -> Row:
    """Train on a log until judgements no longer rise, and tell how long it took."""
    split = split_of(folder, "last" if folder.name == "ml-1m-order" else "time")
    timed = not split.source.order_only
    inputs = rc.InputConfig(gap=timed, calendar=timed)
    training = rc.TrainConfig(epochs=epochs, refit=False, device="cpu")
    model = rc.SequenceRecommender(
        ENCODERS[name](dim=DIM), inputs=inputs, training=training, experts=None
    ).fit(split.train)
    result = model.training_result
    assert result is not None
    best = max(epoch.valid or 0.0 for epoch in result.history)
    judged = enumerate(result.history, start=1)
    near = next(n for n, epoch in judged if (epoch.valid or 0.0) >= NEAR * best)
    return {
        "data": folder.name,
        "protocol": f"{split.text} · at most {epochs} epochs, judged on the newest tenth",
        "model": name,
        "request_time": "unknown",
        "seed": 0,
        "metrics": {
            "seconds an epoch": round(statistics.median(e.seconds for e in result.history), 1),
            "seconds to within 1 %": round(sum(e.seconds for e in result.history[:near]), 1),
            "epochs to within 1 %": near,
            "best ndcg@10 on the newest tenth": best,
        },
        "n_targets": result.n_targets,
        "train_seconds": round(sum(e.seconds for e in result.history), 1),
        "peak_mb": peak_mb(),
    }


def _clock(users: int, length: int) -> Clock:
    gaps = torch.rand(users, length) * 1e5
    gaps[:, 0] = NO_GAP
    return Clock(gaps, torch.cumsum((gaps.clamp(min=0) * 1e6).long(), dim=1))


def _pass_seconds(encoder: Encoder) -> float:
    x, clock = torch.randn(BATCH, LENGTH, DIM, requires_grad=True), _clock(BATCH, LENGTH)
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        torch.autograd.backward(encoder(x, clock)[0].sum())
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


@torch.no_grad()
def _step_seconds(encoder: Encoder, users: int) -> float:
    clock = _clock(users, LENGTH + 1)
    past = Clock(clock.gaps[:, :LENGTH], clock.times[:, :LENGTH])
    now = Clock(clock.gaps[:, LENGTH:], clock.times[:, LENGTH:])
    _, state = encoder(torch.randn(users, LENGTH, DIM), past)
    x, taken = torch.randn(users, DIM), []
    for _ in range(REPEATS if users == 1 else REPEATS // 10):
        started = time.perf_counter()
        encoder.step(x, now, state)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
