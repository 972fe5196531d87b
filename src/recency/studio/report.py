"""The table of results as the studio's page shows it."""

from collections.abc import Mapping
from typing import Any

from recency.evaluation.report import Report, Result
from recency.units import format_instant


def page_report(
    report: Report, titles: Mapping[str, str] | None = None, ceiling: str | None = None
) -> dict[str, Any]:
    """Choose from a report what the page shows: three metrics a recommender, with intervals.

    Args:
        report: Of `recency.evaluate`.
        titles: Names for people, by the names in the report.
        ceiling: Name of the result that no recommender can beat, drawn as such.

    Returns:
        ``protocol`` (a sentence), ``metrics`` (names, the main one first), and ``rows``: ``name``,
        ``title``, ``kind`` (model, baseline or ceiling) and ``metrics`` (name to ``value``,
        ``low``, ``high``); ``notes`` (sentences).
    """
    k = report.settings.k
    metrics = [f"{name}@{k}" for name in ("ndcg", "recall", "mrr")]
    titles = {} if titles is None else titles
    return {
        "protocol": _protocol(report),
        "metrics": metrics,
        "rows": [
            {
                "name": one.model,
                "title": titles.get(one.model, one.model),
                "kind": _kind(one, report, ceiling),
                "metrics": {name: _number(one, name) for name in metrics},
            }
            for one in report.results
        ],
        "notes": _notes(report, metrics[0], titles, ceiling),
    }


def _kind(one: Result, report: Report, ceiling: str | None) -> str:
    if one.model == ceiling:
        return "ceiling"
    return "model" if one.model == report.model.model else "baseline"


def _number(one: Result, name: str) -> dict[str, float | None]:
    low, high = one.intervals.get(name, (None, None))
    return {"value": one.metrics[name], "low": low, "high": high}


def _notes(
    report: Report, metric: str, titles: Mapping[str, str], ceiling: str | None
) -> list[str]:
    """Compare the model with the best of the others in words, and say what the ceiling is."""
    others = [one for one in report.results[1:] if one.model != ceiling]
    notes = []
    if others:
        best = max(others, key=lambda one: one.metrics[metric]).model
        found = next(one for one in report.comparisons if (one.other, one.metric) == (best, metric))
        low, high = found.interval
        notes.append(
            f"Against {titles.get(best, best)}, user by user: {found.difference:+.3f} "
            f"{metric}, 95 % interval {low:+.3f} to {high:+.3f}."
        )
    if ceiling is not None:
        notes.append(
            f"{titles.get(ceiling, ceiling)} ranks by the chances from which the events were "
            f"drawn, and knows what no log tells: nothing can do better."
        )
    return notes


def _protocol(report: Report) -> str:
    settings = report.settings
    start = format_instant(report.start)[:16].replace("T", " ")
    again = "may come again" if settings.repeats else "may not come again"
    return (
        f"Every event from {start} on, ranked against the whole catalogue; "
        f"history {settings.history}, items of the history {again}, {settings.reading} items, "
        f"ties {settings.ties}. The bars are 95 % bootstrap intervals over users."
    )
