"""The report: every number with what it is a number of.

A `Report` holds the protocol, the counts of what was asked and left out, metrics with intervals,
paired differences, slices, and the rank of every single target, so that anything else can be
computed from it without asking the models again.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from recency.evaluation.exam import Counts
from recency.evaluation.settings import Settings
from recency.ranking.ranks import Floats
from recency.units import format_instant

Interval = tuple[float, float]


@dataclass(frozen=True)
class Result:
    """Hold one model's numbers.

    Attributes:
        model: Its name.
        metrics: Metric, such as ``"ndcg@10"``, to its mean over events or baskets.
        intervals: The same names to 95 % bootstrap intervals over users; those of whole tables,
            such as coverage, have none.
        tied: Share of targets whose rank depends on the order of equal scores.
        request_time: ``"known"``, ``"unknown"``, or None where the model does not say.
        fit_seconds: Time of fitting, None where the model came fitted.
        answer_seconds: Time of answering and ranking.
    """

    model: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    tied: float
    request_time: str | None
    fit_seconds: float | None
    answer_seconds: float


@dataclass(frozen=True)
class Comparison:
    """Hold the paired difference of two models in one metric: the judged model minus another.

    Attributes:
        model: The judged model.
        other: The one it is compared with.
        metric: Name of the metric.
        difference: Of the means.
        interval: 95 % bootstrap interval of the difference, users resampled for both at once.
        p: Two-sided bootstrap p-value, not corrected for the number of comparisons.
    """

    model: str
    other: str
    metric: str
    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Report:
    """Hold the outcome of one evaluation; ``print`` shows it.

    Attributes:
        settings: The protocol.
        counts: What was asked, and what was left out.
        start: First test event, microseconds since 1970 UTC.
        end: Instant just after the last one.
        results: The judged model's first.
        comparisons: The judged model against each of the others, in every metric.
        slices: Columns ``slice``, ``bin``, ``n_units``, ``model``, and metrics at the headline's k.
        targets: Columns ``user_id``, ``item_id``, ``timestamp``, ``unit``: one row a target.
        ranks: Model to the mean rank of each target, inf where it is missed.
    """

    settings: Settings
    counts: Counts
    start: int
    end: int
    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    slices: pl.DataFrame = field(repr=False)
    targets: pl.DataFrame = field(repr=False)
    ranks: Mapping[str, Floats] = field(repr=False)

    @property
    def model(self) -> Result:
        """Give the judged model's result."""
        return self.results[0]

    def __getitem__(self, model: str) -> Result:
        """Give the result of a model by name.

        Raises:
            KeyError: no model of that name was evaluated.
        """
        for result in self.results:
            if result.model == model:
                return result
        known = ", ".join(result.model for result in self.results)
        raise KeyError(f"no model {model!r} in this report; it holds {known}.")

    def __str__(self) -> str:
        """Show everything but the ranks as aligned text."""
        from recency.evaluation.text import render

        return render(self)

    def to_frame(self) -> pl.DataFrame:
        """Give one row a model: metrics, and ``"<metric> low"``, ``"<metric> high"``."""
        return pl.DataFrame([_flat(result) for result in self.results])

    def to_dict(self) -> dict[str, Any]:
        """Give everything but targets and ranks as types that JSON has; NaN becomes None."""
        found: dict[str, Any] = _plain(
            {
                "protocol": asdict(self.settings)
                | {"start": format_instant(self.start), "end": format_instant(self.end)},
                "counts": self.counts.to_dict(),
                "results": [asdict(result) for result in self.results],
                "comparisons": [asdict(one) for one in self.comparisons],
                "slices": self.slices.to_dicts(),
            }
        )
        return found


def _flat(result: Result) -> dict[str, Any]:
    row: dict[str, Any] = {"model": result.model}
    for name, value in result.metrics.items():
        row[name] = value
        if name in result.intervals:
            row[f"{name} low"], row[f"{name} high"] = result.intervals[name]
    return row | {
        "tied": result.tied,
        "request_time": result.request_time,
        "fit_seconds": result.fit_seconds,
        "answer_seconds": result.answer_seconds,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
