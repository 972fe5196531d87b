"""Timelines: the histories of all users, growing with every event.

A fitted log lies in flat arrays (`Histories`); what came after it lies in one short tail a user. A
late event is put where its time belongs, so that the order of arrival never changes an answer; ties
keep the order of arrival. Many events at once are merged into the flat arrays in one sort.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import Histories, Ints, ragged_positions

# One merge is cheaper than an insertion each from so many events on, and from such a share of all.
_BULK = 1_024
_MERGED_SHARE = 64


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


class _Tail:
    """Hold one user's newest events in the order of time; if ``whole``, all of them."""

    _EVENT = np.dtype([("time", "i8"), ("item", "i8"), ("type", "i8"), ("value", "f4")])

    def __init__(self) -> None:
        self.whole = False
        self._cells = np.empty(4, self._EVENT)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def events(self) -> npt.NDArray[np.void]:
        """Give the events, oldest first."""
        return self._cells[: self._n]

    def insert(self, event: tuple[int, int, int, float]) -> int:
        """Put (time, item, type, value) behind all events of its time or earlier; say where."""
        if self._n == len(self._cells):
            self._cells = np.concatenate((self._cells, np.empty_like(self._cells)))
        place = self._n
        if place and event[0] < self._cells["time"][place - 1]:
            place = int(np.searchsorted(self.events["time"], event[0], side="right"))
            self._cells[place + 1 : self._n + 1] = self._cells[place : self._n].copy()
        self._cells[place] = event
        self._n += 1
        return place


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
        return len(tail) + (0 if tail.whole else self._flat_length(user))

    def newest_of(self, user: int) -> int:
        """Give the instant of a user's latest event in microseconds; the user must have one."""
        tail = self._tails.get(user)
        if tail is not None and len(tail):
            return int(tail.events["time"][-1])
        return int(self._base.times[self._base.offsets[user + 1] - 1])

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
        if len(events) >= max(_BULK, self._base.n_events // _MERGED_SHARE):
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
            tail, flat = self._thawed(user, tail), 0
        return tail.insert(event) + flat

    def _thawed(self, user: int, tail: _Tail) -> _Tail:
        """Move a user's flat events into the tail, so that a late one can go between them."""
        one = self._base.select(np.array([user]))
        batch = one.gather(one.offsets[:1], one.offsets[1:])
        whole = self._tails[user] = _Tail()
        whole.whole = True
        cells = (batch.times[0], batch.items[0], batch.types[0], batch.values[0])
        old = zip(*(cell.tolist() for cell in cells), strict=True)
        for event in (*old, *tail.events.tolist()):
            whole.insert(event)
        return whole

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
        tails = [self._tails.get(user, _NO_TAIL) for user in users.tolist()]
        counts = np.fromiter(map(len, tails), np.int64, len(tails))
        events = np.concatenate([tail.events for tail in tails])
        offsets = _offsets(flat.lengths + counts)
        old = ragged_positions(offsets[:-1], flat.lengths)
        new = ragged_positions(offsets[1:] - counts, counts)

        def joined(cells: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
            both = np.empty(int(offsets[-1]), dtype=cells.dtype)
            both[old], both[new] = cells, events[name]
            return both

        return Histories(
            offsets=offsets,
            items=joined(flat.items, "item"),
            times=joined(flat.times, "time"),
            types=None if flat.types is None else joined(flat.types, "type"),
            values=None if flat.values is None else joined(flat.values, "value"),
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


_NO_TAIL = _Tail()


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
