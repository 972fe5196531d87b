"""Trials: models of one log fitted each in a process of its own, asked alike, kept, compared.

What is kept is each target's NDCG@10, so any two models can be compared afterwards; a fit that is
kept is not repeated, so a run that was stopped goes on. While the first fit runs it says how many
minutes it and the fits after it will take.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import recency as rc
from benchmarks.accuracy.splits import split_of
from benchmarks.content.logs import Described, described
from benchmarks.content.run import SETTINGS as CHOSEN
from benchmarks.content.run import STORE, exam_of
from benchmarks.record import ROOT, Row, commit, peak_mb, record
from recency.evaluation.intervals import resample
from recency.evaluation.judge import judge
from recency.ranking.metrics import ndcg
from recency.training.config import TrainingStep

ASKED = (
    "time · split at the 0.9 quantile of time, rolling history, new items, every item that the "
    "catalogue lists is a candidate · encoders alone"
)
SETTINGS: dict[str, dict[str, Any]] = {**CHOSEN, "amazon-instruments": {"epochs": 20}}
_REVIEWS = 20  # newest of an item whose words are read
_TIMED = 20  # steps after which a fit tells how long it will take

Fit = Callable[[Described, str, int, Path, Callable[[TrainingStep], None]], rc.SequenceRecommender]


@dataclass(frozen=True)
class Contest:
    """Say what is compared.

    Attributes:
        module: That is run, such as ``benchmarks.content.hybrid``.
        protocol: Its first words.
        names: Of the models.
        fit: Fits one of them.
        against: For each model that shall gain something, those that it is set against; the best of
            them counts.
        gain: Name of the metric for it.
    """

    module: str
    protocol: str
    names: tuple[str, ...]
    fit: Fit
    against: Mapping[str, tuple[str, ...]]
    gain: str


def compete(contest: Contest, about: str | None) -> None:
    """Fit what is not kept yet, compare, print, record."""
    arguments = _parse(contest, about)
    if not arguments.no_record and not arguments.one:
        commit(dirty=arguments.dirty)  # refuse now, not after an hour
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        if arguments.one:
            _fit_one(contest, folder, arguments.one[0], int(arguments.one[1]), arguments)
            continue
        wanted = [(name, seed) for seed in arguments.seeds for name in arguments.models]
        missing = [
            one for one in wanted if not _path(contest, folder, *one, arguments.store).exists()
        ]
        print(f"{folder.name}: {len(missing)} of {len(wanted)} fits to do", flush=True)
        for place, (name, seed) in enumerate(missing):
            left = str(len(missing) - place)
            command = [sys.executable, "-m", contest.module, str(folder), "--one", name, str(seed)]
            more = ["--store", str(arguments.store), "--left", left]
            subprocess.run([*command, *more], check=True, cwd=ROOT)
        rows = _rows(contest, folder, arguments)
        for row in rows:
            print(row["model"], row["seed"], row["metrics"])
        if not arguments.no_record:
            print(record("content", rows, dirty=arguments.dirty))


def log_of(folder: Path) -> Described:
    """Read a log; where it has no items' file, reviews of before the cut are the items' words."""
    if (folder / "items.parquet").exists():
        return described(folder)
    split = split_of(folder, "time")
    events = pl.read_parquet(folder / "events.parquet")
    before = events.filter(pl.col("timestamp") * 1_000_000 < split.test.start)
    said = pl.concat_str("summary", "review_text", separator=". ", ignore_nulls=True)
    newest = before.sort("timestamp", descending=True, maintain_order=True)
    texts = newest.group_by("item_id", maintain_order=True).agg(
        said.head(_REVIEWS).str.slice(0, 400).str.join(" ").alias("text")
    )
    everything = events.select("item_id").unique(maintain_order=True)
    items = everything.join(texts, on="item_id", how="left").with_columns(
        pl.col("text").fill_null("")
    )
    catalogue = rc.Catalogue.from_frame(items)
    return Described(split.data, split.train, split.test, catalogue, "text")


def recommender(
    log: Described,
    encoder: rc.Tide | rc.Transformer | rc.LSTM | rc.Hybrid,
    seed: int,
    settings: Mapping[str, Any] | None = None,
) -> rc.SequenceRecommender:
    """Make a model of an encoder alone, unfitted; settings of training other than the log's."""
    settings = SETTINGS.get(log.data, {}) if settings is None else settings
    training = rc.TrainConfig(device="cpu", **settings)
    return rc.SequenceRecommender(encoder, training=training, experts=None, seed=seed)


def _parse(contest: Contest, about: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="with events, and items if any")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=contest.names, default=contest.names)
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--left", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("--dirty", action="store_true", help="an uncommitted tree is marked")
    return parser.parse_args()


def _path(contest: Contest, folder: Path, name: str, seed: int, store: Path) -> Path:
    kept = "".join(one if one.isalnum() else "_" for one in name)
    return store / contest.protocol / folder.name / f"{kept}-{seed}.npz"


def _fit_one(
    contest: Contest, folder: Path, name: str, seed: int, arguments: argparse.Namespace
) -> None:
    """Fit one model, judge it, and keep each unit's NDCG."""
    torch.set_num_threads(1)
    log = log_of(folder)
    began = time.perf_counter()

    def tell(step: TrainingStep) -> None:
        if step.epoch == 1 and step.step == _TIMED:
            minutes = 2 * step.eta / 60  # a search, then as much again at most
            print(
                f"{name} {seed}: at most {minutes:.1f} min for this fit, so about "
                f"{minutes * arguments.left:.0f} min for all {arguments.left} fits that are left",
                flush=True,
            )

    model = contest.fit(log, name, seed, arguments.store, tell)
    seconds = time.perf_counter() - began
    exam = exam_of(log)
    units = ndcg(judge(model, exam).ranks, 10)
    targets = exam.targets
    path = _path(contest, folder, name, seed, arguments.store)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"train_seconds": round(seconds, 1), "peak_mb": peak_mb()}
    np.savez_compressed(
        path,
        ndcg=units.astype(np.float32),
        user=exam.questions.user[targets.question],
        known=exam.train_counts[targets.item],
        n_weights=sum(one.numel() for one in model.live.model.encoder.parameters()),
        said=np.array(json.dumps(said)),
    )
    print(f"{name} {seed}: {seconds:.0f} s, ndcg@10 {units.mean():.4f}", flush=True)


def _rows(contest: Contest, folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """Make a row a fit, and one a model over all seeds, with what it gains."""
    kept = {
        (name, seed): dict(np.load(_path(contest, folder, name, seed, arguments.store)))
        for name in arguments.models
        for seed in arguments.seeds
    }
    rows = [
        _row(contest, folder.name, name, seed, _plain(found)) | json.loads(str(found["said"]))
        for (name, seed), found in kept.items()
    ]
    for name in arguments.models:
        others = [one for one in contest.against.get(name, ()) if one in arguments.models]
        gain = _gain(contest, name, others, kept, arguments.seeds) if others else {}
        if len(arguments.seeds) == 1:
            next(row for row in rows if row["model"] == name)["metrics"] |= gain
            continue
        ours = [kept[name, seed] for seed in arguments.seeds]
        metrics = _plain({**ours[0], "ndcg": _mean(ours)}) | gain
        model = f"{name}, mean of {len(arguments.seeds)} seeds"
        rows.append(_row(contest, folder.name, model, None, metrics))
    return rows


def _gain(
    contest: Contest, name: str, others: Sequence[str], kept: Any, seeds: Sequence[int]
) -> dict[str, float]:
    """Set a model against the best of some others: targets averaged over seeds, users drawn."""
    columns = {one: _mean([kept[one, seed] for seed in seeds]) for one in (name, *others)}
    best = max(others, key=lambda one: float(columns[one].mean()))
    drawn = resample([columns[name], columns[best]], kept[name, seeds[0]]["user"], 2_000, 0)
    gain, (low, high), p = drawn.difference(0, 1)
    base = float(drawn.means[1])
    seconds = {
        one: float(np.mean([json.loads(str(kept[one, s]["said"]))["train_seconds"] for s in seeds]))
        for one in (name, best)
    }
    return {
        contest.gain: gain / base,
        f"{contest.gain} low": low / base,
        f"{contest.gain} high": high / base,
        "p": p,
        "times the seconds": seconds[name] / seconds[best],
    }


def _mean(found: Sequence[Any]) -> Any:
    """Average each target's NDCG over seeds: [n_targets]."""
    return np.mean([one["ndcg"] for one in found], axis=0, dtype=np.float64)


def _plain(found: Any) -> dict[str, float]:
    seen = found["known"] > 0
    return {
        "ndcg@10": float(found["ndcg"].mean()),
        "ndcg@10 warm": float(found["ndcg"][seen].mean()),
        "encoder weights": int(found["n_weights"]),
        "n": len(seen),
    }


def _row(
    contest: Contest, data: str, model: str, seed: int | None, metrics: dict[str, float]
) -> Row:
    n_targets = int(metrics.pop("n"))
    return {
        "data": data,
        "protocol": f"{contest.protocol} · {ASKED}",
        "model": model,
        "request_time": "unknown",
        "seed": seed,
        "metrics": metrics,
        "n_targets": n_targets,
    }
