"""Recall: the experts' memories as of the instant of a question, brought up to date when asked.

Events up to the newest question are counted; later ones wait until a question comes after them, so
that a clock that runs ahead somewhere costs nothing here. A question about the past counts anew
what had happened by then; the newest such count is kept, as one question seldom comes alone.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.arrivals import Events
from recency.data.histories import Histories, Ints
from recency.data.timelines import Timelines
from recency.nn.experts import ExpertConfig
from recency.nn.frozen import Arrays, FrozenMemories
from recency.nn.memories import Memories

_NOTICED = 512  # events that wait, from which on a question is late for counting them
_COUNTED_ANEW = 65_536  # events at once after which one sort is cheaper than one addition each
_Row = tuple[int, int, int]  # time in microseconds, user row, item row


@dataclass(frozen=True)
class FrozenRecall:
    """Hold memories as of one moment, while events move on.

    Attributes:
        until: Instant up to which events are counted, microseconds.
        source: What it is a copy of.
        memories: The copy.
    """

    until: int
    source: Memories
    memories: FrozenMemories

    def arrays(self, merged: FrozenMemories) -> dict[str, npt.NDArray[Any]]:
        """Give everything as arrays, for `Recall.restore`."""
        return {"until": np.array([self.until], np.int64), **merged.arrays()}


class Recall:
    """Give the experts' memories as of any instant.

    Args:
        config: Which experts.
        timelines: The events known; they grow before `take` is told of it.
    """

    def __init__(self, config: ExpertConfig, timelines: Timelines) -> None:
        self._config, self._timelines = config, timelines
        self._memories: Memories | None = None
        self._until = 0  # instant up to which events are counted
        self._waiting: list[_Row] = []
        self._past: tuple[tuple[int, int], Memories] | None = None  # (at, events known), count

    def at(self, at: int) -> Memories:
        """Give the memories of what is known of others at an instant (microseconds).

        These are all events strictly before it, or before its day where the log tells days alone.
        """
        at = self._config.known_until(at)
        if self._memories is None:
            self._memories, self._until = self._counted(at), at
            self._waiting = self._later(at)
        elif at < self._until:
            newest = self._timelines.newest
            if newest is None or newest >= at:
                return self._past_at(at)
        if at > self._until:
            due = sorted((row for row in self._waiting if row[0] < at), key=lambda row: row[0])
            if due:
                self._waiting = [row for row in self._waiting if row[0] >= at]
                self._add(due)
            self._until = at
        return self._memories

    @property
    def lags(self) -> bool:
        """Tell whether so much waits to be counted that a question would be late for it."""
        return len(self._waiting) >= _NOTICED

    def take(self, events: Events) -> None:
        """Count events that the timelines have just taken, in the order of their arrival."""
        if self._memories is None:
            return
        if np.count_nonzero(events.times < self._until) > _COUNTED_ANEW:
            self._memories = None
            return
        in_order: list[_Row] = []
        late: dict[int, list[_Row]] = defaultdict(list)
        columns = (events.times, events.users, events.items)
        for row in zip(*(column.tolist() for column in columns), strict=True):
            if row[0] >= self._until:
                self._waiting.append(row)
            elif row[1] in late or self._timelines.newest_of(row[1]) > row[0]:
                late[row[1]].append(row)
            else:
                in_order.append(row)
        self._add(in_order)
        for user, rows in late.items():
            self._insert(user, rows)

    def move(self, source: int, target: int, moved: Histories) -> None:
        """Count the events that the timelines have just given from one user to another.

        Args:
            source: User row.
            target: User row.
            moved: The events, as the history of one user.
        """
        self._past = None
        if self._memories is None:
            return
        theirs = [(time, target, item) for time, user, item in self._waiting if user == source]
        self._waiting = [row for row in self._waiting if row[1] != source] + theirs  # behind
        stop = int(np.searchsorted(moved.times, self._until))
        gone = list(zip(moved.times[:stop].tolist(), moved.items[:stop].tolist(), strict=True))
        if gone:
            self._memories.revise(target, *self._revised(target, gone), [])
            self._memories.revise(source, gone, [], [])

    def drop(self, user: int, gone: Histories, known: Histories) -> None:
        """Count as if a user had never been, of whom the timelines have just dropped all events.

        Args:
            user: Row.
            gone: The events, as the history of one user.
            known: All others.
        """
        self._past = None
        if self._memories is None:
            return
        self._waiting = [row for row in self._waiting if row[1] != user]
        if self._timelines.newest is not None and self._timelines.newest >= self._until:
            users: Ints = np.arange(known.n_users)
            known = known.cut(known.stops_before(users, np.full(len(users), self._until)))
        self._memories.drop(user, gone, known)

    def freeze(self) -> FrozenRecall | None:
        """Hand out the memories as they are; None where nobody has asked for them yet."""
        if self._memories is None:
            return None
        return FrozenRecall(self._until, self._memories, self._memories.freeze())

    def fold(self, frozen: FrozenRecall, merged: FrozenMemories) -> None:
        """Take over the pairs that were merged of an earlier copy."""
        if self._memories is frozen.source:
            frozen.source.fold(frozen.memories, merged)

    def know(self, timelines: Timelines) -> None:
        """Know other events from now on; they are counted when somebody asks."""
        self._timelines = timelines
        self._past = self._memories = None
        self._until, self._waiting = 0, []

    def restore(self, arrays: Arrays) -> None:
        """Count on from what `FrozenRecall.arrays` gave of the events known.

        Raises:
            KeyError: the counts are those of another configuration.
        """
        until = int(arrays["until"][0])
        self._memories = Memories.restored(self._config, arrays, self._before(until))
        self._until, self._waiting = until, self._later(until)

    def _add(self, rows: list[_Row]) -> None:
        assert self._memories is not None
        times, users, items = np.array(rows, np.int64).reshape(-1, 3).T
        self._memories.add(users, items, times)

    def _insert(self, user: int, rows: list[_Row]) -> None:
        """Count one user's late events: those after them now stand beside others."""
        assert self._memories is not None
        late = [(time, item) for time, _, item in rows]
        self._memories.revise(user, *self._revised(user, late), late)

    def _revised(
        self, user: int, fresh: list[tuple[int, int]]
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Give a user's events (time, item) without the fresh ones, and with them."""
        history = self._timelines.histories(np.array([user]))
        stop = int(np.searchsorted(history.times, self._until))
        now = list(zip(history.times[:stop].tolist(), history.items[:stop].tolist(), strict=True))
        before = now.copy()
        for one in reversed(fresh):
            del before[len(before) - 1 - before[::-1].index(one)]
        return before, now

    def _later(self, at: int) -> list[_Row]:
        """List the events known at or after an instant."""
        if self._timelines.newest is None or self._timelines.newest < at:
            return []
        histories = self._timelines.histories()
        later = np.flatnonzero(histories.times >= at)
        later = later[np.argsort(histories.times[later], kind="stable")]
        columns = (histories.times[later], histories.user_of[later], histories.items[later])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _past_at(self, at: int) -> Memories:
        asked = (at, self._timelines.n_events)
        if self._past is None or self._past[0] != asked:
            self._past = (asked, self._counted(at))
        return self._past[1]

    def _before(self, at: int) -> Histories:
        """Give all events strictly before an instant."""
        histories = self._timelines.histories()
        if self._timelines.newest is None or self._timelines.newest < at:
            return histories
        users: Ints = np.arange(histories.n_users)
        return histories.cut(histories.stops_before(users, np.full(len(users), at)))

    def _counted(self, at: int) -> Memories:
        histories = self._before(at)
        return Memories.of(self._config, histories.user_of, histories.items, histories.times)
