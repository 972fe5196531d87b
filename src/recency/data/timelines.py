"""Timelines: the histories of all users, growing with every event.

A fitted log lies in flat arrays (`Histories`); what came after it lies in one short tail a user. A
late event is put where its time belongs, so that the order of arrival never changes an answer; ties
keep the order of arrival. Many events at once are merged into the flat arrays in one sort.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories, Ints, ragged_positions

_BULK = 1_024  # from so many events on, one merge is cheaper than an insertion each
_TIME = itemgetter(0)


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


@dataclass
class _Tail:
    """Hold one user's newest events (time, item, type, value); if ``whole``, all of them."""

    events: list[tuple[int, int, int, float]] = field(default_factory=list)
    whole: bool = False


class Timelines:
    """Keep what every user did, in the order of time, while events arrive.

    Event types and values are kept only if the fitted log has them: else no encoder reads them.
    """

    def __init__(self, base: Histories) -> None:
        self._base = base
        self._tails: dict[int, _Tail] = {}
        self._newest = int(base.times.max()) if base.n_events else None
        self._n_events = base.n_events

    @property
    def n_events(self) -> int:
        """Count all events."""
        return self._n_events

    @property
    def newest(self) -> int | None:
        """Give the latest instant of any event in microseconds, None without events."""
        return self._newest

    def count(self, user: int) -> int:
        """Count one user's events."""
        tail = self._tails.get(user)
        if tail is None:
            return self._flat_length(user)
        return len(tail.events) + (0 if tail.whole else self._flat_length(user))

    def add(self, events: Events) -> dict[int, int]:
        """Add events; each is put where its time belongs in its user's history.

        Returns:
            For each user who got a late event, how many of the user's oldest events are still the
            same: a state that saw more than these has to be computed anew.
        """
        if not len(events):
            return {}
        newest = int(events.times.max())
        self._newest = newest if self._newest is None else max(newest, self._newest)
        self._n_events += len(events)
        if len(events) >= _BULK:
            return self._merge(events)
        lengths: dict[int, int] = {}
        intact: dict[int, int] = {}
        columns = (events.users, events.times, events.items, events.types, events.values)
        for user, *event in zip(*(column.tolist() for column in columns), strict=True):
            length = lengths.setdefault(user, self.count(user))
            position = self._insert(user, (event[0], event[1], event[2], event[3]))
            if position < length:
                intact[user] = min(position, intact.get(user, position))
        return intact

    def histories(self, users: Ints | None = None) -> Histories:
        """Gather the histories of some users, in the given order, or of all."""
        if users is None:
            n_users = max(self._base.n_users, 1 + max(self._tails, default=-1))
            if not self._tails:
                return self._base
            users = np.arange(n_users)
        flat = self._flat(users)
        if not any(user in self._tails for user in users.tolist()):
            return flat
        return self._with_tails(flat, users)

    def _flat_length(self, user: int) -> int:
        if user >= self._base.n_users:
            return 0
        return int(self._base.offsets[user + 1] - self._base.offsets[user])

    def _insert(self, user: int, event: tuple[int, int, int, float]) -> int:
        """Insert one event and give its position in the user's history."""
        tail = self._tails.setdefault(user, _Tail())
        flat = 0 if tail.whole else self._flat_length(user)
        if flat and event[0] < self._base.times[self._base.offsets[user] + flat - 1]:
            tail.events = self._events_of(user) + tail.events
            tail.whole, flat = True, 0
        position = bisect_right(tail.events, event[0], key=_TIME)
        tail.events.insert(position, event)
        return position + flat

    def _events_of(self, user: int) -> list[tuple[int, int, int, float]]:
        """Copy a user's flat events, so that a late one can go between them."""
        one = self._base.select(np.array([user]))
        batch = one.gather(one.offsets[:1], one.offsets[1:])
        cells = (batch.times[0], batch.items[0], batch.types[0], batch.values[0])
        return list(zip(*(cell.tolist() for cell in cells), strict=True))

    def _flat(self, users: Ints) -> Histories:
        """Select users from the flat arrays; those whose tail is whole have no events there."""
        lengths = np.fromiter(
            (0 if self._is_whole(user) else self._flat_length(user) for user in users.tolist()),
            np.int64,
            len(users),
        )
        base = self._base
        starts = base.offsets[np.minimum(users, base.n_users)]
        at = ragged_positions(starts, lengths)
        return Histories(
            offsets=_offsets(lengths),
            items=base.items[at],
            times=base.times[at],
            types=None if base.types is None else base.types[at],
            values=None if base.values is None else base.values[at],
        )

    def _is_whole(self, user: int) -> bool:
        tail = self._tails.get(user)
        return tail is not None and tail.whole

    def _with_tails(self, flat: Histories, users: Ints) -> Histories:
        """Put each user's tail behind its flat events."""
        tails = [tail.events if (tail := self._tails.get(user)) else [] for user in users.tolist()]
        counts = np.fromiter(map(len, tails), np.int64, len(tails))
        events = [event for tail in tails for event in tail]
        times, items, types, values = (list(column) for column in zip(*events, strict=True))
        offsets = _offsets(flat.lengths + counts)
        old = ragged_positions(offsets[:-1], flat.lengths)
        new = ragged_positions(offsets[1:] - counts, counts)

        def joined(old_cells: npt.NDArray[Any], new_cells: list[Any]) -> npt.NDArray[Any]:
            cells = np.empty(int(offsets[-1]), dtype=old_cells.dtype)
            cells[old], cells[new] = old_cells, new_cells
            return cells

        return Histories(
            offsets=offsets,
            items=joined(flat.items, items),
            times=joined(flat.times, times),
            types=None if flat.types is None else joined(flat.types, types),
            values=None if flat.values is None else joined(flat.values, values),
        )

    def _merge(self, events: Events) -> dict[int, int]:
        """Merge many events into the flat arrays with one stable sort."""
        old = self.histories()
        n_users = max(old.n_users, int(events.users.max()) + 1)
        lengths = np.zeros(n_users, np.int64)
        lengths[: old.n_users] = old.lengths
        users = np.concatenate([old.user_of, events.users])
        times = np.concatenate([old.times, events.times])
        order = np.lexsort((times, users))  # stable: old events before new ones at equal times
        self._base = Histories(
            offsets=_offsets(np.bincount(users, minlength=n_users)),
            items=np.concatenate([old.items, events.items.astype(np.int32)])[order],
            times=times[order],
            types=None
            if old.types is None
            else np.concatenate([old.types, events.types.astype(np.int16)])[order],
            values=None
            if old.values is None
            else np.concatenate([old.values, events.values])[order],
        )
        self._tails = {}
        fresh = np.flatnonzero(order >= old.n_events)  # where the new events went
        owners = users[order][fresh]
        places = fresh - self._base.offsets[owners]
        late = places < lengths[owners]
        # A user's first late place counts; later ones see the shift of the first.
        firsts = dict(zip(owners[late][::-1].tolist(), places[late][::-1].tolist(), strict=True))
        return firsts


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
