"""Rotation: what a user was shown a moment ago steps back, and comes forward again.

The chance of an item is multiplied by

    1 - rate * (1 - prod_j (1 - 2 ** (-age_j / half_life)))

over the times it was shown: just shown, ``1 - rate`` is left of it, and after each half-life the
loss of one showing is half as large. The names are those that shops know from Recombee, where
``rotationRate`` is the rate and ``rotationTime`` says how long an item takes to recover.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from recency.data.vocab import Id

_LEAST = 1e-9  # what is left at rate 1: the item comes last, and is not lost
_Shown = tuple[tuple[int, tuple[Id, ...]], ...]


class Impressions:
    """Remember what was shown to whom: the newest lists, within bounds, in memory.

    Models that serve side by side share one, and each may be told of the same list by the log. It
    is noted once, from whatever thread.

    Args:
        most: Items in all; beyond it, users who were shown nothing for the longest are forgotten.
        lists: Newest lists remembered of one user.
    """

    def __init__(self, most: int = 500_000, lists: int = 20) -> None:
        self._most, self._lists = most, lists
        self._shown: OrderedDict[Id, _Shown] = OrderedDict()
        self._n_items = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._n_items

    def count(self, user: Id) -> int:
        """Count the items that a user was shown, each time."""
        return sum(len(items) for _, items in self._shown.get(user, ()))

    def note(self, user: Id, items: Sequence[Id], at: int) -> None:
        """Remember a list that was shown.

        Args:
            user: To whom.
            items: What.
            at: When, microseconds.
        """
        one = (at, tuple(items))
        with self._lock:
            shown = self._shown.get(user, ())
            if not items or one in shown:
                return
            self._n_items -= self.count(user)
            self._shown[user] = (*shown, one)[-self._lists :]  # replaced: who reads it goes on
            self._n_items += self.count(user)
            self._shown.move_to_end(user)
            while self._n_items > self._most and len(self._shown) > 1:
                self.forget(next(iter(self._shown)))

    def forget(self, user: Id) -> None:
        """Forget what a user was shown."""
        with self._lock:
            self._n_items -= self.count(user)
            self._shown.pop(user, None)

    def merge(self, one: Id, into: Id) -> None:
        """Let a user have been shown what another was, who is forgotten."""
        for at, items in list(self._shown.get(one, ())):
            self.note(into, items, at)
        self.forget(one)

    def losses(self, user: Id, at: int, rate: float, half_life: float) -> dict[Id, float]:
        """Tell how much less likely each item shown to a user before an instant is to come again.

        Args:
            user: Who asks.
            at: Microseconds; what was shown at or after it does not count.
            rate: In (0, 1].
            half_life: Seconds.

        Returns:
            The natural logarithm, at most 0, of the factor on each item's chance.
        """
        fresh: dict[Id, float] = {}
        for then, items in self._shown.get(user, ()):
            if then < at:
                rest = 1 - 2 ** -((at - then) / 1e6 / half_life)
                for item in items:
                    fresh[item] = fresh.get(item, 1.0) * rest
        return {
            item: float(np.log(max(1 - rate * (1 - rest), _LEAST))) for item, rest in fresh.items()
        }
