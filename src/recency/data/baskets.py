"""Baskets: which events of a user belong together, because they share an instant or nearly so.

A basket begins with an event and holds all that the same user does at its instant, or within a gap
after it. What comes later begins the next one. So a later event never moves an earlier basket, and
none is longer than the gap.
"""

from dataclasses import dataclass

import numpy as np

from recency.data.histories import Histories, Ints


@dataclass(frozen=True)
class Baskets:
    """Hold histories cut into baskets.

    Attributes:
        starts: [n_baskets] place of each basket's first event, ascending.
        of: [n_events] basket of each event.
        number: [n_baskets] how many baskets the same user had before.
    """

    starts: Ints
    of: Ints
    number: Ints

    @classmethod
    def of_histories(cls, histories: Histories, gap: float = 0.0) -> "Baskets":
        """Cut histories into baskets.

        Args:
            histories: Of all users that count.
            gap: Seconds after a basket's first event that it lasts; 0: that instant alone.
        """
        begins = np.zeros(histories.n_events, bool)
        if gap > 0:
            later = histories.stops_before(
                histories.user_of, histories.times + round(gap * 1e6) + 1
            )
            users = np.flatnonzero(histories.lengths > 0)
            places = histories.offsets[users]
            while len(places):  # one basket of every user at a time
                begins[places] = True
                places = later[places]
                open_ = places < histories.offsets[users + 1]
                users, places = users[open_], places[open_]
        else:
            begins[histories.group_start] = True
        starts, of = np.flatnonzero(begins), np.cumsum(begins) - 1
        first = of[histories.offsets[histories.user_of[starts]]]
        return cls(starts, of, np.arange(len(starts)) - first)

    def __len__(self) -> int:
        return len(self.starts)

    def lines(self, items: Ints) -> Ints:
        """List the places of events that are the first of their item in their basket, ascending.

        Args:
            items: [n_events] item rows; events of negative ones are left out.
        """
        known = np.flatnonzero(items >= 0)
        keys = self.of[known] * (int(items.max(initial=0)) + 1) + items[known]
        return np.sort(known[np.unique(keys, return_index=True)[1]])
