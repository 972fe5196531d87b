"""Foretelling in service: ratings, chances, times and baskets, from the model that answers."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from recency.data.vocab import Id
from recency.errors import ConfigError
from recency.recommender import SequenceRecommender
from recency.serving.questions import LiveRecommender

What = Literal["rating", "propensity", "next_time", "basket"]
WHAT: tuple[str, ...] = get_args(What)


@dataclass(frozen=True)
class Foretold:
    """Hold what is asked of the heads of a model.

    Attributes:
        what: Which kind of answer.
        users: Ids.
        items: Ids, one a user, where the question is about pairs.
        event_type: Whose chance is asked; None: any event's.
        horizon: Seconds or text; None where no horizon is asked.
        horizons: Of the time to the next event.
        k: Most items of a basket.
    """

    what: What
    users: tuple[Id, ...]
    items: tuple[Id, ...] | None = None
    event_type: str | None = None
    horizon: str | float | None = None
    horizons: tuple[str | float, ...] = ("1d", "7d", "30d")
    k: int = 10


def foretell(model: LiveRecommender, asked: Foretold, at: int) -> list[dict[str, Any]]:
    """Answer as of an instant (microseconds): one row a user or a pair, or up to k a user.

    Raises:
        ConfigError: the model has no head for it; an ensemble has none at all.
    """
    if not isinstance(model, SequenceRecommender):
        raise ConfigError("expected a single model with heads, found an ensemble; it has none.")
    if asked.what == "next_time":
        return model.next_time(asked.users, at=at, horizons=asked.horizons).to_dicts()
    if asked.what == "basket":
        return model.basket(asked.users, asked.k, at=at).to_dicts()
    if asked.what == "rating":
        return model.rate(asked.users, asked.items or (), at=at).to_dicts()
    return model.propensity(
        asked.users, asked.items, event_type=asked.event_type, horizon=asked.horizon, at=at
    ).to_dicts()
