"""Several domains: users with little in the target's domain, on a log of two catalogues.

    python -m benchmarks.content.cross DATA/amazon-beauty-electronics [--seeds 0 1 2] [--tune]

Three ways to learn with the same encoder, asked the same questions, with the items of the target's
domain as candidates: ``domains`` (`recency.DomainConfig`), ``domains ignored`` (one model of all
events that knows nothing of domains), and ``domain alone`` (a model for each domain, of its events
only, which also reads no others). The log is cut at its 0.9 quantile of time.

All ways learn by the exact softmax over the items that a target is compared with, at the same rate,
in batches of the same size, for the same number of epochs, with nothing held back. Left to
itself the loss would be drawn for a model of all items and exact for one of a domain, which has
fewer; drawn, a model hardly learns here, and the ways would differ by that alone.
`SETTINGS` were chosen on the newest tenth before the cut; ``--tune`` tries the points of `WAYS`
there, as many for each way.

Times of this log are days. What is asked of a day is asked from what came strictly before it, of
all users; experts, which count what others do within a day, are off. Items of the history are no
candidates. Of the targets those of users with fewer than 5 earlier events in the domain count.
Each fit's answers are kept, and not made twice.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import torch

import recency as rc
from benchmarks.content.run import STORE
from benchmarks.record import Row, commit, peak_mb, record
from recency.evaluation.domains import evaluate_domains
from recency.evaluation.evaluate import evaluate
from recency.evaluation.intervals import resample
from recency.evaluation.report import Report

CUT = 0.9
FEW = 5  # events in the domain from which on a user is no newcomer to it
RESAMPLES = 2_000
ENCODERS = {"gru": rc.GRU, "tide": rc.Tide, "lstm": rc.LSTM, "transformer": rc.Transformer}
SETTINGS: dict[str, Any] = {"loss": "softmax", "lr": 5e-3, "max_len": 50, "valid_share": 0.0}
SHARED: list[dict[str, Any]] = [{"dropout": 0.5}, {"dropout": 0.3}]
WAYS: dict[str, list[dict[str, Any]]] = {  # the first point is taken without --tune
    "domains": [{"dropout": 0.5, "rank": rank, "within": 1.0, "balance": 1.0} for rank in (0, 16)],
    "domains ignored": SHARED,
    "domain alone": SHARED,
}
PROTOCOL = (
    f"cross · into {{domain}} · cut at the {CUT} quantile of time · users with fewer than {FEW} "
    "events in the domain · candidates: its items, new to the user · encoder {encoder}, experts "
    "off, exact loss"
)


def main() -> None:
    """Choose settings, fit each way with each seed, compare, print, record."""
    arguments = parse()
    torch.set_num_threads(1)
    if not (arguments.folder / "events.parquet").exists():
        print(f"skipped: there is no {arguments.folder / 'events.parquet'}")
        return
    if not arguments.no_record:
        commit(dirty=arguments.dirty)  # refuse now, not after an hour
    log = rc.read_log(arguments.folder / "events.parquet")
    chosen = {way: WAYS[way][0] for way in arguments.ways}
    if arguments.tune:
        before = log.before(log.quantile(CUT))
        chosen = {way: choose(way, before, arguments) for way in arguments.ways}
    rows = []
    found: dict[str, list[pl.DataFrame]] = {way: [] for way in chosen}
    for seed in arguments.seeds:
        for way, settings in chosen.items():
            asked = kept_targets(way, settings, seed, log, "test", arguments)
            found[way].append(asked)
            rows += rows_of(way, asked, seed, settings, arguments)
    if len(found) == len(WAYS):
        rows += compared(found, arguments)
    if not arguments.no_record:
        print(record("content", rows, dirty=arguments.dirty))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with events.parquet, which names domains")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    parser.add_argument("--encoder", choices=ENCODERS, default="gru")
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1_024, help="cells a batch")
    parser.add_argument("--tune", action="store_true", help="choose points before the cut")
    parser.add_argument("--store", type=Path, default=STORE, help="where answers are kept")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--no-record", action="store_true", help="print only")
    return parser.parse_args()


def choose(way: str, log: rc.Log, arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose among the points of a way on the newest tenth of what comes before the cut."""
    best = (-1.0, WAYS[way][0])
    for point in WAYS[way]:
        asked = newcomers(kept_targets(way, point, 0, log, "tuning", arguments))
        mean = float(asked["gain"].mean() or 0.0)  # type: ignore[arg-type]  # of floats
        print(f"{way} {point}: ndcg@10 {mean:.5f} before the cut", flush=True)
        best = max(best, (mean, point), key=lambda one: one[0])
    return best[1]


def kept_targets(
    way: str,
    settings: dict[str, Any],
    seed: int,
    log: rc.Log,
    stage: str,
    arguments: argparse.Namespace,
) -> pl.DataFrame:
    """Give what `targets_of` found, with ``train_seconds`` and ``peak_mb``, from the store if kept.

    Args:
        way: Of `WAYS`.
        settings: One of its points.
        seed: Of the fit.
        log: Cut at its quantile `CUT`.
        stage: Names the log in the store.
        arguments: Of the command line.
    """
    shape = {name: getattr(arguments, name) for name in ("encoder", "dim", "epochs", "tokens")}
    said = json.dumps({"stage": stage, "way": way, "seed": seed, **shape, **settings, **SETTINGS})
    name = "".join(one if one.isalnum() or one in ".-" else "_" for one in said.replace('"', ""))
    path = arguments.store / "cross" / arguments.folder.name / f"{name.strip('_')}.parquet"
    if not path.exists():
        began = perf_counter()
        found = targets_of(way, settings, seed, log, arguments)
        seconds = round(perf_counter() - began, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = found.with_columns(train_seconds=pl.lit(seconds), peak_mb=pl.lit(peak_mb()))
        found.write_parquet(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return pl.read_parquet(path)


def targets_of(
    way: str, settings: dict[str, Any], seed: int, log: rc.Log, arguments: argparse.Namespace
) -> pl.DataFrame:
    """Fit one way on what comes before a cut, and ask it about the rest.

    Returns:
        One row a target: ``user_id``, ``item_id``, ``timestamp``, ``domain``, ``gain`` (of
        NDCG@10), and ``known``, the user's earlier events in the domain.
    """
    train, test = log.split_at(log.quantile(CUT))
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
            said = {name: one for name, one in settings.items() if name != "dropout"}
            domains = rc.DomainConfig(**said)
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
            epochs=arguments.epochs, tokens=arguments.tokens, device="cpu", **SETTINGS
        ),
        experts=None,
        domains=domains,
        seed=seed,
    )


def rows_of(
    way: str,
    asked: pl.DataFrame,
    seed: int,
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
                "train_seconds": float(asked["train_seconds"][0]),
                "peak_mb": float(asked["peak_mb"][0]),
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
