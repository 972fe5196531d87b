"""Retries: when a call that failed is sent again. Only where that cannot do a thing twice."""

import random
from dataclasses import dataclass

_AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Choose how long to go on.

    The waits grow twofold, each somewhere between its half and its whole so that many clients do
    not come back together, and never below what the service asks for in ``Retry-After``.

    Attributes:
        attempts: Times that a call is sent at most.
        first_seconds: The first wait.
        longest_seconds: No wait is longer, unless the service asks for it.
        total_seconds: No new attempt begins later than this after the first.
    """

    attempts: int = 6
    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    total_seconds: float = 30.0

    def wait(self, attempt: int, spent: float, asked: str | None = None) -> float | None:
        """Give the seconds until the next attempt; None where there is none.

        Args:
            attempt: How many were made.
            spent: Seconds since the first began.
            asked: ``Retry-After`` of the last answer.
        """
        if attempt >= self.attempts:
            return None
        pause = min(self.longest_seconds, self.first_seconds * 2 ** (attempt - 1))
        pause *= random.uniform(0.5, 1.0)
        pause = max(pause, _seconds(asked))
        return pause if spent + pause <= self.total_seconds else None


def may_pass_later(status: int) -> bool:
    """Tell whether an answer says that the same call may pass later."""
    return status in _AGAIN


def _seconds(asked: str | None) -> float:
    """Read ``Retry-After``; its other form, a date, is left aside."""
    return float(asked) if asked is not None and asked.strip().isdecimal() else 0.0
