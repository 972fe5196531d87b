"""Measure explanations on public logs, and record the table `explain`.

    python -m benchmarks.explain.run DATA/deskdrop DATA/ml-latest-2k

A Tide with its experts and the settings of the accuracy tables is fitted on what came before the
0.9 quantile of time, and kept under ``runs/explain``. Then users are drawn among those with five
events or more before and an event after, and the first item of each one's list, asked for right
after training, is explained in every way: `recency.explaining.faithfulness` tells what is measured.
The newest 30 events of each are looked at.

A row's ``deletion_gain_over_recency`` is by how much smaller the mean area under the deletion curve
is than where the newest events are left out first; ``rank_correlation`` is the mean of Spearman's
with leaving out one event each, which for that method itself is 1 and therefore left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import torch

from benchmarks.accuracy.grids import settings_of
from benchmarks.accuracy.ours import OURS, Wish
from benchmarks.accuracy.splits import Split, split_of
from benchmarks.record import ROOT, Row, commit, record
from recency.data.vocab import Id
from recency.explaining.contributions import Method
from recency.explaining.faithfulness import FEWEST, faithfulness
from recency.recommender import SequenceRecommender

KEPT = ROOT / "runs" / "explain"
METHODS: tuple[Method, ...] = get_args(Method)
SEEDS = (0, 1, 2)
WINDOW = 30
FOUND_BY_ITSELF = "leave_one_out"


def main() -> None:
    """Fit or load, ask, tell, record."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if not arguments.no_record:
        commit(dirty=arguments.dirty)  # refuses now rather than after an hour
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"{folder} is absent: skipped.")
            continue
        split = split_of(folder, "time")
        model = fitted(split, arguments.epochs)
        rows = [
            row
            for seed in SEEDS[: arguments.seeds]
            for row in measured(split, model, seed, arguments.questions)
        ]
        tell(rows)
        if not arguments.no_record:
            record("explain", rows, dirty=arguments.dirty)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with events.parquet")
    parser.add_argument("--questions", type=int, default=100, help="users drawn by each seed")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), choices=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="instead of those of the accuracy tables")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-record", action="store_true", help="a trial: print only")
    parser.add_argument(
        "--dirty", action="store_true", help="an uncommitted tree is marked as such"
    )
    return parser.parse_args()


def fitted(split: Split, epochs: int | None) -> SequenceRecommender:
    """Fit the model of a log, or load it where it was fitted before."""
    folder = KEPT / (split.data if epochs is None else f"{split.data}-{epochs}-epochs")
    if folder.exists():
        return SequenceRecommender.load(folder)
    settings: dict[str, Any] = settings_of("tide", split)
    if epochs is not None:
        settings |= {"epochs": epochs}
    model = OURS["tide"].make(Wish.of(split.source, settings, 0, repeats=True))
    assert isinstance(model, SequenceRecommender)
    model.fit(split.train).save(folder)
    return model


def measured(split: Split, model: SequenceRecommender, seed: int, n: int) -> list[Row]:
    """Ask about users drawn by a seed, and sum up: a row a method."""
    users = drawn(split, model, seed, n)
    found = faithfulness(model, users, methods=METHODS, window=WINDOW, seed=seed)
    means = {
        str(order): part.select(pl.mean("deletion", "insertion", "fall", "rank_correlation"))
        for (order,), part in found.group_by("order", maintain_order=True)
    }
    return [
        {
            "data": split.data,
            "protocol": f"the first item of lists asked for right after training · the newest "
            f"{WINDOW} events looked at · {n} users drawn",
            "model": f"tide · {method}",
            "request_time": model.request_time,
            "seed": seed,
            "n_targets": found["user_id"].n_unique(),
            "metrics": metrics(means, method),
        }
        for method in METHODS
    ]


def drawn(split: Split, model: SequenceRecommender, seed: int, n: int) -> list[Id]:
    """Draw users with enough events before the cut and one after."""
    later = split.test.events["user_id"].unique(maintain_order=True)
    rows = model.users.rows(later)
    counts = np.where(rows >= 0, model.live.timelines.histories().lengths[rows], 0)
    there = np.flatnonzero(counts >= FEWEST)
    chosen = np.random.default_rng(seed).permutation(there)[:n]
    return later[chosen.tolist()].to_list()


def metrics(means: dict[str, pl.DataFrame], method: Method) -> dict[str, float]:
    """Compare a method with orders that need none; positive gains are in its favour."""
    own, recency, random = (means[name] for name in (method, "recency", "random"))
    found = {
        "deletion_gain_over_recency": 1 - _of(own, "deletion") / _of(recency, "deletion"),
        "deletion_gain_over_random": 1 - _of(own, "deletion") / _of(random, "deletion"),
        "insertion_gain_over_recency": _of(own, "insertion") / _of(recency, "insertion") - 1,
        "fall_gain_over_recency": _of(own, "fall") / _of(recency, "fall") - 1,
        "deletion_area": _of(own, "deletion"),
        "deletion_area_recency": _of(recency, "deletion"),
        "deletion_area_random": _of(random, "deletion"),
    }
    if method != FOUND_BY_ITSELF:
        found["rank_correlation"] = _of(own, "rank_correlation")
    return {name: round(value, 4) for name, value in found.items()}


def _of(mean: pl.DataFrame, name: str) -> float:
    return float(mean[name].item())


def tell(rows: Sequence[Row]) -> None:
    """Print what was found."""
    for row in rows:
        shown = "  ".join(f"{name} {value:+.3f}" for name, value in row["metrics"].items())
        print(f"{row['data']}  seed {row['seed']}  n {row['n_targets']}  {row['model']}: {shown}")


if __name__ == "__main__":
    main()
