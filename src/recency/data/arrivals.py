"""Arrivals: events in the order in which they came, and how they join the histories.

What arrived lies in flat arrays that only grow, so that a copy of it is a view: it costs nothing
and stays as it is while more arrives.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories, Ints


@dataclass(frozen=True)
class Events:
    """Hold n events as rows, in the order of their arrival.

    Attributes:
        users: [n] user rows.
        items: [n] item rows.
        times: [n] microseconds since 1970 UTC.
        types: [n] event-type rows, `UNKNOWN` where there is none.
        values: [n] values, NaN where there is none.
    """

    users: Ints
    items: Ints
    times: Ints
    types: Ints
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.users)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Events":
        """Give some of the events, in their order."""
        return Events(
            users=self.users[chosen],
            items=self.items[chosen],
            times=self.times[chosen],
            types=self.types[chosen],
            values=self.values[chosen],
        )

    def since(self, start: int) -> "Events":
        """Give the events from a place on."""
        return Events(
            users=self.users[start:],
            items=self.items[start:],
            times=self.times[start:],
            types=self.types[start:],
            values=self.values[start:],
        )


class Arrivals:
    """Gather events as they come."""

    _EVENT = np.dtype([("user", "i8"), ("time", "i8"), ("item", "i8"), ("type", "i8"), ("v", "f4")])

    def __init__(self) -> None:
        self._cells = np.empty(64, self._EVENT)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, events: Events) -> None:
        """Put events behind the others; views given earlier stay as they are."""
        stop = self._n + len(events)
        if stop > len(self._cells):
            larger = np.empty(max(stop, 2 * len(self._cells)), self._EVENT)
            larger[: self._n] = self._cells[: self._n]
            self._cells = larger
        cells = self._cells[self._n : stop]
        cells["user"], cells["time"], cells["item"] = events.users, events.times, events.items
        cells["type"], cells["v"] = events.types, events.values
        self._n = stop

    @property
    def events(self) -> Events:
        """Give what came so far, as a view."""
        cells = self._cells[: self._n]
        return Events(cells["user"], cells["item"], cells["time"], cells["type"], cells["v"])


def inserted(base: Histories, events: Events) -> tuple[Histories, dict[int, int]]:
    """Put events into histories, each behind all of its user's events of its time or earlier.

    Args:
        base: Stay as they are.
        events: In the order of their arrival, which equal times keep.

    Returns:
        The new histories, and for each user who got a late event, how many of the user's oldest
        events are still the same.
    """
    if not len(events):
        return base, {}
    order = np.lexsort((events.times, events.users))  # stable
    users, times = events.users[order], events.times[order]
    n_users = max(base.n_users, int(users[-1]) + 1)
    lengths = np.zeros(n_users, np.int64)
    lengths[: base.n_users] = base.lengths
    offsets = _offsets(lengths)
    known = users < base.n_users
    places = np.full(len(users), base.n_events)
    places[known] = base.stops_before(users[known], times[known] + 1)
    at = places + np.arange(len(users))
    old = np.ones(base.n_events + len(users), bool)
    old[at] = False

    def joined(cells: npt.NDArray[Any], fresh: npt.NDArray[Any]) -> npt.NDArray[Any]:
        both = np.empty(len(old), cells.dtype)
        both[old], both[at] = cells, fresh[order]
        return both

    joint = Histories(
        offsets=offsets + _offsets(np.bincount(users, minlength=n_users)),
        items=joined(base.items, events.items),
        times=joined(base.times, events.times),
        types=None if base.types is None else joined(base.types, events.types),
        values=None if base.values is None else joined(base.values, events.values),
    )
    first = np.diff(users, prepend=-1) != 0  # where a user's earliest is not late, none is
    late = first & (places < offsets[users + 1])
    intact = places[late] - offsets[users[late]]
    return joint, dict(zip(users[late].tolist(), intact.tolist(), strict=True))


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
