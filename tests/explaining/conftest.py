"""Small fitted models whose answers are known, because one event alone decides."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data import synthetic
from recency.data.log import TIME, Log
from recency.units import parse_instant

INPUTS = rc.InputConfig(value=False, gap=False, calendar=False, dropout=0.0, hidden_items=0.0)
HOUR = 3_600_000_000


def mean(column: pl.Series) -> float:
    """Average numbers of which none is missing."""
    return float(column.to_numpy().mean())


def keyed(n_users: int, seed: int) -> tuple[Log, list[int]]:
    """Make a log in which one event, anywhere in a history, decides its end.

    A user takes up to four fillers of six, drawn evenly, then a key, ``k0`` to ``k3``, then after
    each event with a chance of a third the key's answer, ``a0`` to ``a3``, which ends the history,
    and else another filler. So the key tells the answer, and neither fillers nor their number do.

    Returns:
        The log, and how many events before the answer each user's key lies.
    """
    rng = np.random.default_rng(seed)
    rows, ago = [], []
    start = parse_instant("2026-02-01")
    for user in range(n_users):
        key, before, behind = rng.integers(4), rng.integers(0, 5), rng.geometric(1 / 3) - 1
        fillers = [f"f{one}" for one in rng.integers(0, 6, before + behind)]
        items = [*fillers[:before], f"k{key}", *fillers[before:], f"a{key}"]
        first = start + int(rng.integers(0, HOUR))
        rows += [(f"u{user}", item, first + step * HOUR) for step, item in enumerate(items)]
        ago.append(int(behind) + 1)
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Log.from_frame(frame.with_columns(pl.col("timestamp").cast(TIME))), ago


def fitted(log: Log, epochs: int = 12, **more: object) -> rc.SequenceRecommender:
    """Fit a small model that knows a synthetic log well."""
    given = {"encoder": rc.GRU(dim=24), "inputs": INPUTS, "experts": None} | more
    config = rc.TrainConfig(epochs=epochs, tokens=512, lr=1e-2, valid_share=0, device="cpu")
    one = rc.SequenceRecommender(training=config, fallback_half_life="30d", **given)  # type: ignore[arg-type]  # of several kinds
    return one.fit(log)


@dataclass(frozen=True)
class Locked:
    """Hold a model of a keyed log, and users it has not learned from, with what decides."""

    model: rc.SequenceRecommender
    users: list[str]
    answers: list[str]
    ago: list[int]


@pytest.fixture(scope="session")
def locked() -> Locked:
    """Fit a model of a keyed log, and show it new users whose answers are still to come."""
    model = fitted(keyed(512, seed=0)[0])
    log, ago = keyed(24, seed=1)
    frame = log.events.with_columns(user_id="new " + pl.col("user_id"))
    answers = pl.col("item_id").str.starts_with("a")
    model.observe(Log.from_frame(frame.filter(~answers)))
    given = dict(frame.filter(answers).select("user_id", "item_id").iter_rows())
    users = [f"new u{row}" for row in range(len(ago))]
    return Locked(model, users, [given[user] for user in users], ago)


@pytest.fixture(scope="session")
def shop() -> rc.SequenceRecommender:
    """Give a model with all experts, told the instant of questions, with titles and types."""
    made = synthetic.shop(n_users=40, n_items=48, days=30, seed=3, events_per_user=20)
    model = rc.SequenceRecommender(
        rc.Tide(dim=16),
        training=rc.TrainConfig(epochs=2, device="cpu"),
        request_time="known",
        fallback_half_life="7d",
    )
    # Titles alone: nothing is sold out, so that lists are ranked by the model and by nothing else.
    return model.fit(made.log, items=rc.Catalogue.from_frame(made.items.select("item_id", "title")))
