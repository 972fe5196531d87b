"""Memory left: how much of a user's memory time has left since the newest event."""

import numpy as np
import polars as pl

from recency.asking.asking import refuse_strangers
from recency.data.vocab import Id
from recency.errors import DataError
from recency.recommender import SequenceRecommender
from recency.units import SECOND, Instant


def memory_left(model: SequenceRecommender, user: Id, at: Instant | None = None) -> pl.DataFrame:
    """Tell how much of each bank of a user's memory is left at an instant.

    A bank of `recency.Tide` fades with the time until the next event, channel by channel, and that
    is exact. It also fades with each event, by gates that read the event: of that, only the
    half-lives of gates as they start are told.

    Args:
        model: Fitted, with a Tide.
        user: Id, with an event before ``at``.
        at: Instant; None: just after the newest event known.

    Returns:
        One row a block and bank: ``block`` (0 is the first), ``bank``, ``half_life_seconds`` and
        ``half_life_events`` (medians over channels), ``wait_seconds`` since the user's newest event
        before ``at``, and ``left``, the mean share of the memory that is left after it, in (0, 1].

    Raises:
        ConfigError: the encoder keeps no memory by half-lives.
        DataError: the user has no event before ``at``.
        UnknownIdError: the user was never seen.
    """
    banks = model.half_lives()
    row = model.users.rows([model.users.coerce(user)])
    refuse_strangers([user], row)
    instant = model.instant(at)
    history = model.live.seen(row, instant)
    if not history.n_events:
        raise DataError(f"user {user!r}: expected an event before the instant asked about.")
    wait = (instant - int(history.times[-1])) / SECOND
    return pl.DataFrame(
        [
            {
                "block": one.block,
                "bank": one.bank,
                "half_life_seconds": float(np.median(one.seconds)),
                "half_life_events": float(np.median(one.events)),
                "wait_seconds": wait,
                "left": float(np.exp2(-wait / one.seconds).mean()),
            }
            for one in banks
        ]
    )
