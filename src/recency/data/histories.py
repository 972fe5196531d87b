"""Histories: the events of every user, oldest first, as flat arrays with offsets.

Nothing is padded at rest and no event is a Python object. ``arrays[offsets[u]:offsets[u + 1]]`` are
the events of user row ``u``; a batch is one vectorised gather of such slices, padded on the right.
Since encoders are causal, padding on the right can never reach a real event.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import DataError

PADDING = -2  # item row of a cell that holds no event
UNKNOWN = -1  # item row of an event whose item the vocabulary lacks
NO_GAP = -1.0  # gap of a user's first event
BLOCK = 2**21  # events looked at together where all have to be
_FEW = 16  # questions up to which one search each is faster than all at once

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Cell = TypeVar("Cell", bound=np.generic)


@dataclass(frozen=True)
class Batch:
    """Hold B histories of at most L events, padded on the right; all arrays but one are [B, L].

    Attributes:
        items: Item rows; `UNKNOWN` or `PADDING` where there is none.
        times: Microseconds since 1970 UTC; 0 at padding.
        gaps: Seconds since the user's previous event; `NO_GAP` at a first event and at padding.
        types: Event-type rows; `UNKNOWN` where there is none.
        values: The event's value; NaN where there is none.
        lengths: [B] number of real events.
        profiles: [B, n_attributes] codes of the user; None where no profiles are read.
    """

    items: Ints
    times: Ints
    gaps: Floats
    types: Ints
    values: Floats
    lengths: Ints
    profiles: Ints | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def part(self, rows: Ints, column: int) -> "Batch":
        """Keep one event of some histories: [n, 1]."""
        return Batch(
            items=self.items[rows, column, None],
            times=self.times[rows, column, None],
            gaps=self.gaps[rows, column, None],
            types=self.types[rows, column, None],
            values=self.values[rows, column, None],
            lengths=np.ones(len(rows), np.int64),
            profiles=None if self.profiles is None else self.profiles[rows],
        )


@dataclass(frozen=True)
class Older:
    """Hold n events from before histories begin, whoever did them.

    Attributes:
        items: [n] item rows, `UNKNOWN` for items outside the vocabulary.
        times: [n] microseconds since 1970 UTC.
    """

    items: npt.NDArray[np.int32]
    times: Ints


@dataclass(frozen=True)
class Histories:
    """Hold the events of ``n_users`` users, each user's oldest first.

    Attributes:
        offsets: [n_users + 1] start of each user's slice.
        items: [n_events] item rows, `UNKNOWN` for items outside the vocabulary.
        times: [n_events] microseconds since 1970 UTC, ascending within a user.
        types: [n_events] event-type rows, or None where the log has no types.
        values: [n_events] values, NaN where missing, or None where the log has none.
        profiles: [n_users, n_attributes] codes of `recency.data.profiles`, or None.
        older: What came before, where these are the newest events of a longer log: nobody reads it,
            but what the crowd does is counted on from it. None where nothing was left out.
    """

    offsets: Ints
    items: npt.NDArray[np.int32]
    times: Ints
    types: npt.NDArray[np.int16] | None = None
    values: Floats | None = None
    profiles: Ints | None = None
    older: Older | None = None

    @classmethod
    def build(cls, log: Log, users: Vocab, items: Vocab, types: Vocab | None = None) -> "Histories":
        """Group a log's events by user, keeping the log's order within each user.

        Args:
            log: Events sorted by time.
            users: Must know every user of the log.
            items: Items outside it become `UNKNOWN`.
            types: Event types by row; None leaves event types out.

        Raises:
            DataError: a user of the log is not in ``users``.
        """
        rows = users.rows(log.events["user_id"])
        if (rows < 0).any():
            strangers = log.events["user_id"].filter(rows < 0).unique(maintain_order=True)
            raise DataError(
                f"{len(strangers):,} users of the log are not in the vocabulary, "
                f"such as {strangers.head(3).to_list()}; extend it first."
            )
        order = stable_order(rows)
        counts = np.bincount(rows, minlength=len(users))
        kinds = values = None
        if types is not None and log.has("event_type"):
            kinds = types.rows(log.events["event_type"]).astype(np.int16)[order]
        if log.has("value"):
            column = log.events["value"].fill_null(float("nan"))
            values = column.to_numpy().astype(np.float32)[order]
        return cls(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items=items.rows(log.events["item_id"]).astype(np.int32)[order],
            times=log.times[order],
            types=kinds,
            values=values,
        )

    @property
    def n_users(self) -> int:
        """Count the users, those without events included."""
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Count the events."""
        return len(self.items)

    @cached_property
    def lengths(self) -> Ints:
        """Give the number of events of each user, [n_users]."""
        return np.diff(self.offsets)

    @cached_property
    def user_of(self) -> Ints:
        """Give the user row of each event, [n_events]."""
        return np.repeat(np.arange(self.n_users), self.lengths)

    @cached_property
    def gaps(self) -> Floats:
        """Measure the seconds since the same user's previous event, [n_events].

        The subtraction is in int64; only the difference becomes float32. `NO_GAP` at first events.
        """
        gaps = np.full(self.n_events, NO_GAP, dtype=np.float32)
        if self.n_events:
            gaps[1:] = np.diff(self.times) / 1e6
            gaps[self.offsets[:-1][self.lengths > 0]] = NO_GAP
        return gaps

    @cached_property
    def group_start(self) -> Ints:
        """Give, for each event, the position of the first event of its user at its instant.

        Events of one user at one instant have no known order: each of them is to be predicted from
        the state before the group, else the group's first events give the others away.
        """
        positions = np.arange(self.n_events)
        return np.maximum.accumulate(np.where(self.gaps != 0.0, positions, 0))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Part the users into ranges ``[first, last)`` of at most `BLOCK` events, or of one user.

        What has to look at every event goes through them, and needs memory for one block only.
        """
        first = 0
        while first < self.n_users:
            reach = int(self.offsets[first]) + BLOCK
            last = int(np.searchsorted(self.offsets, reach, side="right")) - 1
            last = max(first + 1, last)
            yield first, last
            first = last

    def stops_before(self, users: Ints, at: Ints) -> Ints:
        """Find where the events strictly before an instant end, one question a row.

        Args:
            users: [n] user rows.
            at: [n] instants in microseconds.

        Returns:
            [n] absolute positions: user ``u``'s events before ``at`` are ``[offsets[u], stop)``.
        """
        if len(users) <= _FEW:
            bounds = (self.offsets[users].tolist(), self.offsets[users + 1].tolist(), at.tolist())
            return np.array(
                [
                    start + int(np.searchsorted(self.times[start:stop], instant))
                    for start, stop, instant in zip(*bounds, strict=True)
                ],
                np.int64,
            )
        low, high = self.offsets[users].copy(), self.offsets[users + 1].copy()
        while (open_ := low < high).any():  # binary search in all slices at once
            middle = (low + high) // 2
            earlier = open_ & (self.times[np.minimum(middle, self.n_events - 1)] < at)
            low = np.where(earlier, middle + 1, low)
            high = np.where(open_ & ~earlier, middle, high)
        return low

    def select(self, users: Ints) -> "Histories":
        """Keep the given users, in the given order."""
        lengths = self.lengths[users]
        known = None if self.profiles is None else self.profiles[users]
        found = self._at(ragged_positions(self.offsets[users], lengths), lengths)
        return replace(found, profiles=known)

    def cut(self, stops: Ints) -> "Histories":
        """Keep each user's events before an absolute position, as from `stops_before`."""
        if np.array_equal(stops, self.offsets[1:]):
            return self
        lengths = stops - self.offsets[:-1]
        return self._at(ragged_positions(self.offsets[:-1], lengths), lengths)

    def before(self, instant: int) -> "Histories":
        """Keep the events strictly before an instant, in microseconds."""
        return self._where(self.times < instant)

    def since(self, instant: int) -> "Histories":
        """Keep the events at or after an instant, in microseconds."""
        return self._where(self.times >= instant)

    def gather(self, starts: Ints, stops: Ints, width: int | None = None) -> Batch:
        """Gather slices of the flat arrays into one batch, padded on the right.

        Gaps are the true ones: the first event of a slice that starts inside a history keeps its
        gap to the event before it.

        Args:
            starts: [B] first positions.
            stops: [B] positions after the last.
            width: Columns; None takes as many as the longest slice has events.
        """
        lengths = stops - starts
        width = int(lengths.max(initial=0)) if width is None else width
        columns = np.arange(width)
        real = columns[None, :] < lengths[:, None]
        at = np.where(real, starts[:, None] + columns[None, :], 0)

        def cells(values: npt.NDArray[Cell], empty: float) -> npt.NDArray[Cell]:
            if not len(values):
                return np.full(real.shape, empty, dtype=values.dtype)
            return np.where(real, values[at], np.asarray(empty, dtype=values.dtype))

        times = cells(self.times, 0)
        nothing = np.full(real.shape, UNKNOWN, dtype=np.int64)
        return Batch(
            items=cells(self.items, PADDING).astype(np.int64),
            times=times,
            gaps=self._gaps_of(times, starts, real),
            types=nothing if self.types is None else cells(self.types, UNKNOWN).astype(np.int64),
            values=np.full(real.shape, np.nan, dtype=np.float32)
            if self.values is None
            else cells(self.values, np.nan),
            lengths=lengths.astype(np.int64),
            profiles=self._profiles_at(starts),
        )

    def _profiles_at(self, starts: Ints) -> Ints | None:
        if self.profiles is None:
            return None
        users = np.searchsorted(self.offsets, starts, side="right") - 1
        return self.profiles[np.clip(users, 0, max(0, self.n_users - 1))]

    def _gaps_of(self, times: Ints, starts: Ints, real: npt.NDArray[np.bool_]) -> Floats:
        """Measure the gaps [B, L] of slices from their times: as `gaps`, but only where asked."""
        gaps = np.full(times.shape, NO_GAP, dtype=np.float32)
        if not times.size or not self.n_events:
            return gaps
        gaps[:, 1:] = np.diff(times, axis=1) / 1e6
        inside = self.offsets[np.searchsorted(self.offsets, starts)] != starts
        heads = starts[inside]
        gaps[inside, 0] = (self.times[heads] - self.times[heads - 1]) / 1e6
        gaps[~real] = NO_GAP
        return gaps

    def _where(self, kept: npt.NDArray[np.bool_]) -> "Histories":
        lengths = np.bincount(self.user_of[kept], minlength=self.n_users)
        return self if kept.all() else self._at(np.flatnonzero(kept), lengths)

    def _at(self, positions: Ints, lengths: Ints) -> "Histories":
        return Histories(
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            items=self.items[positions],
            times=self.times[positions],
            types=None if self.types is None else self.types[positions],
            values=None if self.values is None else self.values[positions],
            profiles=self.profiles,
        )

    @property
    def nbytes(self) -> int:
        """Count the bytes of its own arrays at rest."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def stable_order(rows: Ints) -> Ints:
    """Give the order that sorts rows, equal ones as they came: ``argsort(rows, kind="stable")``.

    Row and place are packed into one integer of 64 bits, whose plain sort is faster than a
    stable one.

    Args:
        rows: [n] not negative.
    """
    bits = len(rows).bit_length()
    keys: Ints = rows.astype(np.int64) << bits
    keys |= np.arange(len(rows))
    keys.sort()
    keys &= (1 << bits) - 1
    return keys


def ragged_positions(starts: Ints, lengths: Ints) -> Ints:
    """List the positions of many slices one after the other, without a loop.

    Args:
        starts: [n] first position of each slice.
        lengths: [n] length of each slice.

    Returns:
        [sum of lengths] ``starts[0], starts[0] + 1, …, starts[1], …``.
    """
    ends = np.cumsum(lengths)
    shifts: Ints = np.repeat(starts - (ends - lengths), lengths)
    return shifts + np.arange(len(shifts))
