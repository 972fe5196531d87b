"""Replay the newest part of public logs with every way to learn on, and record the table `online`.

    python -m benchmarks.online.run DATA/globo-news DATA/deskdrop

A model is fitted on what came before the 0.9 quantile of time. Then every arm answers the same
questions in the order of time, from what was known strictly before each, and learns only events
that are five minutes old (`recency.online.replay`). The catalogue grows: an item is a candidate
from its first event on, which itself counts as missed. ``cost_ratio_to_refit`` compares processor
seconds a day, with one refit a day.

What is done is kept under ``runs/online``, arm by arm, so that a stopped run goes on.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import recency as rc
from benchmarks.record import ROOT, Row, commit, record
from recency.data.log import Log
from recency.online.arms import ARMS
from recency.online.config import LearnConfig
from recency.online.picture import replay_picture
from recency.online.replay import Outcome, Replay, replay
from recency.units import DAY, SECOND

K = 10
CUT = 0.9
PAIRS = ("10min", "1h", "1d", "30d")  # half-lives of what stands beside what, in a newsroom
KEPT = ROOT / "runs" / "online"
STILL = ("frozen", "state", "live-popularity", "refit")  # arms that no settings of learning change


@dataclass(frozen=True)
class Plan:
    """Say how a log is replayed.

    Attributes:
        update: Time of a period.
        arms: What is compared.
        learn: Settings of learning.
        pair: Half-lives of the pair experts; None for the usual ones.
        days: Of the test that are replayed; None for all.
        max_targets: Users are drawn up to so many questions; None asks about all.
        max_len: Newest events that a model reads.
        epochs: Of fits, at most.
    """

    update: str
    arms: tuple[str, ...] = ARMS
    learn: dict[str, Any] = field(default_factory=dict)
    pair: tuple[str, ...] | None = None
    days: int | None = None
    max_targets: int | None = None
    max_len: int = 200
    epochs: int = 20


PLANS = {
    "globo-news": Plan(
        update="1h",
        learn={"whole": "2h", "recent": 100_000},
        pair=PAIRS,
        days=2,  # the test's last month holds a few hundred events
        max_targets=4_000,
        max_len=50,
        epochs=3,
    ),
    "deskdrop": Plan(
        update="1d",
        arms=tuple(arm for arm in ARMS if arm not in ("refit", "fine-tune", "replay")),
        learn={"whole": "7d", "recent": 100_000},
    ),
}


def main() -> None:
    """Do what is missing of each log, then record its rows."""
    arguments = parse()
    commit(dirty=arguments.dirty)  # refuse now, not at the end
    torch.set_num_threads(arguments.threads)
    for folder in arguments.folders:
        if not (folder / "events.parquet").exists():
            print(f"skipped: there is no {folder / 'events.parquet'}")
            continue
        plan = PLANS.get(folder.name, Plan(update="1d"))
        found = lived(folder, plan, arguments.arms or plan.arms, arguments.store)
        (arguments.store / f"{folder.name}.png").write_bytes(replay_picture(found, folder.name))
        print(found.to_frame())
        if not arguments.no_record:
            print(record("online", rows_of(folder.name, plan, found), dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", help="folders with events.parquet")
    parser.add_argument("--arms", nargs="+", choices=ARMS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", type=Path, default=KEPT, help="where arms are kept")
    parser.add_argument("--no-record", action="store_true", help="keep arms, record no row")
    parser.add_argument("--dirty", action="store_true", help="an uncommitted tree is marked so")
    return parser.parse_args()


def lived(folder: Path, plan: Plan, arms: Sequence[str], store: Path) -> Replay:
    """Replay the arms that are not kept yet, and put all together."""
    log = split(folder, plan)
    kept = store / folder.name
    kept.mkdir(parents=True, exist_ok=True)
    fitted = fitted_once(log, plan, kept)
    outcomes, found = [], None
    for arm in arms:
        path = kept / f"{arm}.npz"
        key = json.dumps([asked_of(plan, arm), len(log), fitted.model_version])
        outcome = read(path, key, arm)
        if outcome is None or found is None:
            began = time.perf_counter()
            asked = (arm,) if outcome is None else ("live-popularity",)
            found = replay(
                log,
                lambda: recommender(plan),
                arms=asked,
                update=plan.update,
                config=LearnConfig(**({"delay": "5min"} | plan.learn)),
                fitted=fitted,
                k=K,
                max_targets=plan.max_targets,
            )
            if outcome is None:
                outcome = found.outcomes[0]
                write(path, key, outcome)
                took = time.perf_counter() - began
                print(f"{folder.name} {arm}: {outcome.metrics}, {took:.0f} s", flush=True)
        outcomes.append(outcome)
    assert found is not None
    return Replay(tuple(outcomes), found.at, found.start, found.update, K)


def asked_of(plan: Plan, arm: str) -> dict[str, Any]:
    """Give the settings that an arm's outcome follows from."""
    settings = asdict(plan) | {"arms": None}
    return settings | {"learn": None} if arm in STILL else settings


def split(folder: Path, plan: Plan) -> Log:
    """Read a log and give what is replayed, with the past that fits learn from."""
    log = rc.read_log(folder / "events.parquet")
    past, test = log.split_at(log.quantile(CUT) // SECOND * SECOND)
    if plan.days is not None:
        test = test.before(test.start + plan.days * DAY)
    return Log(test.events, past)


def recommender(plan: Plan) -> rc.SequenceRecommender:
    """Make the model that every arm begins with, unfitted."""
    experts = rc.ExpertConfig() if plan.pair is None else rc.ExpertConfig(pair=plan.pair)
    return rc.SequenceRecommender(
        rc.Tide(dim=64),
        inputs=rc.InputConfig(dropout=0.2),
        training=rc.TrainConfig(max_len=plan.max_len, epochs=plan.epochs, patience=2, device="cpu"),
        experts=experts,
        seed=0,
    )


def fitted_once(log: Log, plan: Plan, kept: Path) -> rc.SequenceRecommender:
    """Fit on the past, or read what was fitted with the same settings."""
    assert log.past is not None
    note = json.dumps([len(log.past), plan.pair, plan.max_len, plan.epochs])
    path = kept / "fitted.json"
    if not path.exists() or path.read_text() != note:
        recommender(plan).fit(log.past).save(kept / "model")
        path.write_text(note)
    return rc.SequenceRecommender.load(kept / "model")


def write(path: Path, key: str, outcome: Outcome) -> None:
    """Keep one arm."""
    said = json.dumps(
        {"metrics": outcome.metrics, "seconds": outcome.seconds, "rounds": outcome.rounds}
    )
    np.savez(path, key=key, said=said, gains=outcome.gains)


def read(path: Path, key: str, arm: str) -> Outcome | None:
    """Read one arm; None where it is not there, or was asked something else."""
    if not path.exists():
        return None
    with np.load(path) as found:
        if str(found["key"]) != key:
            return None
        return Outcome(arm, **json.loads(str(found["said"])), gains=found["gains"])


def rows_of(data: str, plan: Plan, found: Replay) -> list[Row]:
    """Make one row an arm."""
    frame = {row["arm"]: row for row in found.to_frame().to_dicts()}
    best = max(frame[arm][f"ndcg@{K}"] for arm in ("frozen", "state") if arm in frame)
    refit = frame.get("refit")
    days = f" · its first {plan.days} days" if plan.days else ""
    protocol = (
        f"replay · after the {CUT} quantile of time{days} · fitted on all events before, at most "
        f"{plan.epochs} epochs · reading growing · repeats yes · update {plan.update} · delay 5min"
    )
    rows = []
    for arm, row in frame.items():
        metrics = {name: row[name] for name in (f"ndcg@{K}", f"recall@{K}")}
        metrics |= {"gain_over_frozen": row[f"ndcg@{K}"] / best - 1, "rounds": row["rounds"]}
        if refit is not None and plan.days:
            metrics["ratio_to_refit"] = row[f"ndcg@{K}"] / refit[f"ndcg@{K}"]
            # The first fit serves the first day, so fewer refits are seen than days.
            daily = refit["seconds"] / refit["rounds"]
            if arm != "refit":
                metrics["cost_ratio_to_refit"] = row["seconds"] / plan.days / daily
        rows.append(
            {
                "data": data,
                "protocol": protocol,
                "model": arm,
                "request_time": "unknown",
                "seed": 0,
                "metrics": metrics,
                "n_targets": len(found.at),
                "train_seconds": round(row["seconds"], 1),
            }
        )
    return rows


if __name__ == "__main__":
    main()
