"""Listing: why each item of one list is there, at little more than the cost of explaining one.

Leaving an event out tells of all items at once, so a whole list costs one batch of as many variants
as there are events. Told of each item are the few events that speak for it most.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recency.asking.asking import Asking
from recency.data.histories import Histories
from recency.data.outside import frame_of
from recency.data.vocab import Id
from recency.explaining.heard import Heard
from recency.explaining.sentences import brought
from recency.explaining.what_if import WhatIf
from recency.live.live_model import LiveModel
from recency.units import format_instant

LEAST = 0.01  # nats that an event must bring to be told


def explain_list(
    model: Asking,
    history: Histories,
    items: Sequence[Id],
    at: int,
    *,
    repeats: bool = True,
    window: int = 20,
    most: int = 3,
) -> list[dict[str, Any]]:
    """Tell for each item of a list what speaks for it.

    Args:
        model: Fitted: a recommender or an ensemble.
        history: The events of one user before ``at``.
        items: Ids, all known.
        at: Instant of the question, microseconds.
        repeats: Whether the list was asked to have items of the history as well.
        window: Newest events looked at.
        most: Events told of each item.

    Returns:
        One dictionary an item, as JSON knows it: ``item_id``; ``chance``, among all items known;
        ``events``, each with ``ago`` (1 = newest), ``item_id``, ``title``, ``timestamp``,
        ``contribution`` (nats) and ``sentence``; and ``voices``, the share of the chance that each
        brings, null without experts.
    """
    rows = model.items.rows([model.items.coerce(one) for one in items])
    asked = WhatIf(model.live, history, at, window, repeats)
    logs = asked.columns(asked.all, rows)[0]
    parts = np.zeros((0, len(rows)))
    if asked.n:
        with np.errstate(invalid="ignore"):  # an item without any chance has no parts
            parts = (logs - asked.columns(asked.one_out, rows))[::-1]
    shares = None
    if asked.n and isinstance(model.live, LiveModel):
        shares = Heard.of(asked, model.live).shares(rows)
    facts = _facts(model, asked)
    return [
        {
            "item_id": item,
            "chance": float(np.exp(logs[column])),
            "events": [
                facts[place]
                | {
                    "contribution": float(parts[place, column]),
                    "sentence": brought(facts[place], float(parts[place, column]), at),
                }
                for place in _first(parts[:, column], most)
            ],
            "voices": None
            if shares is None
            else dict(zip(shares.names, shares.voices(column).tolist(), strict=True)),
        }
        for column, item in enumerate(items)
    ]


def _first(parts: "np.ndarray[Any, np.dtype[np.float64]]", most: int) -> list[int]:
    """Give the places of the events that bring most, newest 0."""
    there = np.flatnonzero(np.isfinite(parts) & (parts >= LEAST))
    order = there[np.argsort(-parts[there], kind="stable")][:most]
    found: list[int] = order.tolist()
    return found


def _facts(model: Asking, asked: WhatIf) -> list[dict[str, Any]]:
    """Name the newest events, newest first."""
    frame = frame_of(asked.history, model.live.vocabs).tail(asked.n).reverse()
    items = frame["item_id"].to_list()
    titles = [None] * len(items) if model.catalogue is None else model.catalogue.titles(items)
    times = frame["timestamp"].dt.timestamp("us").to_list()
    rows = zip(items, titles, times, strict=True)
    return [
        {"ago": ago, "item_id": item, "title": title, "timestamp": format_instant(time)}
        for ago, (item, title, time) in enumerate(rows, start=1)
    ]
