"""The report as text: aligned columns, and the protocol above the numbers."""

from collections.abc import Sequence

import polars as pl

from recency.evaluation.report import Comparison, Report, Result
from recency.units import format_instant

_READINGS = {
    "warm": "items unseen in training left out",
    "misses": "items unseen in training missed",
    "growing": "items join after their first event",
    "listed": "all that the catalogue lists",
}
_FEW_USERS = 30  # below it a bootstrap interval is rough


def render(report: Report) -> str:
    """Write a report as text of several tables."""
    parts = [_protocol(report), *(_accuracy(report, k) for k in report.settings.ks)]
    parts += [_lists(report), _comparisons(report), _slices(report)]
    return "\n\n".join(part for part in parts if part)


def _protocol(report: Report) -> str:
    c, s = report.counts, report.settings
    lines = [
        f"{report.model.model}: {c.n_targets:,} targets of {c.n_users:,} users, "
        f"{c.n_items:,} candidates, {format_instant(report.start)} to {format_instant(report.end)}",
        f"history {s.history} · repeats {'yes' if s.repeats else 'no'} · reading {s.reading} "
        f"({_READINGS[s.reading]}) · ties {s.ties} · targets {s.targets}"
        + (f" ({c.n_units:,} baskets)" if s.targets == "basket" else "")
        + f" · request time {report.model.request_time or 'not stated'}",
        f"of {c.n_events:,} test events: {_share(c.n_cold, c.n_events)} on items unseen in "
        f"training, {_share(c.n_empty, c.n_events)} without a history, "
        f"{_share(c.n_repeats, c.n_events)} repeats",
        "left out: " + _left_out(report),
        f"95 % intervals: bootstrap over users, {s.resamples:,} samples, seed {s.seed}"
        + (
            f"; only {c.n_users} users, so they are rough"
            if c.n_users < _FEW_USERS
            else ""
        ),
    ]  # fmt: skip
    if c.n_missed:
        lines.insert(4, f"missed by all, as no candidate: {_share(c.n_missed, c.n_targets)}")
    return "\n".join(lines)


def _left_out(report: Report) -> str:
    c = report.counts
    reasons = [
        (c.n_cold_skipped, "on items unseen in training"),
        (c.n_outside, "on items that are no candidates"),
        (c.n_repeats_skipped, "repeats"),
        (c.n_doubles, "doubles within a basket"),
        (c.n_not_drawn, "of users not drawn (max_targets)"),
    ]
    return ", ".join(f"{_share(n, c.n_events)} {why}" for n, why in reasons if n) or "nothing"


def _accuracy(report: Report, k: int) -> str:
    with_interval, plain = [f"recall@{k}", f"ndcg@{k}"], [f"mrr@{k}", f"precision@{k}", f"f1@{k}"]
    if report.settings.targets == "basket":  # with one target, hit is recall and map is mrr
        plain = [f"hit@{k}", *plain, f"map@{k}"]
    plain.append("accuracy@1")
    rows = [["model", *with_interval, *plain]]
    for result in report.results:
        rows.append(
            [
                result.model,
                *(_with_interval(result, name) for name in with_interval),
                *(f"{result.metrics[name]:.4f}" for name in plain),
            ]
        )
    return _table(rows)


def _lists(report: Report) -> str:
    k = report.settings.k
    names = [f"coverage@{k}", f"novelty@{k}", f"diversity@{k}", f"popularity@{k}"]
    rows = [["model", *names, "ties", "fit s", "answer s"]]
    for result in report.results:
        fit = "-" if result.fit_seconds is None else f"{result.fit_seconds:.2f}"
        rows.append(
            [
                result.model,
                *(f"{result.metrics[name]:.3f}" for name in names),
                f"{result.tied:.1%}",
                fit,
                f"{result.answer_seconds:.2f}",
            ]
        )
    return _table(rows)


def _comparisons(report: Report) -> str:
    names = [f"ndcg@{report.settings.k}", f"recall@{report.settings.k}"]
    found = {(one.other, one.metric): one for one in report.comparisons}
    others = list(dict.fromkeys(one.other for one in report.comparisons))
    if not others:
        return ""
    rows = [["paired difference", *(cell for name in names for cell in (name, "p"))]]
    for other in others:
        cells = [cell for name in names for cell in _difference(found[other, name])]
        rows.append([f"{report.model.model} - {other}", *cells])
    return _table(rows) + "\np two-sided, not corrected for the number of comparisons"


def _difference(one: Comparison) -> tuple[str, str]:
    low, high = one.interval
    return f"{one.difference:+.4f} [{low:+.4f}, {high:+.4f}]", f"{one.p:.3f}"


def _slices(report: Report) -> str:
    metric, slices = f"ndcg@{report.settings.k}", report.slices
    models = [result.model for result in report.results]
    rows = [[metric, "n", *models]]
    by_bin = slices.pivot("model", index=["slice", "bin", "n_units"], values=metric)
    for name in slices["slice"].unique(maintain_order=True):
        bins = by_bin.filter(pl.col("slice") == name)
        if bins.height < 2:  # one bin says nothing
            continue
        rows.append([f"{name}:", "", *("" for _ in models)])
        for row in bins.iter_rows(named=True):
            cells = [f"{row[model]:.4f}" for model in models]
            rows.append([f"  {row['bin']}", f"{row['n_units']:,}", *cells])
    return _table(rows) if len(rows) > 1 else ""


def _with_interval(result: Result, name: str) -> str:
    low, high = result.intervals[name]
    return f"{result.metrics[name]:.4f} [{low:.4f}, {high:.4f}]"


def _share(n: int, of: int) -> str:
    return f"{n:,} ({n / of:.1%})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)
