"""What is shared by all tasks: reading a log, its cut, and one fit of ours.

A log is cut at the .9 quantile of its events, of online-retail of its orders. Where settings are
chosen, it is on the newest tenth of what lies before the cut, never on the test.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import recency as rc
from benchmarks.accuracy.splits import CUT
from benchmarks.heads.features import Events
from benchmarks.record import Row
from recency.nn.encoders import encoder_of_settings
from recency.nn.head import Head
from recency.units import SECOND

Settings = Mapping[str, Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Exam:
    """Hold one log, cut in two.

    Attributes:
        data: Name of the log.
        train: What lies before the cut.
        test: The rest.
        events: All of them as arrays.
        cut: Seconds since 1970.
        lines: Those of all orders, where the events are orders.
    """

    data: str
    train: rc.Log
    test: rc.Log
    events: Events
    cut: int
    lines: rc.Log | None = None

    @property
    def n_train(self) -> int:
        """Count the events before the cut."""
        return len(self.train)

    def inner(self) -> "Exam":
        """Cut what lies before the cut once more: settings are chosen on it."""
        lines = None if self.lines is None else self.lines.before(self.cut * SECOND)
        return replace(exam_of(self.data, self.train), lines=lines)

    def row(
        self,
        protocol: str,
        model: str,
        seed: int | None,
        metrics: dict[str, float],
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> Row:
        """Write a row down.

        Args:
            protocol: What was asked of whom.
            model: Its name.
            seed: Of ours; None for others.
            metrics: By name.
            about: ``version`` of a peer, and ``train_seconds``, where they are known.
        """
        return {
            "data": self.data,
            "protocol": protocol,
            "model": model + (f" ({about['version']})" if "version" in about else ""),
            "request_time": "unknown" if seed is not None else None,
            "seed": seed,
            "metrics": metrics,
            "train_seconds": about.get("train_seconds"),
        }


@dataclass(frozen=True)
class Fitted:
    """Hold a fitted model, and what learning took in seconds."""

    model: rc.SequenceRecommender
    seconds: float


def read(folder: Path) -> Exam:
    """Read a log with what its task needs, and cut it."""
    events = pl.read_parquet(folder / "events.parquet")
    if "rating" in events.columns:
        events = events.rename({"rating": "value"})
    lines = None
    if folder.name == "online-retail":
        bought = events.filter(pl.col("event_type") == "purchase")
        lines = rc.read_log(bought.select("user_id", "item_id", "timestamp"))
        events = orders_of(events)
    kept = ("user_id", "item_id", "timestamp", "value", "event_type", "lines")
    log = rc.read_log(events.select(n for n in kept if n in events.columns))
    return replace(exam_of(folder.name, log), lines=lines)


def orders_of(lines: pl.DataFrame) -> pl.DataFrame:
    """Make one event of each order: the line worth most stands for it, its value is the whole's.

    Lines of one customer and one instant are one order; returns are no purchases. What is asked
    here (whether, and when, somebody orders again) is asked of orders.
    """
    bought = lines.filter(pl.col("event_type") == "purchase")
    worth = (pl.col("price") * pl.col("quantity")).cast(pl.Float64)
    return (
        bought.with_columns(worth.alias("worth"))
        .group_by("user_id", "timestamp", maintain_order=True)
        .agg(
            pl.col("item_id").get(pl.col("worth").arg_max()),
            pl.col("worth").sum().alias("value"),
            pl.len().cast(pl.Int64).alias("lines"),
            pl.col("event_type").first(),
        )
    )


def exam_of(data: str, log: rc.Log) -> Exam:
    """Cut a log."""
    cut = log.quantile(CUT) // SECOND
    train, test = log.split_at(cut * SECOND)
    return Exam(data, train, test, events_of(log), cut)


def events_of(log: rc.Log) -> Events:
    """Give a log as arrays; rows of users and items are places of their ids in sorted order."""
    frame, n = log.events, len(log)
    return Events(
        users=frame["user_id"].rank("dense").to_numpy().astype(np.int64) - 1,
        items=frame["item_id"].rank("dense").to_numpy().astype(np.int64) - 1,
        times=log.times // SECOND,
        kinds=_or(frame, "event_type", np.full(n, "")).astype(str),
        amounts=_or(frame, "value", np.ones(n)),
        lines=_or(frame, "lines", np.ones(n)).astype(np.float64),
    )


def ids_of(exam: Exam, column: str, rows: Ints) -> list[Any]:
    """Give the ids of rows of users or items."""
    both = pl.concat([exam.train.events[column], exam.test.events[column]])
    return both.unique().sort().gather(rows).to_list()


def _or(frame: pl.DataFrame, name: str, otherwise: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return frame[name].to_numpy() if name in frame.columns else otherwise


def fit(exam: Exam, heads: Sequence[Head], settings: Settings, seed: int) -> Fitted:
    """Fit one model on what lies before the cut; it then observes the rest, without learning."""
    fitted = learn(exam, heads, settings, seed)
    fitted.model.observe(exam.test)
    return fitted


def learn(exam: Exam, heads: Sequence[Head], settings: Settings, seed: int) -> Fitted:
    """Fit one model on what lies before the cut."""
    model = rc.SequenceRecommender(
        encoder_of_settings(settings["encoder"]),
        inputs=rc.InputConfig(**settings["inputs"]),
        training=rc.TrainConfig(**settings["training"]),
        # Most tasks want none: they tell the next item alone.
        experts=rc.ExpertConfig() if settings["experts"] else None,
        fallback_half_life="30d",
        heads=heads,
        seed=seed,
    )
    began = time.perf_counter()
    model.fit(exam.train)
    return Fitted(model, time.perf_counter() - began)
