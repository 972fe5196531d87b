"""Explanations: why a list is as it is, as far as the model can tell.

So far that is one thing: how much each expert of the model is listened to for this user.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import polars as pl

from recency.data.vocab import Id
from recency.errors import ConfigError, UnknownIdError
from recency.serving.questions import LiveRecommender, Question
from recency.units import Instant


@runtime_checkable
class _Voiced(Protocol):
    def voices(self, users: Sequence[Id], at: Instant | None = None) -> pl.DataFrame: ...


def explanation(model: LiveRecommender, question: Question, at: int) -> dict[str, Any]:
    """Say what the answer to a question rests on.

    Returns:
        ``voices``: each expert's share, which sum to 1; null where the model has no experts, or
        the question names nobody of whom it has events before ``at`` (microseconds).
    """
    shares: dict[str, float] | None = None
    if question.user is not None and isinstance(model, _Voiced):
        try:
            found = model.voices([question.user], at).drop("user_id").row(0, named=True)
        except (ConfigError, UnknownIdError):
            found = {}
        if found and None not in found.values():
            shares = {name: float(share) for name, share in found.items()}
    return {"voices": shares}
