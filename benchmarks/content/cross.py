"""Several domains: users with little in the target's domain, on a log of two catalogues.

    python -m benchmarks.content.cross DATA/amazon-beauty-electronics [--seeds 0 1 2] [--dim 64]

Three ways to learn with the same encoder, asked the same questions, with the items of the target's
domain as candidates: ``domains`` (`recency.DomainConfig`), ``domains ignored`` (one model of all
events that knows nothing of domains), and ``domain alone`` (a model for each domain, of its events
only, which also reads no others). The log is cut at its 0.9 quantile of time; the settings of each
way are chosen on the newest tenth before the cut, by the same users, with seed 0.

Times of this log are days. What is asked of a day is asked from what came strictly before it, of
all users; experts, which count what others do within a day, are off. Items of the history are no
candidates. Of the targets those of users with fewer than 5 earlier events in the domain count.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

import recency as rc
from benchmarks.record import Row, commit, peak_mb, record
from recency.evaluation.domains import evaluate_domains
from recency.evaluation.evaluate import evaluate
from recency.evaluation.intervals import resample
from recency.evaluation.report import Report

CUT = 0.9
FEW = 5  # events in the domain from which on a user is no newcomer to it
RESAMPLES = 2_000
ENCODERS = {"gru": rc.GRU, "tide": rc.Tide, "lstm": rc.LSTM, "transformer": rc.Transformer}
SHARED: list[dict[str, Any]] = [{"dropout": 0.3}, {"dropout": 0.5}]
WAYS: dict[str, list[dict[str, Any]]] = {
    "domains": [
        *({"dropout": 0.5, "rank": rank, "within": 1.0} for rank in (16, 0)),
        {"dropout": 0.5, "rank": 16, "within": 0.5},
        {"dropout": 0.3, "rank": 16, "within": 1.0},
    ],
    "domains ignored": SHARED,
    "domain alone": SHARED,
}
PROTOCOL = (
    f"cross · into {{domain}} · cut at the {CUT} quantile of time · users with fewer than {FEW} "
    "events in the domain · candidates: its items, new to the user · encoder {encoder}, experts off"
)


def main() -> None:
    """Choose settings, fit each way with each seed, compare, print, record."""
    arguments = parse()
    if not (arguments.folder / "events.parquet").exists():
        print(f"skipped: there is no {arguments.folder / 'events.parquet'}")
        return
    if not arguments.no_record:
        commit(dirty=arguments.dirty)  # refuse now, not after an hour
    log = rc.read_log(arguments.folder / "events.parquet")
    cut = log.quantile(CUT)
    chosen = {way: points[0] for way, points in WAYS.items()}
    if not arguments.untuned:
        before = log.before(cut)
        chosen = {way: choose(way, before, arguments) for way in WAYS}
    rows = []
    found: dict[str, list[pl.DataFrame]] = {way: [] for way in WAYS}
    for way, settings in chosen.items():
        for seed in arguments.seeds:
            began = perf_counter()
            asked = targets_of(way, settings, seed, log, cut, arguments)
            seconds = perf_counter() - began
            found[way].append(asked)
            rows += rows_of(way, asked, seed, seconds, settings, arguments)
    rows += compared(found, arguments)
    if not arguments.no_record:
        print(record("content", rows, dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with events.parquet, which names domains")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--encoder", choices=ENCODERS, default="gru")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=4_096, help="cells a batch")
    parser.add_argument("--untuned", action="store_true", help="the first point of each grid")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--no-record", action="store_true", help="print only")
    return parser.parse_args()


def choose(way: str, log: rc.Log, arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose among the points of a way on the newest tenth of what comes before the cut."""
    cut, best = log.quantile(CUT), (-1.0, WAYS[way][0])
    for point in WAYS[way]:
        asked = newcomers(targets_of(way, point, 0, log, cut, arguments))
        mean = float(asked["gain"].mean() or 0.0)  # type: ignore[arg-type]  # of floats
        print(f"{way} {point}: ndcg@10 {mean:.5f} before the cut", flush=True)
        best = max(best, (mean, point), key=lambda one: one[0])
    return best[1]


def targets_of(
    way: str,
    settings: dict[str, Any],
    seed: int,
    log: rc.Log,
    cut: int,
    arguments: argparse.Namespace,
) -> pl.DataFrame:
    """Fit one way on what comes before a cut, and ask it about the rest.

    Returns:
        One row a target: ``user_id``, ``item_id``, ``timestamp``, ``domain``, ``gain`` (of
        NDCG@10), and ``known``, the user's earlier events in the domain.
    """
    train, test = log.split_at(cut)
    asking: dict[str, Any] = {"repeats": False, "baselines": False, "resamples": 1}
    reports: dict[str, Report] = {}
    if way == "domain alone":
        for domain in sorted(log.events["domain"].unique().to_list()):
            own = rc.Log(
                test.events.filter(test.events["domain"] == domain),
                rc.Log(train.events.filter(train.events["domain"] == domain)),
            )
            assert own.past is not None
            ids = own.past.events["item_id"].unique().to_list()
            model = model_of(settings, seed, arguments).fit(own.past)
            reports[domain] = evaluate(model, own, candidates=ids, **asking)
    else:
        domains = None
        if way == "domains":
            domains = rc.DomainConfig(rank=settings["rank"], within=settings["within"])
        model = model_of(settings, seed, arguments, domains).fit(train)
        reports = evaluate_domains(model, test, **asking)
    parts = [
        report.targets.with_columns(
            domain=pl.lit(domain), gain=pl.Series(gains_of(report)).gather(report.targets["unit"])
        )
        for domain, report in reports.items()
    ]
    return pl.concat(parts).drop("unit").join(known_before(log), on=_EVENT, how="left")


_EVENT = ("user_id", "item_id", "timestamp", "domain")


def gains_of(report: Report) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give the gain of each unit, whose rank is the mean over orders of equal scores."""
    (ranks,) = report.ranks.values()
    return np.where(ranks <= 10, 1 / np.log2(1 + np.maximum(ranks, 1)), 0.0)


def known_before(log: rc.Log) -> pl.DataFrame:
    """Count each event's earlier ones of its user and domain, those of the same instant apart."""
    place = pl.int_range(pl.len()).over("user_id", "domain")
    counted = log.events.with_columns(place.alias("known"))
    first = pl.col("known").min().over("user_id", "domain", "timestamp")
    return counted.with_columns(first).select(*_EVENT, "known").unique(list(_EVENT))


def newcomers(asked: pl.DataFrame) -> pl.DataFrame:
    """Keep the targets of users who had little in the domain."""
    return asked.filter(pl.col("known") < FEW)


def model_of(
    settings: dict[str, Any],
    seed: int,
    arguments: argparse.Namespace,
    domains: rc.DomainConfig | None = None,
) -> rc.SequenceRecommender:
    """Make a model, unfitted."""
    return rc.SequenceRecommender(
        ENCODERS[arguments.encoder](dim=arguments.dim),
        inputs=rc.InputConfig(dropout=settings["dropout"]),
        training=rc.TrainConfig(
            epochs=arguments.epochs, tokens=arguments.tokens, max_len=50, device="cpu"
        ),
        experts=None,
        domains=domains,
        seed=seed,
    )


def rows_of(
    way: str,
    asked: pl.DataFrame,
    seed: int,
    seconds: float,
    settings: dict[str, Any],
    arguments: argparse.Namespace,
) -> list[Row]:
    """Make the rows of one fit: one for each target domain."""
    rows = []
    for (domain,), part in sorted(asked.group_by("domain")):
        few = newcomers(part)
        metrics = {
            "ndcg@10": float(few["gain"].mean() or 0.0),  # type: ignore[arg-type]  # of floats
            "ndcg@10 all": float(part["gain"].mean() or 0.0),  # type: ignore[arg-type]  # as above
        }
        print(f"{way} seed {seed}, into {domain}: {metrics}, {settings}", flush=True)
        rows.append(
            {
                "data": arguments.folder.name,
                "protocol": PROTOCOL.format(domain=domain, encoder=arguments.encoder),
                "model": way,
                "request_time": "unknown",
                "seed": seed,
                "metrics": metrics,
                "n_targets": few.height,
                "train_seconds": round(seconds, 1),
                "peak_mb": peak_mb(),
            }
        )
    return rows


def compared(found: dict[str, list[pl.DataFrame]], arguments: argparse.Namespace) -> list[Row]:
    """Compare ``domains`` with the other two, seeds averaged, users resampled in pairs."""
    every = {way: averaged(parts) for way, parts in found.items()}
    names = {"domain alone": "gain_over_single_domain", "domains ignored": "gain_over_ignoring"}
    domains = sorted(every["domains"]["domain"].unique().to_list())
    rows = []
    for domain in [*domains, "either"]:
        metrics: dict[str, float] = {}
        n_targets = 0
        for other, name in names.items():
            pair = every["domains"].join(every[other], on=_EVENT, suffix=" other")
            pair = pair if domain == "either" else pair.filter(pl.col("domain") == domain)
            columns = [pair[one].to_numpy() for one in ("gain", "gain other")]
            users = pair["user_id"].rank("dense").to_numpy().astype(np.int64)
            resampled = resample(columns, users, RESAMPLES, 0)
            gain, (low, high), p = resampled.difference(0, 1)
            metrics |= {
                "ndcg@10": float(resampled.means[0]),
                name: gain / float(resampled.means[1]),
                f"{name} low": low / float(resampled.means[1]),
                f"{name} high": high / float(resampled.means[1]),
                f"{name} p": p,
            }
            n_targets = pair.height
        print(f"into {domain}: {metrics}", flush=True)
        rows.append(
            {
                "data": arguments.folder.name,
                "protocol": PROTOCOL.format(domain=domain, encoder=arguments.encoder),
                "model": "domains, seeds averaged",
                "request_time": "unknown",
                "metrics": metrics,
                "n_targets": n_targets,
            }
        )
    return rows


def averaged(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Average the gains of newcomers' targets over seeds."""
    few = newcomers(pl.concat(parts))
    return few.group_by(*_EVENT).agg(pl.col("gain").mean()).sort(*_EVENT)


if __name__ == "__main__":
    main()
