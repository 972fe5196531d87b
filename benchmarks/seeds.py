"""Average rows over their seeds."""

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from benchmarks.record import Row


def averaged(rows: Iterable[Row]) -> list[Row]:
    """Average each model, by its request time, over its seeds; what a seed lacks is left out."""
    found = []
    for group in grouped(rows, "model", "request_time").values():
        names = list(dict.fromkeys(name for row in group for name in row["metrics"]))
        every = {name: [r["metrics"].get(name) for r in group] for name in names}
        metrics = {name: fmean(v) for name, v in every.items() if None not in v}
        seconds = [row["train_seconds"] for row in group]
        mean = None if None in seconds else fmean(seconds)
        seeds = ", ".join(str(row["seed"]) for row in group)
        found.append(group[0] | {"metrics": metrics, "seed": seeds, "train_seconds": mean})
    return found


def grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Put rows together that have the same values of keys, in their order."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups
