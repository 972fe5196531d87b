"""Live scores: how well a model foresees the events that come, each judged before it is applied.

This costs no click and no experiment: the event that is about to be shown to the model says which
item its user took, and the model is asked just before. An event is judged only where it is newer
than everything the model knows, so that no model is judged on what it has seen.

Several models are compared on the same events (`compare`), by the mean of their differences.
"""

import math
import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass

from recency.serving.log.events import Event
from recency.serving.questions import LiveRecommender

K = 10


@dataclass(frozen=True)
class Score:
    """Tell how well the newest events judged were foreseen.

    Attributes:
        n: Events judged.
        ndcg: Mean NDCG@10, in [0, 1]; None without events.
        hit_rate: Share of events whose item was among the ten, in [0, 1]; None without events.
    """

    n: int
    ndcg: float | None
    hit_rate: float | None


@dataclass(frozen=True)
class Comparison:
    """Compare two models on the same events.

    Attributes:
        n: Events that both were judged on.
        ndcg: Mean NDCG@10 of the one.
        other: The same of the other.
        low: Lower end of the interval (95 %) of the mean difference.
        high: Its upper end.
    """

    n: int
    ndcg: float
    other: float
    low: float
    high: float


class LiveScores:
    """Keep what one model was worth on the newest events judged.

    Args:
        window: Events kept.

    Attributes:
        seconds: Time that the judging has taken.
    """

    def __init__(self, window: int = 1000) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._gains: deque[tuple[int, float]] = deque(maxlen=window)  # (seq, NDCG@10)

    def judge(self, recommender: LiveRecommender, seq: int, event: Event) -> None:
        """Rank an event's item for its user just before it happens."""
        started = time.perf_counter()
        k = min(K, len(recommender.items))
        (listed,) = recommender.recommend([event.user_id], k, at=event.time).items
        gain = 1 / math.log2(2 + listed.index(event.item_id)) if event.item_id in listed else 0.0
        with self._lock:
            self._gains.append((seq, gain))
        self.seconds += time.perf_counter() - started

    def add(self, other: "LiveScores") -> None:
        """Take in what a copy of the same weights was worth on events not judged here."""
        with self._lock:
            both = dict(other._copied()) | dict(self._gains)
            self._gains = deque(sorted(both.items()), self._gains.maxlen)

    @property
    def seqs(self) -> list[int]:
        """List the events judged by their places in the log, the oldest first."""
        return [seq for seq, _ in self._copied()]

    @property
    def score(self) -> Score:
        """Sum up."""
        gains = [gain for _, gain in self._copied()]
        if not gains:
            return Score(0, None, None)
        hits = sum(gain > 0 for gain in gains)
        return Score(len(gains), statistics.fmean(gains), hits / len(gains))

    def compare(self, other: "LiveScores") -> Comparison:
        """Compare with another model on the events that both were judged on."""
        theirs = dict(other._copied())
        pairs = [(gain, theirs[seq]) for seq, gain in self._copied() if seq in theirs]
        if not pairs:
            return Comparison(0, 0.0, 0.0, -math.inf, math.inf)
        differences = [one - two for one, two in pairs]
        mean, spread = statistics.fmean(differences), math.inf
        if len(pairs) > 1:
            spread = 1.96 * statistics.stdev(differences) / math.sqrt(len(pairs))
        ours, others = zip(*pairs, strict=True)
        return Comparison(
            len(pairs),
            statistics.fmean(ours),
            statistics.fmean(others),
            mean - spread,
            mean + spread,
        )

    def _copied(self) -> list[tuple[int, float]]:
        """Copy what may grow in another thread meanwhile."""
        with self._lock:
            return list(self._gains)
