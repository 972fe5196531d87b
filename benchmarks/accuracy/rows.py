"""Rows of tables, from what the store keeps: no model is asked again.

    python -m benchmarks.accuracy.rows time DATA/ml-100k                 rows of all fits kept
    python -m benchmarks.accuracy.rows time DATA/ml-100k --compare tide rectools/hstu gru

``--compare`` sets its first model against each of the others: differences of units, each model's
averaged over its seeds, users resampled. They go to ``results/accuracy_paired.json``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.ours import KNOWN
from benchmarks.accuracy.store import KEPT, STORE, Columns, Store
from benchmarks.record import Row, record
from recency.evaluation.intervals import resample

SHOWN = ("ndcg@10", "recall@10")  # with intervals, in slices and in paired tests
SLICES = ("gap>1h", "gap>7d", "new item", "no history")
LEAST = 30  # units of a slice that is told
RESAMPLES, SEED = 1000, 0
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Record the rows of splits, or paired differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["time", "last"])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of logs; only named")
    parser.add_argument("--compare", nargs="+", metavar="MODEL")
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument(
        "--dirty", action="store_true", help="an uncommitted tree is marked as such"
    )
    arguments = parser.parse_args()
    for folder in arguments.folders:
        store = Store(folder.name, arguments.kind, arguments.store)
        if arguments.compare:
            found = paired_of(store, *arguments.compare)
            for row in found:
                print(shown(row))
            print(record("accuracy_paired", found, dirty=arguments.dirty))
        else:
            print(record("accuracy", rows_of(store), dirty=arguments.dirty))


def rows_of(store: Store) -> list[Row]:
    """Make the rows of all fits kept, one a variant; a fit of another exam is left out and told."""
    asked, slices = store.exams()
    rows = []
    for model, seed in store.fits():
        said, units = store.said(model, seed), store.units(model, seed)
        assert said is not None
        for variant, exam in asked.items():
            if said["fingerprints"].get(variant) != exam["fingerprint"]:
                print(f"{model} {seed} is left out: it was asked something else in {variant}")
                continue
            columns = {name: units[f"{variant}/{name}"] for name in KEPT}
            metrics = metrics_of(columns, variant, slices) | said["whole"][variant]
            rows.append(_row(store, exam, said, metrics))
    return rows


def metrics_of(columns: Columns, variant: str, slices: Columns) -> dict[str, float]:
    """Average units: over all, with intervals, and within slices."""
    resampled = resample(
        [columns[name] for name in SHOWN], slices[f"{variant}/user"], RESAMPLES, SEED
    )
    found = {}
    for name in KEPT:
        found[name] = float(np.nanmean(columns[name]))
        if name in SHOWN:
            low, high = resampled.interval(SHOWN.index(name))
            found |= {f"{name} low": low, f"{name} high": high}
    for one in SLICES:
        within = slices[f"{variant}/{one}"]
        if within.sum() >= LEAST:
            found |= {f"{name} {one}": float(columns[name][within].mean()) for name in SHOWN}
            found[f"n {one}"] = int(within.sum())
    return found


def paired_of(store: Store, first: str, *others: str) -> list[Row]:
    """Compare one model with others in every variant, in all units and in slices."""
    asked, slices = store.exams()
    rows = []
    for variant, exam in asked.items():
        for other in others:
            seeds = {
                one: _seeds(store, one, variant, exam["fingerprint"]) for one in (first, other)
            }
            if missing := [one for one, found in seeds.items() if not found]:
                print(f"{variant}: there is no fit of {' and '.join(missing)}")
                continue
            pair = [_mean(store, one, found, variant) for one, found in seeds.items()]
            metrics = dict(_differences(pair, variant, slices))
            rows.append(
                {
                    "data": store.data,
                    "protocol": exam["protocol"],
                    "model": f"{first} − {other}",
                    "metrics": metrics | {f"seeds of {one}": len(s) for one, s in seeds.items()},
                    "n_targets": exam["n_targets"],
                }
            )
    return rows


def shown(row: Row) -> str:
    """Say a paired difference in a line."""
    got = {
        name: row["metrics"].get(f"ndcg@10 {name}", 0.0) for name in ("low", "high", "share", "p")
    }
    said = " · ".join(row["protocol"].split(" · ")[-5:-2])
    return (
        f"{row['model']}: ndcg@10 {row['metrics']['ndcg@10']:+.4f} [{got['low']:+.4f}, "
        f"{got['high']:+.4f}] ({got['share']:+.1%}), p {got['p']:.3f} · {said}"
    )


def _row(
    store: Store, exam: dict[str, Any], said: dict[str, Any], metrics: dict[str, float]
) -> Row:
    origin = {name: said[name] for name in ("command", "commit", "machine", "date")}
    if version := said["about"].get("version"):
        origin["machine"] += f", {said['model'].split('/')[0]} {version}"
    return {
        "data": store.data,
        "protocol": exam["protocol"],
        "model": said["model"].removesuffix(KNOWN),
        "request_time": said["request_time"],
        "seed": said["seed"],
        "metrics": metrics | {"train cpu seconds": round(said["cpu_seconds"], 1)},
        "n_targets": exam["n_targets"],
        "train_seconds": round(said["train_seconds"], 1),
        "peak_mb": said["peak_mb"],
        **origin,
    }


def _seeds(store: Store, model: str, variant: str, fingerprint: str) -> list[int]:
    """List the seeds of a model that were asked this very exam."""
    every = [seed for name, seed in store.fits() if name == model]
    said = {seed: store.said(model, seed) or {} for seed in every}
    return [seed for seed in every if said[seed]["fingerprints"].get(variant) == fingerprint]


def _differences(
    pair: list[dict[str, Floats]], variant: str, slices: Columns
) -> Iterator[tuple[str, float]]:
    user = slices[f"{variant}/user"]
    flags = {"": np.ones(len(user), bool)}
    flags |= {one: slices[f"{variant}/{one}"] for one in SLICES}
    for slice_, within in flags.items():
        if within.sum() < LEAST:
            continue
        columns = [one[name][within] for one in pair for name in SHOWN]
        resampled = resample(columns, user[within], RESAMPLES, SEED)
        for place, name in enumerate(SHOWN):
            difference, (low, high), p = resampled.difference(place, place + len(SHOWN))
            label = f"{name} {slice_}".strip()
            yield label, difference
            yield f"{label} low", low
            yield f"{label} high", high
            yield f"{label} p", p
            beside = float(resampled.means[place + len(SHOWN)])
            if beside > 0:
                yield f"{label} share", difference / beside


def _mean(store: Store, model: str, seeds: list[int], variant: str) -> dict[str, Floats]:
    """Average each unit's metrics over seeds."""
    fits = [store.units(model, seed) for seed in seeds]
    return {name: np.mean([one[f"{variant}/{name}"] for one in fits], axis=0) for name in SHOWN}


if __name__ == "__main__":
    main()
