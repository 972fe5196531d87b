"""What the generator of a synthetic shop knew at each event, and the chance it gave each item."""

from dataclasses import dataclass

import numpy as np

from recency.data.synthetic.assortment import Assortment, Floats, Ints
from recency.data.synthetic.visits import Users, Visits
from recency.units import DAY


@dataclass(frozen=True)
class Truth:
    """Hold what the generator knew at each event; arrays follow the log's events.

    Attributes:
        users, assortment, visits: The world the events come from. Rows of items are those of
            `Shop.items`; rows of users are the numbers in their ids.
        noise: Share of events whose item was drawn evenly from all on sale.
        times: Instants, microseconds UTC.
        items, kinds: Row of the item, and type (0 view, 1 cart, 2 purchase).
        visit: Row of the visit.
        last, last_kind: Item and type of the event before in the visit; -1 and 0 at its first.
    """

    users: Users
    assortment: Assortment
    visits: Visits
    noise: float
    times: Ints
    items: Ints
    kinds: Ints
    visit: Ints
    last: Ints
    last_kind: Ints

    @property
    def intents(self) -> Ints:
        """Give the theme that each event's visit is about."""
        return self.visits.intent[self.visit]

    def tastes(self, events: Ints) -> Floats:
        """Give the users' tastes at events, ``[n, categories]``; rows sum to 1."""
        day = (self.times[events] - self.visits.start) / DAY
        return self.users.taste_on(
            self.visits.user[self.visit[events]], day, self.assortment.n_days
        )

    def probabilities(self, events: Ints) -> Floats:
        """Give the chance that each item had to be the one of an event, ``[n, n_items]``.

        It is the chance given all that the generator knew just before: the visit's theme, the
        due staple, the item before. No recommender that sees only the log can know
        more, so ranking by it is the ceiling that a model can be held against.

        Args:
            events: Positions in the log.
        """
        shop, visit = self.assortment, self.visit[events]
        weight = shop.weight[(self.times[events] - self.visits.start) // DAY]
        items, chances = shop.options(
            self.visits.due[visit],
            self.visits.intent[visit],
            self.last[events],
            self.last_kind[events],
        )
        rows = np.arange(len(events))[:, None]
        chances = np.where(weight[rows, items] > 0, chances, 0.0)
        theme = np.where(shop.place[self.visits.intent[visit]] >= 0, weight, 0.0)
        result = (1 - chances.sum(axis=1, keepdims=True)) * theme / theme.sum(axis=1, keepdims=True)
        np.add.at(result, (np.broadcast_to(rows, items.shape), items), chances)
        even = (weight > 0) / (weight > 0).sum(axis=1, keepdims=True)
        mixed: Floats = (1 - self.noise) * result + self.noise * even
        return mixed
