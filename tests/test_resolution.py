"""A log that tells days alone: what others do on the same day is not known to a question."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import recency as rc
from recency.data.log import Log
from recency.evaluation.questions import questions_of
from recency.live.answers import answers

DAY_ONE = datetime(2026, 3, 1, tzinfo=UTC)


def log_of(rows: list[tuple[str, str, int, int]]) -> Log:
    """Make a log of (user, item, day, place in the day in microseconds)."""
    times = [DAY_ONE + timedelta(days=day, microseconds=place) for _, _, day, place in rows]
    frame = pl.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
        }
    )
    return Log.from_frame(frame)


def past() -> list[tuple[str, str, int, int]]:
    chance = np.random.default_rng(0)
    return [
        (f"u{user}", f"i{chance.integers(6)}", day, place)
        for day in range(12)
        for user in range(8)
        for place in range(2)
    ]


def scores_of(model: rc.SequenceRecommender, others_first: bool) -> np.ndarray:
    """Give the scores of u0's, and of a stranger's, question on a day that others fill."""
    place = 0 if others_first else 900
    today = [("u0", "i1", 12, 5), ("u9", "i1", 12, 5)]
    today += [(f"u{user}", "i3", 12, place + n) for user in range(1, 8) for n in range(3)]
    log = log_of(past() + today)
    _, test = log.split_at(DAY_ONE + timedelta(days=12))
    asked = questions_of(test, history="rolling")
    mine = np.flatnonzero(np.isin(asked.user, asked.users.rows(pl.Series(["u0", "u9"]))))
    found = np.empty((len(mine), len(asked.items)))
    for index, scores in answers(model.live, asked.take(mine)):
        found[index] = scores
    return found


@pytest.mark.parametrize("resolution", [0, "1d"])
def test_the_order_of_others_within_a_day_changes_nothing_where_days_are_told(resolution):
    model = rc.SequenceRecommender(
        rc.GRU(8),
        experts=rc.ExpertConfig(pair=("30d",), crowd=("1d",), resolution=resolution),
        training=rc.TrainConfig(epochs=1, refit=False),
    ).fit(log_of(past()))
    same = np.allclose(scores_of(model, True), scores_of(model, False), atol=1e-6)
    assert same == (resolution == "1d")
