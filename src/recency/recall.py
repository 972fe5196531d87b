"""Recall: the experts' memories as of the instant of a question, brought up to date when asked.

Events up to the newest question are counted; later ones wait until a question comes after them, so
that a clock that runs ahead somewhere costs nothing here. A question about the past counts anew
what had happened by then; the newest such count is kept, as one question seldom comes alone.
"""

from collections import defaultdict

import numpy as np

from recency.data.histories import Ints
from recency.data.timelines import Events, Timelines
from recency.nn.experts import ExpertConfig
from recency.nn.memories import Memories

_COUNTED_ANEW = 65_536  # events at once after which one sort is cheaper than one addition each
_Row = tuple[int, int, int]  # time in microseconds, user row, item row


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
        """Give the memories of all events strictly before an instant (microseconds)."""
        if self._memories is None:
            self._memories, self._until = self._counted(at), at
            self._waiting = self._later(at)
        elif at < self._until:
            newest = self._timelines.newest
            if newest is None or newest >= at:
                return self._past_at(at)
        due = sorted((row for row in self._waiting if row[0] < at), key=lambda row: row[0])
        if due:
            self._waiting = [row for row in self._waiting if row[0] >= at]
            self._add(due)
        self._until = max(self._until, at)
        return self._memories

    def take(self, events: Events) -> None:
        """Count events that the timelines have just taken, in the order of their arrival."""
        if self._memories is None:
            return
        if len(events) > _COUNTED_ANEW:
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

    def _add(self, rows: list[_Row]) -> None:
        assert self._memories is not None
        times, users, items = np.array(rows, np.int64).reshape(-1, 3).T
        self._memories.add(users, items, times)

    def _insert(self, user: int, rows: list[_Row]) -> None:
        """Count one user's late events: those after them now stand beside others."""
        assert self._memories is not None
        history = self._timelines.histories(np.array([user]))
        stop = int(np.searchsorted(history.times, self._until))
        now = list(zip(history.times[:stop].tolist(), history.items[:stop].tolist(), strict=True))
        before = now.copy()
        for time, _, item in reversed(rows):
            place = len(before) - 1 - before[::-1].index((time, item))
            del before[place]
        self._memories.revise(user, before, now, [(time, item) for time, _, item in rows])

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

    def _counted(self, at: int) -> Memories:
        histories = self._timelines.histories()
        users: Ints = np.arange(histories.n_users)
        if self._timelines.newest is not None and self._timelines.newest >= at:
            histories = histories.cut(histories.stops_before(users, np.full(len(users), at)))
        return Memories.of(self._config, histories.user_of, histories.items, histories.times)
