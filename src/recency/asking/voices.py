"""Voices: how much each expert of a model is listened to."""

from collections.abc import Sequence
from typing import Protocol

import polars as pl

from recency.asking.asking import refuse_strangers
from recency.data.vocab import Id, Vocab
from recency.live.live_model import LiveModel
from recency.units import Instant


class Voiced(Protocol):
    """What is asked: a fitted model; see `recency.SequenceRecommender`."""

    @property
    def live(self) -> LiveModel:
        """Give the live model."""
        ...

    @property
    def users(self) -> Vocab:
        """Give the users known."""
        ...

    def instant(self, at: Instant | None) -> int:
        """Give the instant of a question in microseconds."""
        ...


def voices(model: Voiced, users: Sequence[Id], at: Instant | None = None) -> pl.DataFrame:
    """Tell how much each expert is listened to: what a user, and a log, lives on.

    Returns:
        ``user_id``, then one column an expert, ``encoder`` first: shares that sum to 1. Users
        without events before ``at`` have none: nulls.

    Raises:
        ConfigError: the model has no experts.
        UnknownIdError: a user was never seen.
    """
    rows = model.users.rows([model.users.coerce(one) for one in users])
    refuse_strangers(users, rows)
    names, shares = model.live.voices(rows, model.instant(at))
    columns = {name: shares[:, place] for place, name in enumerate(names)}
    return pl.DataFrame({"user_id": list(users), **columns}).fill_nan(None)
