"""Choose what the README tells of the measurements: a line for each question a reader has.

A line names its row of ``benchmarks/results/`` by what the row's text says, and how its figures are
read. A row that is gone takes its line with it; a line that finds two models is a mistake.
Seeds are averaged.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.record import Row, load


@dataclass(frozen=True)
class Line:
    """Tell one measurement.

    Attributes:
        what: Was measured, in words.
        table: Holds the row.
        says: What the row's data, protocol and model contain, each somewhere.
        figures: How its metrics are read; a name in braces is a metric, ``peak_mb`` one too.
    """

    what: str
    table: str
    says: tuple[str, ...]
    figures: str


_BUSY = ("100,000 items, 5,000 users", "loopback")
LINES = (
    Line(
        "train a Transformer: ml-1m-order, 200 events, all items in the loss",
        "speed",
        ("200 events", "transformer, 2 blocks, d=64, softmax"),
        "{targets_per_second:,.0f} targets a second, "
        "{speedup_vs_fastest_peer:.1f}× the fastest peer",
    ),
    Line(
        "train a GRU on the same",
        "speed",
        ("200 events", "| gru, d=64, softmax"),
        "{targets_per_second:,.0f} targets a second, "
        "{speedup_vs_fastest_peer:.0f}× the fastest peer",
    ),
    Line(
        "read 3 million clicks of globo-news, from text to histories",
        "reading",
        ("globo-news", "| Recency, atomic"),
        "{seconds:.1f} s, {times faster than RecBole:.0f}× RecBole, {peak_mb:,.0f} MiB",
    ),
    Line(
        "judge a GRU: 99,997 targets among 46,033 items, intervals and slices",
        "evaluation",
        ("99,997 targets", "| gru"),
        "{seconds:.1f} s, {peak_mb:,.0f} MiB",
    ),
    Line(
        "recommend from 100,000 items, 32 connections",
        "serving",
        (*_BUSY, "recommend, 32 connections"),
        "{requests_per_second:,.0f} a second, p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms",
    ),
    Line(
        "the same at 300 a second",
        "serving",
        (*_BUSY, "recommend at 300/s"),
        "p50 {p50_ms:.1f} ms, p99 {p99_ms:.0f} ms",
    ),
    Line(
        "recommend from a million items, 50 a second",
        "serving",
        ("1,000,000 items, 5,000 users", "recommend at 50/s"),
        "p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms, {recall@10:.0%} of the exact lists",
    ),
    Line(
        "post events, each synced before its answer, 64 connections",
        "serving",
        (*_BUSY, "single, 64 connections"),
        "{events_per_second:,.0f} a second, p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms",
    ),
    Line(
        "the same in batches of 256",
        "serving",
        (*_BUSY, "batch, 4 connections"),
        "{events_per_second:,.0f} events a second",
    ),
    Line(
        "an event, then a question that must have seen it, 8 clients",
        "serving",
        (*_BUSY, "visible: event"),
        "{pairs:,} pairs, {unseen} unseen, p99 {p99_ms:.0f} ms",
    ),
    Line(
        "start with a million users, 100,000 events behind the snapshot",
        "serving",
        ("cold start",),
        "{ready_seconds:.1f} s, {bytes_a_user:,.0f} bytes a user",
    ),
    Line(
        "kill the server 40 times",
        "faults",
        ("T1, 20 SIGKILL",),
        "of {acknowledged:,} acknowledged events {lost} lost, {doubled} doubled",
    ),
    Line(
        "learn beside the server: deskdrop, NDCG@10 as it goes (globo-news: nothing gained)",
        "online",
        ("deskdrop", "| learn"),
        "{ndcg@10:.4f}, {gain_over_frozen:+.1%} over frozen weights with moving states",
    ),
    Line(
        "rate films: ml-100k, later ratings, root mean squared error",
        "heads",
        ("ml-100k", "rating head"),
        "{rmse:.4f}, {rmse_gain_over_svdpp:.1%} under SVD++",
    ),
    Line(
        "foretell the next order: online-retail, NDCG@10 of its items",
        "heads",
        ("online-retail", "basket", "basket head"),
        "{ndcg@10:.4f}, {ndcg@10_gain_over_best_baseline:+.4f} over what a customer used to take",
    ),
    Line(
        "items that speak: ml-latest-2k, NDCG@10, the encoder alone",
        "content",
        ("ml-latest-2k", "| all ·", "ids and content, encoder alone, mean of"),
        "{ndcg@10:.4f}, {gain_over_ids_only:+.0%} over ids only",
    ),
    Line(
        "the same with experts",
        "content",
        ("ml-latest-2k", "| all ·", "ids and content, mean of"),
        "{ndcg@10:.4f}, {gain_over_ids_only:+.1%} over ids only",
    ),
    Line(
        "encode 100,000 titles with MiniLM, two threads",
        "content",
        ("encoding", "100,000 different", "Recency, bfloat16"),
        "{items_per_second:,.0f} a second, {speedup:.1f}× sentence-transformers",
    ),
)


def measured_in_short() -> list[list[str]]:
    """Give the table's lines: what, what was measured, by which command."""
    found = []
    for line in LINES:
        rows = [row for row in load(line.table) if _is_meant(line, row)]
        meant = {_text(row) for row in rows}
        if len(meant) > 1:
            raise SystemExit(f"{line.what!r}: expected one row, found {sorted(meant)}.")
        if rows:
            module = " ".join(rows[0]["command"].split()[:3])  # all of it stands beside the result
            found.append([line.what, line.figures.format_map(_mean(rows)), f"`{module}`"])
    return found


def _is_meant(line: Line, row: Row) -> bool:
    return all(part in _text(row) for part in line.says)


def _text(row: Row) -> str:
    return f"{row['data']} | {row['protocol']} | {row['model']}"


def _mean(rows: list[Row]) -> dict[str, Any]:
    """Average the metrics of one model's seeds."""
    every = [row["metrics"] | {"peak_mb": row["peak_mb"]} for row in rows]
    if len(every) == 1:
        return dict(every[0])
    return {name: fmean(one[name] for one in every) for name in every[0] if every[0][name]}
