"""Choose settings from the stated grids, with the same budget for every model.

    python -m benchmarks.accuracy.tune time DATA/ml-100k --models gru rectools/sasrec --minutes 5

Nothing after the cut is looked at: training is split once more, the same way (its newest tenth, or
the last event but one of each user). Every model gets as many points (see `grids`) and as many
minutes of one processor core, in equal parts for its points; a peer is judged at checkpoints on its
way and keeps the best number of epochs, one of ours takes as many epochs as fit in and stops by
itself. What counts is NDCG@10, the mean of with and without repeats, on a draw of users.
The outcome goes to ``chosen.json``, with everything that was tried.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.exams import exams_of, judge_all
from benchmarks.accuracy.grids import CHECKPOINTS, Settings, chosen_so_far, grid, keep_chosen
from benchmarks.accuracy.ours import BASELINES, KNOWN, OURS, Wish
from benchmarks.accuracy.run import GROUPS, models_of
from benchmarks.accuracy.splits import Split, Variant, split_of
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.record import commit
from recency.evaluation.exam import Exam
from recency.evaluation.protocol import Recommender
from recency.ranking.metrics import ndcg
from recency.training.config import TrainingStep

MAX_TARGETS = 3_000
PATIENCE = 2  # checkpoints without a better judgement after which a point is done
Exams = dict[Variant, Exam]


class TooSlow(Exception):
    """An epoch takes so long that all of them would not fit; carries the seconds of one."""

    def __init__(self, epoch_seconds: float) -> None:
        super().__init__(f"an epoch takes {epoch_seconds:.1f} s")
        self.epoch_seconds = epoch_seconds


def main() -> None:
    """Tune what is not chosen yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["time", "last"])
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    known = [*GROUPS, *OURS, *PEERS]
    parser.add_argument("--models", nargs="+", default=["ours", "peers"], choices=known)
    parser.add_argument("--minutes", type=float, default=5.0, help="of one core, for each model")
    parser.add_argument("--again", action="store_true", help="choose anew what is chosen already")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        split = split_of(folder, arguments.kind)
        done = chosen_so_far().get(split.data, {}).get(split.kind, {})
        wanted = [one for one in models_of(arguments.models, split) if is_tuned(one)]
        for model in wanted:
            if arguments.again or model not in done:
                tune(split, model, arguments.minutes)


def is_tuned(model: str) -> bool:
    """Tell whether a model has a grid of its own: ablations follow, baselines choose themselves."""
    return model not in BASELINES and "," not in model and not model.endswith(KNOWN)


def tune(split: Split, model: str, minutes: float) -> None:
    """Try all points of a model's grid and keep the best."""
    inner = split.inner()
    every = exams_of(inner, MAX_TARGETS)
    exams = {variant: exam for variant, exam in every.items() if variant.reading != "growing"}
    points = grid(model, split)
    seconds = 60 * minutes / len(points)
    tried: list[dict[str, Any]] = []
    for point in points:
        tried += try_point(inner, exams, model, point, seconds)
        newest = tried[-1]
        print(f"{split.data} {model} {newest['settings']}: {newest['ndcg@10']}", flush=True)
    best = max(tried, key=lambda one: one["ndcg@10"])
    found = {
        "settings": best["settings"],
        "ndcg@10": best["ndcg@10"],
        "minutes": minutes,
        "commit": commit(dirty=True),
        "tried": tried,
    }
    keep_chosen(split, model, found)


def try_point(
    inner: Split, exams: Exams, model: str, point: Settings, seconds: float
) -> list[dict[str, Any]]:
    """Fit one point, and judge it: a peer's at every checkpoint."""
    if model in PEERS:
        return try_peer(inner, exams, model, point, seconds)
    started = time.process_time()
    try:
        settings = point
        ours = fit_ours(inner, model, point, seconds)
    except TooSlow as fault:
        settings = point | {"epochs": max(1, int(seconds / fault.epoch_seconds))}
        started = time.process_time()
        ours = fit_ours(inner, model, settings, None)
    spent = round(time.process_time() - started, 1)
    return [{"settings": settings, "ndcg@10": score(ours, exams), "seconds": spent}]


def fit_ours(inner: Split, model: str, settings: Settings, seconds: float | None) -> Recommender:
    """Fit one of ours; it judges its epochs by itself, and is not fitted afresh afterwards.

    Raises:
        TooSlow: all epochs would take longer than ``seconds``.
    """
    source = inner.source
    wish = Wish.of(source, settings | {"refit": False}, 0)
    started = time.process_time()

    def look(step: TrainingStep) -> None:
        spent = time.process_time() - started
        # The first epoch is learned, and judged.
        is_measured = (step.stage, step.epoch, step.step) == ("search", 2, 1)
        if seconds and is_measured and spent * step.epochs > seconds:
            raise TooSlow(spent)

    made: Any = OURS[model].make(wish)
    fitted: Recommender = made.fit(inner.train, progress=look)
    return fitted


def try_peer(
    inner: Split, exams: Exams, model: str, point: Settings, seconds: float
) -> list[dict[str, Any]]:
    """Teach a peer from checkpoint to checkpoint until it gets no better or its time is over."""
    peer = Peer(model, PEERS[model], point, seconds=seconds)
    peer.start(inner.train)
    if model.startswith("implicit/"):
        peer.train(point.get("epochs", 1))
        tried = [_outcome(peer, exams, point)]
        peer.close()
        return tried
    tried, since = [], 0
    for epochs in CHECKPOINTS:
        peer.train(epochs)
        reached = peer.about["epochs"]
        tried.append(_outcome(peer, exams, point | {"epochs": reached}))
        best = max(one["ndcg@10"] for one in tried)
        since = 0 if tried[-1]["ndcg@10"] == best else since + 1
        if reached < epochs or since >= PATIENCE or peer.about["cpu_seconds"] > seconds:
            break
    peer.close()
    return tried


def score(model: Recommender, exams: Exams) -> float:
    """Give the mean NDCG@10 over variants."""
    judged = judge_all(model, exams)
    return round(float(np.mean([ndcg(one.ranks, 10).mean() for one in judged.values()])), 5)


def _outcome(peer: Peer, exams: Exams, settings: Settings) -> dict[str, Any]:
    spent = round(peer.about["cpu_seconds"], 1)
    return {"settings": settings, "ndcg@10": score(peer, exams), "seconds": spent}


if __name__ == "__main__":
    main()
