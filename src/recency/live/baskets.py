"""Baskets asked about: the chance of every item known, for one user at one instant after another.

What the head reads is put together item by item as in training. How items sell is counted once an
instant, what a user had once a user; the user's own items are the only ones that differ from the
rest in what they were to the user.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recency.data.histories import PADDING, Ints
from recency.data.tallies import Doubles, Ledger
from recency.live.live_model import LiveModel
from recency.live.told import remembered
from recency.nn.basket_facts import N_PAIRS, Sales, mixed
from recency.nn.basket_head import BasketHead
from recency.nn.head import Floats

_BLOCK = 64  # questions whose histories are read together


@dataclass(frozen=True)
class Basket:
    """Hold what is told of one user's next basket.

    Attributes:
        chances: [items known] of each to be in it; -1 for those that were not known by then.
        size: How many items are expected: the sum of their chances.
        strange: Whether the user had no event before.
    """

    chances: Floats
    size: float
    strange: bool


@torch.no_grad()
def baskets(live: LiveModel, head: BasketHead, users: Ints, at: Ints) -> Iterator[Basket]:
    """Tell of next baskets, one user after another.

    Args:
        live: Is asked.
        head: Of its model.
        users: [n] user rows, `UNKNOWN` for strangers.
        at: [n] microseconds, when each basket would begin; events at or after it are not seen.
    """
    known = live.timelines.freeze()
    shop = _Shop(live, head, live.scoring.book(known.base).sales(known.arrived))
    for start in range(0, len(users), _BLOCK):
        part = slice(start, start + _BLOCK)
        yield from shop.baskets(users[part], at[part])


class _Shop:
    """Hold what is the same for all questions: items, their vectors, and how they sell."""

    def __init__(self, live: LiveModel, head: BasketHead, sales: Sales) -> None:
        model, n = live.model, len(live.vocabs.items)
        self._live, self._head, self._sales, self._items = live, head, sales, np.arange(n)
        vectors = torch.zeros(n, model.dim, device=model.bias.device)
        vectors[: model.n_items] = model.vectors
        self._learned = (vectors != 0).any(1).cpu().numpy()
        self._offered = head.offered(vectors)
        self._at, self._told = -1, (np.empty((0, 0)), np.empty(0, bool))

    def baskets(self, users: Ints, at: Ints) -> Iterator[Basket]:
        """Tell of the next baskets of a few users."""
        live, head, device = self._live, self._head, self._offered.device
        outputs, since = remembered(live, users, at)
        compared, more = head.wanted(outputs)
        histories = live.timelines.histories(np.maximum(users, 0))
        rows, starts = np.arange(len(users)), histories.offsets[:-1]
        seen = histories.cut(np.where(users < 0, starts, histories.stops_before(rows, at)))
        lines = head.lines(Ledger.of(seen, len(self._items)))
        people = lines.people(rows, at)
        for row in rows.tolist():
            own = seen.items[seen.offsets[row] : seen.offsets[row + 1]].astype(np.int64)
            own = np.unique(np.append(own[own >= 0], PADDING))  # the first stands for all others
            asked = np.full(len(own), row)
            pairs = lines.pairs(asked, own, np.full(len(own), at[row]))
            things, known = self._things(int(at[row]))
            every = np.broadcast_to(pairs[0], (len(self._items), N_PAIRS)).copy()
            every[own[1:]] = pairs[1:]
            cells = mixed(people[row : row + 1], things, every).astype(np.float32)
            facts = torch.from_numpy(cells).to(device)
            added = self._offered @ compared[row] + more[row] + head.together(facts)
            chances = head.chances(head.by_counts(facts), added)
            told = np.where(known, chances.cpu().numpy(), np.float32(-1))
            yield Basket(told, float(told[known].sum()), bool(since[row] < 0))

    def _things(self, at: int) -> tuple[Doubles, npt.NDArray[np.bool_]]:
        """Give how items sell at an instant, and which were known by then or have weights."""
        if at != self._at:
            instants = np.full(len(self._items), at)
            things = self._sales.things(self._items, instants, yearly=bool(self._head.yearly))
            known = self._learned | (self._sales.count(self._items, instants)[0] > 0)
            self._at, self._told = at, (things, known)
        return self._told
