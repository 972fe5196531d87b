"""Bench: versions that are kept in step with the log without answering anybody.

The one that served before sits here, so that going back costs nothing, and one on trial or beside
for comparison. Whoever leaves for good is let go of a little later, when nobody looks at it.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from recency.serving.models.live_scores import LiveScores
from recency.serving.models.seats import Seat

logger = logging.getLogger(__name__)


@dataclass
class Bench:
    """Hold seats that do not serve.

    Attributes:
        previous: Served before the champion.
        trial: Is judged beside the champion.
        asks: Whether the one on trial wants to take over.
        since: When the trial began (`time.monotonic`).
    """

    previous: Seat | None = None
    trial: Seat | None = None
    asks: bool = False
    since: float = 0.0
    _gone: list[Seat] = field(default_factory=list)  # since the last `let_go`
    _leaving: list[Seat] = field(default_factory=list)  # since the one before

    def find(self, version: str) -> Seat | None:
        """Find the seat of a version."""
        for seat in (self.trial, self.previous):
            if seat is not None and seat.model_version == version:
                return seat
        return None

    def try_out(self, seat: Seat, *, asks: bool) -> None:
        """Put a seat on trial in place of another."""
        if self.trial is not None and self.trial is not seat:
            self._gone.append(self.trial)
        self.previous = None if seat is self.previous else self.previous
        self.trial, self.asks, self.since = seat, asks, time.monotonic()

    def step_back(self, seat: Seat, for_whom: Seat) -> None:
        """Take the seat that served until now, in place of who served before it."""
        self.leave(for_whom, for_good=False)
        if self.previous is not None:
            self._gone.append(self.previous)
        self.previous = seat

    def leave(self, seat: Seat, *, for_good: bool = True) -> None:
        """Let a seat go: to serve, or for good."""
        self.trial = None if seat is self.trial else self.trial
        self.previous = None if seat is self.previous else self.previous
        if for_good:
            self._gone.append(seat)

    def catch_up(self, champion: LiveScores) -> None:
        """Bring all in step with the log, judged on the events that the champion was judged on."""
        for seat in (self.previous, self.trial):
            if seat is None:
                continue
            try:
                seat.catch_up(frozenset(champion.seqs))
            except Exception:
                version = seat.model_version
                logger.exception("version %s failed on the event log and is out", version)
                self.leave(seat)

    def let_go(self, serving: Iterable[Seat | None]) -> None:
        """Free the memory of those that left before the last call."""
        kept = [*serving, self.previous, self.trial]
        self._gone, leaving = [], self._gone
        for seat in self._leaving:
            if not any(seat is one for one in kept):
                seat.retire()
        self._leaving = leaving
