"""Prequential scores: every event is predicted before it is known, and scored once it may be.

``moment`` is the instant of a question, that of the event it asks for. ``delay`` is how long after
it the answer is revealed: until then it counts in no score. Ranks and metrics are those of
`recency.ranking`, against the whole catalogue as `recency.evaluate` has it, with an item as a
candidate from its first event on: that event itself is missed.
"""

from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from recency.evaluation.slices import TIME_BINS, TIME_NAMES
from recency.ranking.metrics import accuracy_metrics
from recency.ranking.ranks import Floats, Ranks

NO_EVENT = "no event before"
BINS = (*TIME_NAMES, NO_EVENT)


@dataclass(frozen=True)
class Asked:
    """Hold one prediction.

    Attributes:
        moment: Instant of the question in microseconds.
        gap: Microseconds since the user's newest event before it, -1 without one.
        greater: Candidates with a higher score than the item that came.
        at_least: Candidates with its score or a higher one, itself included; 0 if it is missed.
        unseen: Whether the weights had no vector of the item.
    """

    moment: int
    gap: int
    greater: int
    at_least: int
    unseen: bool


@dataclass(frozen=True)
class Score:
    """Hold how good the newest predictions were.

    Attributes:
        n: Predictions.
        recall: Share whose item was in the list.
        ndcg: Mean of 1 / log2(1 + rank) of those.
        mrr: Mean of 1 / rank of those.
        unseen: Share of items that the weights had no vector of.
        by_gap: The same by the time since the user's newest event.
    """

    n: int
    recall: float
    ndcg: float
    mrr: float
    unseen: float
    by_gap: dict[str, "Score"]

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers as JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return plain | {"by_gap": {name: one.to_dict() for name, one in self.by_gap.items()}}


class Prequential:
    """Score predictions over a sliding window.

    Args:
        k: Length of the lists.
        window: Newest predictions that count.
        delay: Microseconds from a question to its answer.
    """

    def __init__(self, k: int = 10, window: int = 5_000, delay: int = 0) -> None:
        self.k, self.delay = k, delay
        self._waiting: deque[Asked] = deque()
        self._window: deque[Asked] = deque(maxlen=window)
        self.n_revealed = 0

    def ask(self, one: Asked) -> None:
        """Take a prediction; moments do not descend."""
        self._waiting.append(one)

    def reveal(self, now: int) -> Floats:
        """Count the predictions whose answer is known by an instant.

        Returns:
            [n, 2] of those that are new: NDCG, and 1 where the item was unseen.
        """
        new = []
        while self._waiting and self._waiting[0].moment + self.delay <= now:
            new.append(self._waiting.popleft())
        self._window.extend(new)
        self.n_revealed += len(new)
        gains = self._metrics(new)[f"ndcg@{self.k}"] if new else np.empty(0)
        return np.stack([gains, np.array([one.unseen for one in new], float)], axis=1)

    def score(self) -> Score:
        """Score the window."""
        asked = list(self._window)
        bins = np.array([_bin(one.gap) for one in asked], np.int64)
        parts = {
            name: [one for one, place in zip(asked, bins, strict=True) if place == n]
            for n, name in enumerate(BINS)
        }
        by_gap = {name: self._scored(part, {}) for name, part in parts.items() if part}
        return self._scored(asked, by_gap)

    def to_arrays(self) -> dict[str, Any]:
        """Give everything kept as two integer arrays [n, 5] and a count."""
        return {
            name: np.array(
                [[one.moment, one.gap, one.greater, one.at_least, one.unseen] for one in part],
                np.int64,
            ).reshape(-1, 5)
            for name, part in (("waiting", self._waiting), ("window", self._window))
        } | {"revealed": np.array([self.n_revealed])}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Go on from `to_arrays`."""
        for name, part in (("waiting", self._waiting), ("window", self._window)):
            part.clear()
            part.extend(
                Asked(moment, gap, greater, at_least, bool(unseen))
                for moment, gap, greater, at_least, unseen in arrays[name].tolist()
            )
        self.n_revealed = int(arrays["revealed"][0])

    def _scored(self, asked: list[Asked], by_gap: dict[str, Score]) -> Score:
        if not asked:
            nothing = float("nan")
            return Score(0, nothing, nothing, nothing, nothing, by_gap)
        found = self._metrics(asked)
        return Score(
            n=len(asked),
            recall=float(found[f"recall@{self.k}"].mean()),
            ndcg=float(found[f"ndcg@{self.k}"].mean()),
            mrr=float(found[f"mrr@{self.k}"].mean()),
            unseen=float(np.mean([one.unseen for one in asked])),
            by_gap=by_gap,
        )

    def _metrics(self, asked: list[Asked]) -> dict[str, Floats]:
        counts = np.array([(one.greater, one.at_least) for one in asked], np.int64)
        places = np.arange(len(asked))
        ranks = Ranks.from_counts(counts[:, 0], counts[:, 1], places, len(asked))
        return accuracy_metrics(ranks, self.k)


def _bin(gap: int) -> int:
    if gap < 0:
        return len(TIME_NAMES)
    return int(np.digitize(gap, TIME_BINS))
