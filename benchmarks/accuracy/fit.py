"""Fit one model once, judge it, and keep the outcome: the process that `run` starts for each fit.

    python -m benchmarks.accuracy.fit time DATA/ml-100k rectools/sasrec --seed 0 --settings '{…}'

It is a process of its own so that its peak of memory is this fit's.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.exams import exams_of, fingerprint, judge_all
from benchmarks.accuracy.grids import Settings
from benchmarks.accuracy.ours import BASELINES, KNOWN, OURS, Wish
from benchmarks.accuracy.splits import Split, Variant, split_of
from benchmarks.accuracy.store import STORE, Store
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.record import command, commit, machine, peak_mb
from recency.evaluation.exam import Exam
from recency.evaluation.measure import Measured, item_vectors, measure
from recency.evaluation.protocol import Recommender


@dataclass(frozen=True)
class Fitted:
    """Hold a fitted model and what the fit took.

    Attributes:
        model: Fitted.
        seconds: Wall time of learning.
        cpu_seconds: Time that processors spent on it.
        peak_mb: Most memory held, in MiB.
        about: What else there is to say, as JSON.
        close: Called when all is answered.
    """

    model: Recommender
    seconds: float
    cpu_seconds: float
    peak_mb: float
    about: dict[str, Any]
    close: Callable[[], None] = lambda: None


def main() -> None:
    """Fit, judge and keep."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    split = split_of(arguments.folder, arguments.kind)
    settings, model, seed = json.loads(arguments.settings), arguments.model, arguments.seed
    origin = {  # of the tree as it is now, not as it may be when the fit is done
        "settings": settings,
        "command": command(),
        "commit": commit(dirty=arguments.dirty),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
    }
    exams, measured, said = judged_fits(split, model, settings, arguments)
    store = Store(split.data, split.kind, arguments.store)
    store.keep_exams(split, exams)
    store.keep(model, seed, said | origin, measured)
    print(f"{model} {seed}: {said['train_seconds']:.0f} s, {said['ndcg@10']}", flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["time", "last"])
    parser.add_argument("folder", type=Path, help="a folder with events.parquet")
    parser.add_argument("model", choices=[*OURS, *BASELINES, *PEERS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="JSON; see grids.py")
    parser.add_argument("--seconds", type=float, help="most seconds of a core for a peer")
    parser.add_argument("--max-targets", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument(
        "--dirty", action="store_true", help="an uncommitted tree is marked as such"
    )
    return parser.parse_args()


def fitted(
    split: Split, model: str, settings: Settings, seed: int, repeats: bool, seconds: float | None
) -> Fitted:
    """Fit one model on what a split learns from."""
    if model in PEERS:
        peer = Peer(model, PEERS[model], settings, seed=seed, seconds=seconds)
        peer.fit(split.train)
        about = dict(peer.about)
        took = (about.pop("train_seconds"), about.pop("cpu_seconds"), about.pop("peak_mb"))
        return Fitted(peer, *took, about, peer.close)
    maker = OURS.get(model) or BASELINES[model]
    known = model.endswith(KNOWN)
    wish = Wish.of(split.source, settings, seed, repeats=repeats, known=known)
    ours = maker.make(wish)
    wall, busy = time.perf_counter(), time.process_time()
    ours.fit(split.train)
    took = (time.perf_counter() - wall, time.process_time() - busy, peak_mb())
    result = getattr(ours, "training_result", None)
    about = {"epochs": result.epochs, "epochs_run": len(result.history)} if result else {}
    return Fitted(ours, *took, about)


def judged_fits(
    split: Split, model: str, settings: Settings, arguments: argparse.Namespace
) -> tuple[dict[Variant, Exam], dict[Variant, Measured], dict[str, Any]]:
    """Fit once, or once with and once without repeats, and judge.

    Returns:
        What was asked, metrics, and what else to say of the fits.
    """
    maker = OURS.get(model) or BASELINES.get(model)
    groups = [list(split.variants)]
    if maker and maker.by_repeats:
        groups = [[v for v in split.variants if v.repeats == repeats] for repeats in (False, True)]
    exams: dict[Variant, Exam] = {}
    measured: dict[Variant, Measured] = {}
    took: list[Fitted] = []
    for group in filter(None, groups):
        one = fitted(split, model, settings, arguments.seed, group[0].repeats, arguments.seconds)
        # Only now: what is asked takes memory that is no part of the fit's.
        exams = exams or exams_of(split, arguments.max_targets)
        vectors = item_vectors(exams[group[0]], None)
        judged = judge_all(one.model, {variant: exams[variant] for variant in group})
        measured |= {v: measure(found, exams[v], vectors) for v, found in judged.items()}
        one.close()
        took.append(one)
    said = _said(took) | {
        "fingerprints": {variant.key: fingerprint(exam) for variant, exam in exams.items()},
        "whole": {variant.key: one.whole for variant, one in measured.items()},
        "ndcg@10": {
            v.key: round(float(one.units["ndcg@10"].mean()), 4) for v, one in measured.items()
        },
    }
    return exams, measured, said


def _said(took: list[Fitted]) -> dict[str, Any]:
    """Say what fits took; of two, the longer and the larger."""
    return {
        "request_time": getattr(took[0].model, "request_time", None),
        "train_seconds": max(one.seconds for one in took),
        "cpu_seconds": max(one.cpu_seconds for one in took),
        "peak_mb": max(one.peak_mb for one in took),
        "about": took[0].about,
    }


if __name__ == "__main__":
    main()
