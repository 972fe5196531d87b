"""Explanations: why a list is as it is.

Told are how much each expert of the model is listened to for this user, and for each item of the
list the events that speak for it (`recency.explaining.listing`). Of a user's events the newest few
are looked at, so that an explanation never holds other questions up for long.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from recency.asking.asking import Asking
from recency.data.vocab import Id
from recency.errors import ConfigError, UnknownIdError
from recency.explaining.listing import explain_list
from recency.serving.questions import LiveRecommender, Question
from recency.units import Instant

_WINDOW = 20  # newest events that are looked at


@runtime_checkable
class _Voiced(Protocol):
    def voices(self, users: Sequence[Id], at: Instant | None = None) -> pl.DataFrame: ...


def explanation(
    model: LiveRecommender, question: Question, at: int, items: Sequence[Id]
) -> dict[str, Any]:
    """Say what the answer to a question rests on.

    Returns:
        ``voices``: each expert's share, which sum to 1; null where the model has no experts, or
        the question names nobody of whom it has events before ``at`` (microseconds). ``items``:
        what `explain_list` tells of each item; null where there are no events.
    """
    shares: dict[str, float] | None = None
    if question.user is not None and isinstance(model, _Voiced):
        try:
            found = model.voices([question.user], at).drop("user_id").row(0, named=True)
        except (ConfigError, UnknownIdError):
            found = {}
        if found and None not in found.values():
            shares = {name: float(share) for name, share in found.items()}
    return {"voices": shares, "items": _of_items(model, question, at, items)}


def _of_items(
    model: LiveRecommender, question: Question, at: int, items: Sequence[Id]
) -> list[dict[str, Any]] | None:
    """Explain each item; None where there are no events before."""
    if not isinstance(model, Asking) or not items:
        return None
    if question.user is not None:
        row = model.users.rows([model.users.coerce(question.user)])
        history = model.live.seen(row, at)
    else:
        events = model.live.histories_of(question.history or ())
        history = events.cut(events.stops_before(np.arange(1), np.array([at])))
    if not history.n_events:
        return None
    return explain_list(
        model, history, items, at, repeats=question.selection.repeats, window=_WINDOW
    )
