"""The book: all events known, indexed, so that a head counts those of a few users and items alone.

Some heads also note of each event what everybody's events before it make of it (`Head.notes`).
Notes are taken when they are first asked for, and kept; those of events that came since are added.
An event that comes late changes the notes of newer ones, which are then taken anew.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from recency.data.arrivals import Events
from recency.data.histories import UNKNOWN, Histories, Ints, ragged_positions
from recency.data.tallies import Doubles, Ledger
from recency.nn.basket_facts import Sales, Sold
from recency.nn.head import Head

_LOOKED_THROUGH = 4_096  # newest events that are looked through rather than indexed
Cells = TypeVar("Cells", bound=np.generic)


class Book:
    """Open ledgers of what is known of a few users and items.

    Events are counted by place: those of the flat arrays first, in their order, then those that
    arrived since.

    Args:
        base: The flat arrays; others want another book.
    """

    def __init__(self, base: Histories) -> None:
        self.base = base
        self._items, self._arrived_items, self._arrived_users = _Index(), _Index(), _Index()
        self._notes: dict[str, _Notes] = {}
        self._sold: Sold | None = None

    def sales(self, arrived: Events) -> Sales:
        """Count how items sell: those of the flat arrays once, and what arrived since."""
        if self._sold is None:
            self._sold = Sold.of(self.base.items.astype(np.int64), self.base.times)
        return Sales((self._sold, Sold.of(arrived.items.astype(np.int64), arrived.times)))

    def ledger(
        self, head: Head, arrived: Events, users: Ints, items: Ints, n_items: int
    ) -> tuple[Ledger, Ints]:
        """Open a ledger of the events of some users, and of those on some items.

        Args:
            head: Whose notes it holds, if the head takes any.
            arrived: Events that came after the flat arrays; those of earlier calls come first.
            users: [n] user rows; those below 0 have no events.
            items: [m] item rows; those below 0 have none either.
            n_items: Items known.

        Returns:
            The ledger, with user rows of its own, and the row [n] of each user in it, `UNKNOWN` for
            those without events.
        """
        notes = self._noted(head, arrived, n_items) if head.n_notes else None
        places, known, histories = self._histories(arrived, self._places(arrived, users, items))
        rows = np.where(np.isin(users, known), np.searchsorted(known, users), UNKNOWN)
        cells = None if notes is None else notes[places]
        return Ledger.of(histories, n_items, notes=cells), rows

    def _places(self, arrived: Events, users: Ints, items: Ints) -> Ints:
        """List the places of the events of some users, and of those on some items, ascending."""
        users, items = np.unique(users[users >= 0]), np.unique(items[items >= 0])
        flat = users[users < self.base.n_users]
        of_users = ragged_positions(self.base.offsets[flat], self.base.lengths[flat])
        of_items = self._items.places(self.base.items, items)
        late = (
            self._arrived_users.places(arrived.users, users),
            self._arrived_items.places(arrived.items, items),
        )
        later = self.base.n_events + np.concatenate(late)
        every = np.sort(np.concatenate((of_users, of_items, later)))  # faster than np.unique
        return every[np.diff(every, prepend=-1) > 0]

    def _histories(self, arrived: Events, places: Ints) -> tuple[Ints, Ints, Histories]:
        """Gather events: the place of each, the users in the order of rows, and the histories."""
        base = self.base
        start = int(np.searchsorted(places, base.n_events))
        old, new = places[:start], places[start:] - base.n_events
        owners = np.searchsorted(base.offsets, old, side="right") - 1
        users = np.concatenate((owners, arrived.users[new]))
        times = np.concatenate((base.times[old], arrived.times[new]))
        order = np.lexsort((times, users))  # stable: where times are equal, as they came
        known, lengths = np.unique(users, return_counts=True)

        def joined(cells: npt.NDArray[Cells], more: npt.NDArray[np.generic]) -> npt.NDArray[Cells]:
            return np.concatenate((cells[old], more[new].astype(cells.dtype)))[order]

        histories = Histories(
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            items=joined(base.items, arrived.items),
            times=times[order],
            types=None if base.types is None else joined(base.types, arrived.types),
            values=None if base.values is None else joined(base.values, arrived.values),
        )
        return places[order], known, histories

    def _noted(self, head: Head, arrived: Events, n_items: int) -> Doubles:
        """Give a head's notes of all events, by place."""
        kept = self._notes.setdefault(head.name, _Notes(head.n_notes))
        missing = kept.missing(self.base, arrived)
        if len(missing):
            n = self.base.n_events + len(arrived)
            few = len(missing) < n // 4
            places = self._beside(arrived, missing) if few else np.arange(n)
            places, _, histories = self._histories(arrived, places)
            ledger = Ledger.of(histories, n_items, notes=kept.cells[places])
            kept.cells[places] = head.notes(ledger)
        return kept.cells

    def _beside(self, arrived: Events, places: Ints) -> Ints:
        """List the places of all events of the users and on the items of some events."""
        base, start = self.base, int(np.searchsorted(places, self.base.n_events))
        old, new = places[:start], places[start:] - base.n_events
        owners = np.searchsorted(base.offsets, old, side="right") - 1
        users = np.concatenate((owners, arrived.users[new]))
        return self._places(arrived, users, np.concatenate((base.items[old], arrived.items[new])))


class _Index:
    """Find the places of keys in a column that grows at its end."""

    def __init__(self) -> None:
        self._order: Ints = np.empty(0, np.int64)
        self._sorted: npt.NDArray[np.integer] = np.empty(0, np.int64)

    def places(self, column: npt.NDArray[np.integer], keys: Ints) -> Ints:
        """Give the places in the column where any of the keys stands, in any order."""
        if len(column) - len(self._order) > _LOOKED_THROUGH + len(self._order) // 8:
            self._order = np.argsort(column, kind="stable")
            self._sorted = column[self._order]
        low = np.searchsorted(self._sorted, keys)
        lengths = np.searchsorted(self._sorted, keys, side="right") - low
        n = len(self._order)
        late = n + np.flatnonzero(np.isin(column[n:], keys))
        return np.concatenate((self._order[ragged_positions(low, lengths)], late))


class _Notes:
    """Keep what a head noted of each event.

    Args:
        width: Numbers noted of an event.
    """

    def __init__(self, width: int) -> None:
        self.cells: Doubles = np.empty((0, width))  # by place, with room for more; NaN: none yet
        self._n, self._newest = 0, 0

    def missing(self, base: Histories, arrived: Events) -> Ints:
        """Make room for all events, and list the places [m], ascending, that want notes."""
        n = base.n_events + len(arrived)
        if n == self._n:
            return np.empty(0, np.int64)
        if n > len(self.cells):
            more = np.full((n + n // 8 - len(self.cells), self.cells.shape[1]), np.nan)
            self.cells = np.concatenate((self.cells, more))
        times = arrived.times[max(0, self._n - base.n_events) :]
        found = np.arange(self._n, n)
        if self._n and times.min() < self._newest:
            every = np.concatenate((base.times, arrived.times))
            newer = np.flatnonzero(every[: self._n] > times.min())
            self.cells[newer] = np.nan
            found = np.concatenate((newer, found))
        first = 0 if self._n else int(base.times.max(initial=0))
        self._n, self._newest = n, max(self._newest, first, int(times.max(initial=0)))
        return found
