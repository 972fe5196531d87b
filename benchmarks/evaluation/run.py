"""How long does a full evaluation take, and how much memory?

    recency fit DATA/globo-news/events.parquet --until 0.9 --config benchmarks/evaluation/run.toml \
        --out runs/globo
    python -m benchmarks.evaluation.run runs/globo DATA/globo-news [--dirty]

The model was saved by another process; this one does nothing but judge it, so its
peak of memory is that of reading, loading and evaluating.
"""

import argparse
import time
from pathlib import Path

import torch

import recency as rc
from benchmarks.record import Row, peak_mb, record
from recency.baselines import Popularity
from recency.evaluation.protocol import Recommender

CUT = 0.9


def main() -> None:
    """Evaluate the model, then popularity, each in the same process, and record both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a folder that a model was saved to")
    parser.add_argument("folder", type=Path, help="a folder with events.parquet")
    parser.add_argument("--max-targets", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    if not (arguments.folder / "events.parquet").exists():
        print(f"skipped: there is no {arguments.folder / 'events.parquet'}")
        return
    torch.set_num_threads(arguments.threads)
    log = rc.read_log(arguments.folder / "events.parquet")
    train, test = log.split_at(log.quantile(CUT))
    before = peak_mb()
    rows = [
        measure(model, test, arguments.folder.name, arguments.max_targets, before)
        for model in (Popularity().fit(train), rc.load(arguments.model))
    ]
    print(record("evaluation", rows, dirty=arguments.dirty))


def measure(model: Recommender, test: rc.Log, data: str, most: int, before: float) -> Row:
    """Evaluate once, without baselines, and make the row."""
    started = time.perf_counter()
    report = rc.evaluate(
        model, test, k=10, reading="growing", baselines=False, max_targets=most, seed=0
    )
    seconds = time.perf_counter() - started
    print(f"{model.name}: {seconds:.1f} s, peak {peak_mb():,.0f} MiB ({before:,.0f} before)")
    return {
        "data": data,
        "protocol": f"{len(report.ranks[model.name]):,} targets, every one ranked against "
        f"{report.counts.n_items:,} items · all metrics, intervals and slices",
        "model": model.name,
        "metrics": {
            "seconds": round(seconds, 1),
            "targets a second": round(report.counts.n_targets / seconds),
            "peak MiB before": before,
        },
        "n_targets": report.counts.n_targets,
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    main()
