"""Items that speak: what their words do for those never seen, seldom seen, and all.

    python -m benchmarks.content.run DATA/ml-latest-2k DATA/online-retail

The same encoder, settings and seeds learn twice: of ids only, and of ids and content (MiniLM's
vectors of title, categories, and tags from before the cut). Every item that the catalogue lists is
a candidate, new items of a user are asked about, and histories move on. ``cold`` are targets that
training never saw, ``few`` those with 1 to 5 training events. Fits are kept and not repeated.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import recency as rc
from benchmarks.content.logs import Described, described
from benchmarks.record import ROOT, Row, commit, machine, peak_mb, record
from recency.evaluation.candidates import Candidates
from recency.evaluation.exam import Exam, build_exam
from recency.evaluation.intervals import resample
from recency.evaluation.judge import judge
from recency.evaluation.protocol import Recommender
from recency.evaluation.settings import Settings
from recency.ranking.metrics import ndcg

STORE = ROOT / "runs" / "content"
SEEDS = (0, 1, 2)
IDS, CONTENT, CATEGORIES = "tide, ids only", "tide, ids and content", "category-popularity"
ALONE = ", encoder alone"
TUNED = ", tuned"  # the encoder of the texts learns too, with what `recency.TextTuning` sets
# Not searched: drawn negatives, chosen before on the newest slice of training, left ids
# undertrained on ml-latest-2k, so both logs learn by the exact loss.
SETTINGS: dict[str, dict[str, Any]] = {
    "ml-latest-2k": {"epochs": 8, "negatives": 0},
    "online-retail": {"epochs": 8, "negatives": 0},
}
YEARS = ("release_year",)
PARTS = {"cold": (0, 0), "few": (1, 5), "warm": (1, 10**9), "all": (0, 10**9)}
PROTOCOL = (
    "{part} · time · split at the 0.9 quantile of time, rolling history, new items, every item "
    "that the catalogue lists is a candidate"
)


def main() -> None:
    """Fit what is not kept yet, each in a process of its own; then record."""
    arguments = parse()
    for folder in arguments.folders:
        if not (folder / "items.parquet").exists():
            print(f"skipped: there is no {folder / 'items.parquet'}")
            continue
        if arguments.one:
            name, seed = arguments.one
            fit_one(described(folder), name, int(seed), arguments.store, arguments.dirty)
            continue
        for name, seed in wanted(arguments, arguments.seeds):
            if not path_of(arguments.store, folder.name, name, seed).exists():
                command = [sys.executable, "-m", "benchmarks.content.run", str(folder)]
                one = ["--one", name, str(seed), "--store", str(arguments.store)]
                marked = ["--dirty"] if arguments.dirty else []
                subprocess.run([*command, *one, *marked], check=True, cwd=ROOT)
        rows = rows_of(folder.name, arguments)
        for row in rows:
            print(row["model"], row["seed"], row["protocol"].split(" ·")[0], row["metrics"])
        if not arguments.no_record:
            print(record("content", rows, dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="with events and items")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument(
        "--alone", choices=("also", "only"), help="encoders without experts, too or nothing else"
    )
    parser.add_argument(
        "--tuned", action="store_true", help="encoders alone with tuned texts, too; with --alone"
    )
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--dirty", action="store_true", help="an uncommitted tree is marked")
    arguments = parser.parse_args()
    if arguments.tuned and arguments.alone is None:
        parser.error("--tuned compares encoders alone: say --alone also, or --alone only")
    return arguments


def wanted(arguments: argparse.Namespace, seeds: list[int]) -> list[tuple[str, int]]:
    """List models and seeds; what has no chance in it is fitted once."""
    names = [] if arguments.alone == "only" else [IDS, CONTENT]
    names += [] if arguments.alone is None else [IDS + ALONE, CONTENT + ALONE]
    names += [CONTENT + TUNED + ALONE] if arguments.tuned else []
    return [(CATEGORIES, 0), *((name, seed) for seed in seeds for name in names)]


def path_of(store: Path, data: str, name: str, seed: int) -> Path:
    """Name the file of one fit."""
    return store / data / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}.npz"


def fit_one(log: Described, name: str, seed: int, store: Path, dirty: bool) -> None:
    """Fit one model, judge it, and keep each unit's NDCG."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    model = fitted(log, name, seed, store)
    seconds = time.perf_counter() - began
    exam = exam_of(log)
    units = ndcg(judge(model, exam).ranks, 10)
    targets = exam.targets
    path = path_of(store, log.data, name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "train_seconds": seconds,
        "peak_mb": peak_mb(),
        "commit": commit(dirty=dirty),  # of the tree as it is now, not as it may be later
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
    }
    np.savez_compressed(
        path,
        ndcg=units.astype(np.float32),
        user=exam.questions.user[targets.question],
        known=exam.train_counts[targets.item],
        said=np.array(json.dumps(said)),
    )
    print(f"{name} {seed}: {seconds:.0f} s, ndcg@10 {units.mean():.4f}", flush=True)


def fitted(log: Described, name: str, seed: int, store: Path) -> Recommender:
    """Fit one model on what comes before the cut."""
    if name == CATEGORIES:
        return rc.CategoryPopularity(log.items, log.column).fit(log.train)
    content = None
    if name.startswith(CONTENT):
        vectors = rc.ItemVectors.of_texts(log.items, rc.TextEncoder(), cache=store / "vectors")
        tuned = rc.TextTuning(cache=store / "vectors") if TUNED in name else None
        content = rc.Content([vectors], numbers=YEARS, tuned=tuned)
    model = rc.SequenceRecommender(
        rc.Tide(dim=64),
        training=rc.TrainConfig(**SETTINGS.get(log.data, {})),
        experts=None if name.endswith(ALONE) else rc.ExpertConfig(),
        seed=seed,
    )
    return model.fit(log.train, log.items, content=content)


def exam_of(log: Described) -> Exam:
    """Ask about new items of each user; whatever the catalogue lists may be recommended."""
    settings = Settings(repeats=False, reading="listed")
    listed = log.items.frame["item_id"].to_list()

    def choose(asked: Any, reading: Any, born: Any) -> Candidates:
        return Candidates.of(asked, reading, born, catalogue=log.items)

    return build_exam(log.test, settings, choose, listed)


def rows_of(data: str, arguments: argparse.Namespace) -> list[Row]:
    """Make a row of each fit and part; of content, with what it gains over ids only."""
    kept = {
        one: dict(np.load(path_of(arguments.store, data, *one)))
        for one in wanted(arguments, arguments.seeds)
    }
    rows = []
    for (name, seed), found in kept.items():
        said = json.loads(str(found["said"]))
        for part, (least, most) in PARTS.items():
            chosen = (found["known"] >= least) & (found["known"] <= most)
            metrics = {"ndcg@10": float(found["ndcg"][chosen].mean())}
            if name.startswith(CONTENT):
                ids = kept[ids_beside(name), seed]
                categories = kept[CATEGORIES, 0]
                metrics |= compared(found, ids, categories, chosen)
            rows.append({
                "data": data, "protocol": PROTOCOL.format(part=part), "model": name, "seed": seed,
                "request_time": None if name == CATEGORIES else "unknown", "metrics": metrics,
                "n_targets": int(chosen.sum()), **said, "command": command_of(data, name),
            })  # fmt: skip
    return rows + (across_seeds(data, kept, arguments) if len(arguments.seeds) > 1 else [])


def command_of(data: str, name: str) -> str:
    """Spell the command that fits a model."""
    flags = (" --alone only" if ALONE in name else "") + (" --tuned" if TUNED in name else "")
    return f"python -m benchmarks.content.run DATA/{data}{flags}"


def ids_beside(name: str) -> str:
    """Name the model of ids only that a model with content is set against."""
    return name.replace(CONTENT, IDS).replace(TUNED, "")


def compared(found: Any, ids: Any, categories: Any, chosen: Any) -> dict[str, float]:
    """Set content against ids only and against popularity by category, on the same targets."""
    mine, other, simple = (float(one["ndcg"][chosen].mean()) for one in (found, ids, categories))
    drawn = resample([found["ndcg"][chosen], ids["ndcg"][chosen]], found["user"][chosen], 1000, 0)
    _, _, p = drawn.difference(0, 1)
    metrics = {"p": p}
    if other:
        metrics |= {"ratio_to_ids_only": mine / other, "gain_over_ids_only": mine / other - 1}
    return metrics | ({"ratio_to_category_popularity": mine / simple} if simple else {})


def across_seeds(data: str, kept: Any, arguments: argparse.Namespace) -> list[Row]:
    """Average each target over the seeds, and compare these."""
    rows = []
    names = [name for name, _ in wanted(arguments, arguments.seeds[:1])]
    for name in [one for one in names if one.startswith(CONTENT)]:
        mine, ids = (
            {**kept[one, arguments.seeds[0]], "ndcg": mean_of(kept, one, arguments.seeds)}
            for one in (name, ids_beside(name))
        )
        made = json.loads(str(kept[name, arguments.seeds[-1]]["said"]))
        for part, (least, most) in PARTS.items():
            chosen = (mine["known"] >= least) & (mine["known"] <= most)
            metrics = {"ndcg@10": float(mine["ndcg"][chosen].mean())}
            metrics |= compared(mine, ids, kept[CATEGORIES, 0], chosen)
            rows.append({
                "data": data, "protocol": PROTOCOL.format(part=part), "seed": None,
                "model": f"{name}, mean of {len(arguments.seeds)} seeds",
                "request_time": "unknown", "metrics": metrics, "n_targets": int(chosen.sum()),
                "command": command_of(data, name),
                **{key: made[key] for key in ("commit", "machine", "date")},
            })  # fmt: skip
    return rows


def mean_of(kept: Any, name: str, seeds: list[int]) -> Any:
    """Average each target's NDCG over seeds: [n_targets]."""
    return np.mean([kept[name, seed]["ndcg"] for seed in seeds], axis=0)


if __name__ == "__main__":
    main()
