"""Life: a log lived through, so that each question finds the memories of what came before it."""

import copy

from recency.data.histories import Ints
from recency.nn.experts import ExpertConfig
from recency.nn.memories import Memories, Rows


class Life:
    """Live through a log: memories as each question finds them, asked in the order of time.

    Args:
        config: Which experts.
        users: [n] user rows of the events, in the order of time.
        items: [n] item rows.
        times: [n] microseconds.
    """

    def __init__(self, config: ExpertConfig, users: Ints, items: Rows, times: Ints) -> None:
        self._config = config
        self._users, self._items, self._times = users, items, times
        self._memories: Memories | None = None
        self._done = 0

    def until(self, stop: int) -> Memories:
        """Give the memories of the events before a place in the log, none smaller than the last."""
        part = slice(self._done, stop)
        events = (self._users[part], self._items[part], self._times[part])
        if self._memories is None:
            self._memories = Memories.of(self._config, *events)
        else:
            self._memories.add(*events)
        self._done = max(stop, self._done)
        return self._memories

    def copy(self) -> "Life":
        """Make a life that goes on on its own from here."""
        twin = Life(self._config, self._users, self._items, self._times)
        twin._memories, twin._done = copy.deepcopy(self._memories), self._done
        return twin
