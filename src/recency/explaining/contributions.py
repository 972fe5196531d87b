"""Contributions: what each event brings to an item, found in one of four ways."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.explaining.gradients import by_gradients
from recency.explaining.heard import Heard
from recency.explaining.in_turn import by_turns
from recency.explaining.integrated import by_integrated_gradients
from recency.explaining.what_if import WhatIf
from recency.live.live_model import LiveModel

Method = Literal["leave_one_out", "in_turn", "gradients", "integrated_gradients"]
METHODS: tuple[str, ...] = get_args(Method)
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """Hold what each of n events brings to an item, oldest first.

    Attributes:
        parts: [n] nats.
        ranks: [n] where the item stands without the event; None where a method does not tell.
        order: [n] the events, what counts most first.
    """

    parts: Doubles
    ranks: Ints | None
    order: Ints

    @classmethod
    def by_size(cls, parts: Doubles, ranks: Ints | None = None) -> Self:
        """Let the largest count most; of equal ones, the newest."""
        newest_first = np.arange(len(parts))[::-1]
        return cls(parts, ranks, newest_first[np.argsort(-parts[::-1], kind="stable")])


def contributions(
    asked: WhatIf, item: int, method: Method, heard: Heard | None = None
) -> Contributions:
    """Give what each of the newest n events brings to an item's log-probability, oldest first.

    Args:
        asked: The question.
        item: Row of an item that has a chance.
        method: See `recency.explain`; an ensemble has no gradients, nor has a single event.
        heard: The question as one model put it, where that is known already.
    """
    if not asked.n:
        return Contributions.by_size(np.zeros(0))
    if method == "in_turn":
        return Contributions(*by_turns(asked, item))
    if method == "leave_one_out" or asked.n < 2 or not isinstance(asked.live, LiveModel):
        logs, ranks = asked.logs_of(asked.one_out, item)
        return Contributions.by_size(asked.logs_of(asked.all, item)[0] - logs, ranks)
    question = Heard.of(asked, asked.live) if heard is None else heard
    found = by_gradients if method == "gradients" else by_integrated_gradients
    return Contributions.by_size(found(asked, question, item))
