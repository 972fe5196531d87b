"""The store: what each fit achieved, kept so that a stopped run goes on and any two compare.

``runs/accuracy/<data>/<kind>/<model>/<seed>.json`` says how a fit went; ``<seed>.npz`` beside it
holds each metric of each unit (event or basket) under each variant. ``exam.npz`` holds what all
fits of a split share: each unit's user and slices.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.exams import fingerprint, protocol
from benchmarks.accuracy.splits import Kind, Split, Variant
from benchmarks.record import ROOT
from recency.evaluation.exam import Exam
from recency.evaluation.measure import Measured
from recency.units import DAY, SECOND

STORE = ROOT / "runs" / "accuracy"
KEPT = ("recall@10", "ndcg@10", "mrr@10", "novelty@10", "diversity@10", "popularity@10")
Columns = dict[str, npt.NDArray[Any]]


class Store:
    """Keep the fits of one split.

    Args:
        data: Name of the log.
        kind: How it is split.
        folder: Of all stored splits.
    """

    def __init__(self, data: str, kind: Kind, folder: Path = STORE) -> None:
        self.data, self.kind = data, kind
        self._folder = folder / data / kind

    def said(self, model: str, seed: int) -> dict[str, Any] | None:
        """Read how a fit went; None where there is none."""
        path = self._path(model, seed).with_suffix(".json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def units(self, model: str, seed: int) -> Columns:
        """Read each unit's metrics: ``variant/metric`` to [n_units]."""
        with np.load(self._path(model, seed).with_suffix(".npz")) as found:
            return {name: found[name].astype(np.float64) for name in found.files}

    def keep(
        self,
        model: str,
        seed: int,
        said: Mapping[str, Any],
        measured: Mapping[Variant, Measured],
    ) -> None:
        """Keep a fit; the text comes last, so that what it speaks of is there."""
        path = self._path(model, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {
            f"{variant.key}/{name}": one.units[name].astype(np.float32)
            for variant, one in measured.items()
            for name in KEPT
        }
        np.savez_compressed(path.with_suffix(".npz"), **columns)
        text = json.dumps({"model": model, "seed": seed, **said}, indent=1)
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")

    def fits(self) -> list[tuple[str, int]]:
        """List models and seeds of all fits kept."""
        every = [
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(self._folder.glob("*/*.json"))
        ]
        return [(one["model"], one["seed"]) for one in every]

    def keep_exams(self, split: Split, exams: Mapping[Variant, Exam]) -> None:
        """Keep what is asked, once."""
        path, about = self._folder / "exam.npz", self._folder / "exam.json"
        said = {
            variant.key: {
                "fingerprint": fingerprint(exam),
                "protocol": protocol(split, exam),
                "n_targets": exam.counts.n_targets,
            }
            for variant, exam in exams.items()
        }
        if about.exists() and json.loads(about.read_text(encoding="utf-8")) == said:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {}
        for variant, exam in exams.items():
            columns |= {f"{variant.key}/{name}": one for name, one in _slices(exam).items()}
        np.savez_compressed(path, **columns)
        about.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")

    def exams(self) -> tuple[dict[str, dict[str, Any]], Columns]:
        """Read what is asked: by variant its sum, text and number of targets; and the slices.

        Raises:
            SystemExit: nothing is kept yet.
        """
        if not (self._folder / "exam.json").exists():
            raise SystemExit(f"no fit of {self.data}, {self.kind}, is kept in {self._folder}.")
        said = json.loads((self._folder / "exam.json").read_text(encoding="utf-8"))
        with np.load(self._folder / "exam.npz") as found:
            return said, {name: found[name] for name in found.files}

    def _path(self, model: str, seed: int) -> Path:
        plain = "".join(one if one.isalnum() or one in "-." else "_" for one in model)
        short = hashlib.sha256(model.encode()).hexdigest()[:6]
        return self._folder / f"{plain}-{short}" / str(seed)


def _slices(exam: Exam) -> Columns:
    """Give each unit's user, and whether it belongs to each slice; a basket as its first target."""
    targets, asked = exam.targets, exam.questions
    first = targets.first_of_unit
    question = targets.question[first]
    stop, start = asked.stop[question], asked.start[question]
    time = exam.test.times[targets.event[first]]
    gap = np.where(stop > start, time - asked.histories.times[np.maximum(stop - 1, 0)], -1)
    return {
        "user": asked.user[question],
        "gap>1h": gap > 3_600 * SECOND,
        "gap>7d": gap > 7 * DAY,
        "new item": targets.item[first] >= asked.n_warm,
        "no history": stop == start,
    }
