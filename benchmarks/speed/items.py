"""What a catalogue of a million items costs: rate of learning, and the most memory ever held.

    python -m benchmarks.speed.items lstm

draws histories in which every item occurs, trains an encoder for some epochs of bounded size, each
judged on the newest tenth, and records one row in the table `speed`. The peak is that of the whole
process, the histories included. One encoder a process, or peaks would be of the largest.
"""

import argparse

import numpy as np
import torch

from benchmarks.record import Row, peak_mb, record
from recency.data.histories import Histories
from recency.nn.encoders import ENCODERS
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig, TrainingStep
from recency.training.loop import train

LENGTH = 20  # events a user
YEAR = 365 * 86_400_000_000  # microseconds


def drawn(n_items: int, n_events: int, seed: int = 0) -> Histories:
    """Draw histories of `LENGTH` events: each item once, all other events by Zipf's law.

    Args:
        n_items: Items, all of which occur.
        n_events: Events, at least as many.
        seed: Same seed, same histories.
    """
    rng = np.random.default_rng(seed)
    n_users = -(-n_events // LENGTH)
    edges = np.cumsum(1 / np.arange(1, n_items + 1))
    more = np.searchsorted(edges, rng.random(n_users * LENGTH - n_items) * edges[-1])
    items = rng.permutation(np.concatenate((np.arange(n_items), more))).astype(np.int32)
    times = np.sort(rng.integers(0, YEAR, size=(n_users, LENGTH)), axis=1)
    return Histories(np.arange(n_users + 1) * LENGTH, items, times.ravel())


def measured(name: str, dim: int, histories: Histories, config: TrainConfig) -> Row:
    """Train one encoder, judging included, and tell what it took."""
    n_items = int(histories.items.max()) + 1
    model = SequenceModel(ENCODERS[name](dim=dim), n_items)
    result = train(model, histories, config, progress=_told)
    seconds = sum(epoch.seconds for epoch in result.history)
    print(*result.choices, *result.notes, sep="\n")
    return {
        "data": f"drawn, {n_items:,} items, {histories.n_events:,} events",
        "protocol": f"dim {dim} · {'; '.join(result.choices)} · "
        f"{config.epochs} epochs, {torch.get_num_threads()} threads",
        "model": name,
        "request_time": "unknown",
        "seed": 0,
        "metrics": {
            "targets_per_second": round(len(result.history) * result.n_targets / seconds),
            "peak_mb": peak_mb(),
        },
        "n_targets": result.n_targets,
        "train_seconds": round(seconds, 1),
        "peak_mb": peak_mb(),
    }


def _told(step: TrainingStep) -> None:
    if step.step == step.steps:
        print(f"epoch {step.epoch}: loss {step.loss:.3f}, {peak_mb():,.0f} MB", flush=True)


def main() -> None:
    """Measure what is asked for and record it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("encoder", choices=sorted(ENCODERS))
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--loss", default="auto", help="see recency.TrainConfig")
    parser.add_argument("--negatives", type=int, default=512)
    parser.add_argument("--updates", default="auto", help="auto, dense or rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dirty", action="store_true", help="record uncommitted code as such")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = TrainConfig(
        epochs=given.epochs,
        loss=given.loss,
        negatives=given.negatives,
        item_updates=given.updates,
        refit=False,
        device="cpu",
    )
    row = measured(given.encoder, given.dim, drawn(given.items, given.events), config)
    print(row["metrics"])
    record("speed", [row], dirty=given.dirty)


if __name__ == "__main__":
    main()
