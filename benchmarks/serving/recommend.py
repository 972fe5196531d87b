"""How many questions the engine answers, without HTTP, and how soon.

    python -m benchmarks.serving.recommend [--items 10000 100000 1000000] [--seconds 8] [--dirty]

The model is the default one, Tide with its experts, with random weights over a generated log: speed
does not depend on what weights say, and vectors without neighbours are the hardest to search.
Closed loops keep some questions in flight, as so many waiting clients would; the open loop asks at
a fixed rate and counts time from when each question was due. Where items are first scored roughly,
`recall@10` and `score_error` compare lists with those of scoring every item.
"""

import argparse
import tempfile
import time
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import numpy as np
import torch

from benchmarks.record import Row, peak_mb, record
from benchmarks.serving.shop import untrained_shop
from recency.nn.tide import Tide
from recency.ranking.topk import top_k
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.questions import LiveRecommender, Question, Ranked
from recency.serving.replies import Reply

K, N_USERS, N_EVENTS = 10, 5_000, 200_000
N_COMPARED = 200
PACES = (("1 in flight", 1), ("32 in flight", 32))
RATE = 300


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each trial")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as the server does
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for n_items in arguments.items:
            rows += measured(Path(folder) / str(n_items), n_items, arguments.seconds)
    print(record("serving", rows, dirty=arguments.dirty))


def measured(folder: Path, n_items: int, seconds: float) -> list[Row]:
    """Open a catalogue of some size, and ask at every pace."""
    n_events = N_EVENTS + (n_items if n_items > N_EVENTS // 2 else 0)
    shop = untrained_shop(folder, n_items, N_USERS, n_events, encoder=Tide(dim=64))
    engine = Engine.open(shop)
    rows = []
    try:
        for user in range(N_USERS):  # a user's history is read when he is first asked about
            engine.recommend(Question(f"u{user}", k=1)).result(timeout=600)
        quality = compared(engine)
        trials = [(name, closed_loop, n) for name, n in PACES]
        for name, loop, pace in [*trials, (f"{RATE}/s", open_loop, RATE)]:
            loop(engine, pace, seconds / 4)  # not measured
            row = {
                "data": f"generated: {n_items:,} items, {N_USERS:,} users, {n_events:,} events",
                "protocol": f"recommend {n_items:,} items, {name}",
                "model": "tide(dim=64) with experts, untrained",
                "seed": 0,
                "metrics": loop(engine, pace, seconds) | quality,
                "peak_mb": peak_mb(),
            }
            print(f"{row['protocol']}: {row['metrics']}")
            rows.append(row)
    finally:
        engine.close()
    return rows


def closed_loop(engine: Engine, in_flight: int, seconds: float) -> dict[str, float]:
    """Keep some questions in flight for a while."""
    random = np.random.default_rng(7)
    waiting: deque[tuple[float, Reply[Ranked]]] = deque()
    taken: list[float] = []
    started = time.perf_counter()
    end = started + seconds
    while waiting or time.perf_counter() < end:
        while len(waiting) < in_flight and time.perf_counter() < end:
            asked = Question(f"u{random.integers(0, N_USERS)}", k=K)
            waiting.append((time.perf_counter(), engine.recommend(asked)))
        since, reply = waiting.popleft()
        reply.result(timeout=600)
        taken.append(time.perf_counter() - since)
    return metrics(taken, time.perf_counter() - started)


def open_loop(engine: Engine, rate: int, seconds: float) -> dict[str, float]:
    """Ask at a fixed rate for a while, whether or not answers have come."""
    random = np.random.default_rng(7)
    due: SimpleQueue[tuple[float, Reply[Ranked]] | None] = SimpleQueue()
    taken: list[float] = []

    def collect() -> None:
        while (one := due.get()) is not None:
            one[1].result(timeout=600)
            taken.append(time.perf_counter() - one[0])

    collector = Thread(target=collect)
    collector.start()
    started = time.perf_counter()
    for n in range(int(rate * seconds)):
        if (early := started + n / rate - time.perf_counter()) > 0:
            time.sleep(early)
        asked = Question(f"u{random.integers(0, N_USERS)}", k=K)
        due.put((started + n / rate, engine.recommend(asked)))
    due.put(None)
    collector.join()
    return metrics(taken, time.perf_counter() - started)


def metrics(taken: list[float], seconds: float) -> dict[str, float]:
    """Sum up how long questions took."""
    p50, p99 = (1000 * float(np.quantile(taken, share)) for share in (0.5, 0.99))
    return {
        "requests_per_second": round(len(taken) / seconds, 1),
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
    }


def compared(engine: Engine) -> dict[str, float]:
    """Compare an engine's lists with those of scoring every item."""

    def asked(model: LiveRecommender) -> dict[str, float]:
        assert isinstance(model, SequenceRecommender)
        print(model.live.scoring.shortlists.table.search)
        return compare(model)

    return engine.call(asked).result(timeout=600)


def compare(model: SequenceRecommender) -> dict[str, float]:
    """Compare lists with those of scoring every item, where items are first scored roughly."""
    live = model.live
    if not live.scoring.shortlists.table.rough:
        return {}
    found, worst = 0, 0.0
    for user in range(N_COMPARED):
        rows = np.array([user])
        listed = live.shortlist(rows, live.now, K)
        assert listed is not None
        items, values, _ = listed
        scores, _ = live.scores(rows, live.now)
        best, _ = top_k(scores, K)
        found += len(np.intersect1d(items, best))
        worst = max(worst, float(np.abs(scores[0, items[0]] - values[0]).max()))
    return {"recall@10": found / (K * N_COMPARED), "score_error": round(worst, 6)}


if __name__ == "__main__":
    main()
