"""Timelines: the histories of all users, growing with every event.

A fitted log lies in flat arrays (`Histories`); what came after it lies in one short tail a user. A
late event is put where its time belongs, so that the order of arrival never changes an answer; ties
keep the order of arrival. Many events at once are merged into the flat arrays in one pass.

Beside the tails the same events lie in the order of their arrival (`Arrivals`), so that a snapshot
takes a view of them and folds the tails into the flat arrays in a thread of its own. Whoever
changes the flat arrays or a tail in another way has to start with `fold`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.arrivals import Arrivals, Events, inserted
from recency.data.histories import (
    PADDING,
    UNKNOWN,
    Batch,
    Histories,
    Ints,
    ragged_positions,
)
from recency.data.profiles import People
from recency.data.tails import Cell, Tail, cells_of, newest_batch

# One merge is cheaper than an insertion each from so many events on, and from such a share of all.
_BULK = 1_024
_MERGED_SHARE = 512


@dataclass(frozen=True)
class Frozen:
    """Hold all events as of one moment, while more arrive.

    Attributes:
        base: The flat arrays.
        arrived: What came after them.
    """

    base: Histories
    arrived: Events

    def histories(self) -> Histories:
        """Join the two; takes as long as copying all events, and may do so in any thread."""
        return inserted(self.base, self.arrived)[0]


class Timelines:
    """Keep what every user did, in the order of time, while events arrive.

    Event types and values are kept only if the fitted log has them: else no encoder reads them.
    """

    def __init__(self, base: Histories) -> None:
        self._base = base
        self._arrivals = Arrivals()  # since the base was made
        self._tails: dict[int, Tail] = {}
        self._newest = int(base.times.max()) if base.n_events else None
        self._n_events = base.n_events
        self.people: People | None = None  # whose profiles histories carry

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
        return self._flat_length(user) if tail is None else tail.flat + len(tail)

    def counts(self, users: Ints) -> Ints:
        """Count the events of each of some users, [n]."""
        return np.fromiter(map(self.count, users.tolist()), np.int64, len(users))

    def newest_of(self, user: int) -> int:
        """Give the instant of a user's latest event in microseconds; the user must have one."""
        tail = self._tails.get(user)
        if tail is not None and tail.newest is not None:
            return tail.newest
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
            self.fold()
            self._base, late = inserted(self._base, events)
            return late
        self._arrivals.add(events)
        return self._insert_all(events)

    def freeze(self) -> Frozen:
        """Take a copy that costs nothing and stays as it is while events arrive."""
        return Frozen(self._base, self._arrivals.events)

    def fold(self, frozen: Frozen | None = None, joint: Histories | None = None) -> None:
        """Move tails into the flat arrays.

        Args:
            frozen: An earlier copy; None folds everything now.
            joint: Its histories, joined elsewhere meanwhile. What came after it stays in tails. If
                the flat arrays were replaced since, nothing is done.
        """
        if frozen is None:
            frozen = self.freeze()
        elif self._base is not frozen.base:
            return
        if not len(frozen.arrived):
            return
        later = self._arrivals.events.since(len(frozen.arrived))
        self._base = frozen.histories() if joint is None else joint
        self._arrivals, self._tails = Arrivals(), {}
        self._arrivals.add(later)
        self._insert_all(later)

    def _insert_all(self, events: Events) -> dict[int, int]:
        """Insert events one by one; see `add`."""
        intact: dict[int, int] = {}
        columns = (events.times, events.items, events.types, events.values)
        cells = zip(*(column.tolist() for column in columns), strict=True)
        tails = self._tails
        for n, (user, cell) in enumerate(zip(events.users.tolist(), cells, strict=True)):
            tail = tails.get(user) or self._begun(user)
            if tail.newest is None or cell[0] >= tail.newest:
                tail.insert(cell)
                continue
            length = self.count(user) - int(np.count_nonzero(events.users[:n] == user))
            position = self._insert_late(user, tail, cell)
            if position < length:
                intact[user] = min(position, intact.get(user, position))
        return intact

    def drop(self, user: int) -> Histories:
        """Take all of one user's events away, and give them as the history of one user.

        Costs a pass over the arrivals, and over all events where the user has some in the flat
        arrays.
        """
        gone = self.histories(np.array([user]))
        if not gone.n_events:
            return gone
        stops = self._base.offsets[1:].copy()
        if self._flat_length(user):
            stops[user] = self._base.offsets[user]
            self._base = self._base.cut(stops)
        else:
            self._base = replace(self._base)  # another object: a copy that is being joined is old
        arrived = self._arrivals.events
        self._arrivals = Arrivals()
        self._arrivals.add(arrived.where(arrived.users != user))
        self._tails.pop(user, None)
        self._n_events -= gone.n_events
        if int(gone.times[-1]) == self._newest:
            self._newest = self._latest()
        return gone

    def move(self, source: int, target: int) -> tuple[Histories, dict[int, int]]:
        """Give all of one user's events to another, each behind those of its time or earlier.

        Returns:
            The events moved, as the history of one user, and how many of the target's oldest events
            are still the same where some came before others; see `add`.
        """
        moved, n_events = self.drop(source), self._n_events
        n = moved.n_events
        late = self.add(
            Events(
                users=np.full(n, target),
                items=moved.items.astype(np.int64),
                times=moved.times,
                types=np.full(n, UNKNOWN) if moved.types is None else moved.types.astype(np.int64),
                values=np.full(n, np.nan, np.float32) if moved.values is None else moved.values,
            )
        )
        assert self._n_events == n_events + n
        return moved, late

    def _latest(self) -> int | None:
        """Look for the latest instant of any event."""
        every = np.concatenate((self._base.times, self._arrivals.events.times))
        return int(every.max()) if len(every) else None

    def histories(self, users: Ints | None = None) -> Histories:
        """Gather the histories of some users, in the given order, or of all."""
        found = self.freeze().histories() if users is None else self._of(users)
        if self.people is None:
            return found
        rows = np.arange(found.n_users) if users is None else users
        return replace(found, profiles=self.people.of(rows))

    def _of(self, users: Ints) -> Histories:
        flat = self._flat(users)
        if not any(user in self._tails for user in users.tolist()):
            return flat
        return self._with_tails(flat, users)

    def newest_before(self, users: Ints, at: int, width: int) -> tuple[Ints, Ints, Ints]:
        """Gather users' newest events before an instant, without their whole histories.

        Args:
            users: [n] user rows.
            at: Microseconds.
            width: Most events a user.

        Returns:
            Items and times [n, width], newest first, `PADDING` and 0 where there is none; and the
            number [n] of all events before the instant.
        """
        items = np.full((len(users), width), PADDING, np.int64)
        times = np.zeros((len(users), width), np.int64)
        counts = np.zeros(len(users), np.int64)
        base = self._base
        for row, user in enumerate(users.tolist()):
            tail = self._tails.get(user)
            n_tail, place = 0, 0
            if tail is not None:
                cells, n_tail = tail.last(at, width)
                place = len(cells)
                if place:
                    times[row, :place], items[row, :place], *_ = zip(*cells, strict=True)
            n_flat = self._flat_length(user) if tail is None else tail.flat
            if n_flat:
                start = int(base.offsets[user])
                if n_tail == 0 and base.times[start + n_flat - 1] >= at:
                    n_flat = int(np.searchsorted(base.times[start : start + n_flat], at))
                left = min(n_flat, width - place)
                old = slice(start + n_flat - left, start + n_flat)
                items[row, place : place + left] = base.items[old][::-1]
                times[row, place : place + left] = base.times[old][::-1]
            counts[row] = n_flat + n_tail
        return items, times, counts

    def newest_events(self, users: Ints) -> Batch:
        """Gather the newest event of each of some users, who must have one: [n, 1]."""
        newest = [self._newest_two(user) for user in users.tolist()]
        profiles = None if self.people is None else self.people.of(users)
        return newest_batch(newest, self._base, profiles)

    def _newest_two(self, user: int) -> list[Cell]:
        """Give a user's newest event and the one before it, if there are any."""
        tail = self._tails.get(user)
        two = [] if tail is None else tail.newest_two()
        flat = self._flat_length(user) if tail is None else tail.flat
        if len(two) < 2 and flat:
            stop = int(self._base.offsets[user + 1])
            two += cells_of(self._base, max(stop - flat, stop - 2 + len(two)), stop)[::-1]
        return two

    def _flat_length(self, user: int) -> int:
        if user >= self._base.n_users:
            return 0
        return int(self._base.offsets[user + 1] - self._base.offsets[user])

    def _begun(self, user: int) -> Tail:
        """Give a user's tail, a new one where there is none."""
        if user not in self._tails:
            flat = self._flat_length(user)
            newest = int(self._base.times[self._base.offsets[user + 1] - 1]) if flat else None
            self._tails[user] = Tail(flat, newest)
        return self._tails[user]

    def _insert_late(self, user: int, tail: Tail, cell: Cell) -> int:
        """Insert an event that is older than the newest; give its position in the history."""
        if tail.flat and cell[0] < self._base.times[self._base.offsets[user + 1] - 1]:
            tail = self._thawed(user, tail)
        return tail.insert(cell)

    def _thawed(self, user: int, tail: Tail) -> Tail:
        """Move a user's flat events into the tail, so that a late one can go between them."""
        whole = self._tails[user] = Tail(whole=True)
        first, last = self._base.offsets[user : user + 2].tolist()
        old = cells_of(self._base, first, last)
        for cell in (*old, *tail.events.tolist()):
            whole.insert(cell)
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


_NO_TAIL = Tail()


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
