"""What an event costs: taken in by the model, counted by the experts, and read into the state.

    python -m benchmarks.serving.one_event [--items 10000] [--seconds 5] [--dirty]

An event costs little when it comes; the state is brought up to date when its user is next asked
about, and the experts' counts with the first question after it. Here all three are done for every
batch, each of as many users as events. The log and its disk are `benchmarks.serving.load`'s matter.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import Row, peak_mb, record
from benchmarks.serving.shop import untrained_shop
from recency.nn.tide import Tide
from recency.recommender import SequenceRecommender

N_USERS, N_EVENTS = 5_000, 200_000
BATCHES = (1, 1_024)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each trial")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as the server does
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        shop = untrained_shop(
            Path(folder) / "shop", arguments.items, N_USERS, N_EVENTS, encoder=Tide(dim=64)
        )
        model = SequenceRecommender.load(shop)
        warm(model)
        for batch in BATCHES:
            row = {
                "data": f"generated: {arguments.items:,} items, {N_USERS:,} users, "
                f"{N_EVENTS:,} events",
                "protocol": f"event batch {batch}",
                "model": "tide(dim=64) with experts, untrained",
                "seed": 0,
                "metrics": measured(model, batch, arguments.items, arguments.seconds),
                "peak_mb": peak_mb(),
            }
            print(f"{row['protocol']}: {row['metrics']}")
            rows.append(row)
    print(record("serving", rows, dirty=arguments.dirty))


def warm(model: SequenceRecommender) -> None:
    """Have everybody's state, and the experts' counts."""
    for first in range(0, N_USERS, 50):
        model.recommend([f"u{user}" for user in range(first, first + 50)], 1)


def measured(
    model: SequenceRecommender, batch: int, n_items: int, seconds: float
) -> dict[str, float]:
    """Take batches in for a while; give microseconds an event, the medians of the batches."""
    random, live = np.random.default_rng(batch), model.live
    parts: list[tuple[float, float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        users = np.sort(random.choice(N_USERS, batch, replace=False))
        newest = live.now
        events = [
            {"user_id": f"u{user}", "item_id": f"i{item}", "timestamp": newest + n}
            for n, (user, item) in enumerate(
                zip(users.tolist(), random.integers(0, n_items, batch).tolist(), strict=True)
            )
        ]
        rows = np.sort(model.users.rows([f"u{user}" for user in users.tolist()]))
        started = time.perf_counter()
        model.observe(events)
        observed = time.perf_counter()
        if live.recall is not None:
            live.recall.at(live.now)
        counted = time.perf_counter()
        live.scoring.read(rows, live.timelines)
        parts.append((observed - started, counted - observed, time.perf_counter() - counted))
    taken = 1e6 * np.array(parts[len(parts) // 5 :]) / batch
    taken_in, counted_in, read = np.median(taken, axis=0)
    whole = taken.sum(axis=1)
    return {
        "us_per_event": round(float(np.median(whole)), 2),
        "p99_us_per_event": round(float(np.quantile(whole, 0.99)), 2),
        "events_per_second": round(1e6 / float(np.mean(whole)), 1),
        "observe_us": round(float(taken_in), 2),
        "count_us": round(float(counted_in), 2),
        "state_us": round(float(read), 2),
    }


if __name__ == "__main__":
    main()
