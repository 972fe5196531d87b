"""A shop to serve: a generated log, and the real recommender with random weights."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl

from recency.data.log import Log
from recency.nn.encoder import Encoder
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z


def untrained_shop(
    folder: Path,
    n_items: int,
    n_users: int,
    n_events: int,
    dim: int = 64,
    seed: int = 0,
    encoder: Encoder | None = None,
) -> Path:
    """Save a model of random weights that knows a generated log of thirty days.

    Speed and durability do not depend on what weights say, so nothing is learned.
    """
    random = np.random.default_rng(seed)
    # Every item once, so that each has a row; then what people take, few items mostly.
    drawn = (n_items * random.power(0.4, max(0, n_events - n_items))).astype(np.int64)
    items = np.concatenate((np.arange(n_items), drawn))[:n_events]
    random.shuffle(items)
    times = START + np.sort(random.integers(0, 30 * DAY, len(items)))
    frame = pl.DataFrame(
        {
            "user_id": "u" + pl.Series(random.integers(0, n_users, len(items))).cast(pl.String),
            "item_id": "i" + pl.Series(items).cast(pl.String),
            "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
        }
    )
    with patch("recency.fitting.train_guarded", return_value=None):
        SequenceRecommender(encoder or GRU(dim=dim), seed=seed).fit(Log.from_frame(frame)).save(
            folder
        )
    return folder
