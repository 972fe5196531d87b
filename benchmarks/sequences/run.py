"""Forecast generated series beside the methods of statsforecast, and the best forecast there is.

    python -m benchmarks.sequences.run [--seeds 0 1 2] [--exams counts gaps prices] [--no-record]

Ours learns once, before the first origin; from then on it observes, weights as they are. The
methods of statsforecast live in ``.venvs/statsforecast`` (make peers) and are fitted afresh at
every origin; without it their rows are left out. A last row compares series by series, over all
seeds, with the method that is best of all on the same data (Wilcoxon's signed ranks, two-sided).
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch
from scipy.stats import wilcoxon

import recency as rc
from benchmarks.record import ROOT, Row, record
from benchmarks.sequences.exams import KEYS, Exam, counts, errors, prices
from recency.nn.encoder import Encoder

PEER = ROOT / ".venvs" / "statsforecast" / "bin" / "python"
EXAMS: dict[str, Callable[[int], Exam]] = {
    "counts": counts,
    "gaps": lambda seed: counts(seed, missing=0.3),
    "prices": prices,
}
ENCODERS: tuple[Encoder, ...] = (rc.Tide(dim=32), rc.GRU(dim=32))
Judged = dict[str, list[pl.DataFrame]]  # errors of a model, one frame a seed


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--exams", nargs="+", choices=EXAMS, default=list(EXAMS))
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not PEER.exists():
        print(f"statsforecast is left out: there is no {PEER}; run `make peers`")
    rows: list[Row] = []
    for name in arguments.exams:
        judged: Judged = {}
        for seed in arguments.seeds:
            rows += take(EXAMS[name](seed), seed, judged)
        rows += compared(EXAMS[name](arguments.seeds[0]), judged)
    if not arguments.no_record:
        print(record("sequences", rows, dirty=arguments.dirty))


def take(exam: Exam, seed: int, judged: Judged) -> list[Row]:
    """Let every model take one exam."""
    answers = {f"Forecaster({type(one).__name__})": ours(exam, one, seed) for one in ENCODERS}
    answers |= theirs(exam) if PEER.exists() else {}
    answers[exam.best_name] = exam.best, 0.0
    rows = []
    for model, (found, seconds) in answers.items():
        result = errors(exam, found)
        judged.setdefault(model, []).append(result)
        metrics = {name: mean(result, name) for name in ("mae", "mase")}
        if result["inside"].null_count() == 0:
            metrics["inside 80 %"] = mean(result, "inside")
        row = row_of(exam, model, seed, metrics, result)
        rows.append(row | {"train_seconds": round(seconds, 1) if seconds else None})
        print(f"{exam.name}, seed {seed}, {model}: {metrics}, {seconds:.1f} s", flush=True)
    return rows


def mean(result: pl.DataFrame, name: str) -> float:
    """Give the mean over series."""
    return round(float(result[name].to_numpy().mean()), 4)


def row_of(
    exam: Exam, model: str, seed: int | None, metrics: dict[str, float], result: pl.DataFrame
) -> Row:
    """Make one row."""
    ahead = {"h": "24 hours", "B": "10 weekdays"}[exam.step]
    return {
        "data": f"{exam.name}, {result.height} generated series",
        "protocol": f"{len(exam.origins)} origins, {ahead} ahead each",
        "model": model,
        "seed": seed,
        "metrics": metrics,
        "n_targets": int(result["n"].sum()),
    }


def ours(exam: Exam, encoder: Encoder, seed: int) -> tuple[pl.DataFrame, float]:
    """Learn before the first origin; then ask, observe, ask."""
    began = time.perf_counter()
    model = rc.Forecaster(encoder, horizon=exam.horizon, lags=exam.lags, seed=seed).fit(exam.past)
    seconds = time.perf_counter() - began
    found = []
    for start, stop in exam.windows():
        part = exam.between(start, stop)
        asked = model.forecast(instants=part["timestamp"].unique().sort().to_list())
        found.append(asked.join(part.select(KEYS), on=KEYS, how="semi"))
        model.observe(part)
    return pl.concat(found), seconds


def theirs(exam: Exam) -> dict[str, tuple[pl.DataFrame, float]]:
    """Let statsforecast answer, in a process and an environment of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exam.frame.write_parquet(folder / "values.parquet")
        told = {"windows": list(exam.windows()), "step": exam.step, "seasons": exam.seasons}
        (folder / "exam.json").write_text(json.dumps(told))
        script = Path(__file__).parent / "statsforecast_way.py"
        command = [str(PEER), str(script), str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        said = json.loads(done.stdout.splitlines()[-1])
        found = pl.read_parquet(folder / "forecasts.parquet")
    return {
        f"statsforecast {said['version']}/{model}": (part.drop("model"), said["seconds"][model])
        for (model,), part in found.group_by("model", maintain_order=True)
    }


def compared(exam: Exam, judged: Judged) -> list[Row]:
    """Compare ours with the best method of the peer, series by series over all seeds."""
    errors_of = {name: pl.concat(parts) for name, parts in judged.items()}
    peers = [name for name in errors_of if "/" in name]
    if not peers:
        return []
    best = min(peers, key=lambda name: mean(errors_of[name], "mase"))
    rows = []
    for name in (one for one in errors_of if one.startswith("Forecaster")):
        mine, other = (errors_of[one]["mase"].to_numpy() for one in (name, best))
        gain = 1 - mine.mean() / other.mean()
        chance = float(wilcoxon(mine, other).pvalue)
        metrics = {"mase_gain_over_best_peer": round(float(gain), 4), "p": round(chance, 5)}
        rows.append(row_of(exam, f"{name}, beside {best}", None, metrics, errors_of[name]))
        print(f"{exam.name}, {name} beside {best}: {metrics}")
    return rows


if __name__ == "__main__":
    main()
