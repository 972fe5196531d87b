"""Terms: what must have been seen before an answer is given, and how long it may take."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from recency.serving.engine import Engine
from recency.serving.http.problems import Problem

Result = TypeVar("Result")

TERM_FIELDS = ("min_seq", "timeout_ms", "explain")
_PATIENCE, _LONGEST = 1.0, 5.0  # seconds to wait for an entry of the log, and at most
_LOOK_AGAIN = 0.001


@dataclass(frozen=True, slots=True)
class Terms:
    """Say on which terms an answer is wanted.

    Attributes:
        min_seq: Entry of the log that the answer must have seen; 0 for none.
        timeout_ms: Milliseconds that it may take; 0 for as long as it takes.
        explain: Whether it should say why.
    """

    min_seq: int = 0
    timeout_ms: int = 0
    explain: bool = False


async def in_time(terms: Terms, answer: Awaitable[Result]) -> Result:
    """Wait for an answer no longer than wanted.

    Raises:
        Problem: 503, the time is over.
    """
    if not terms.timeout_ms:
        return await answer
    try:
        async with asyncio.timeout(terms.timeout_ms / 1000):
            return await answer
    except TimeoutError:
        raise Problem(
            503,
            "timeout",
            f"expected an answer within {terms.timeout_ms:,} ms, found none: the server is busy. "
            f"Ask again, or allow more with timeout_ms.",
            headers={"Retry-After": "1"},
        ) from None


async def seen(engine: Engine, terms: Terms) -> None:
    """Wait until an entry of the log is in effect.

    An acknowledged event is; so there is something to wait for only where the number comes from
    elsewhere.

    Raises:
        Problem: 503, it did not come in time.
    """
    if engine.as_of.seq >= terms.min_seq:
        return
    patience = min(terms.timeout_ms / 1000 if terms.timeout_ms else _PATIENCE, _LONGEST)
    try:
        async with asyncio.timeout(patience):
            while engine.as_of.seq < terms.min_seq:
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise Problem(
            503,
            "not-seen-yet",
            f"expected to have seen entry {terms.min_seq:,} of the log within {patience:g} s, "
            f"found {engine.as_of.seq:,}; ask again, or ask another server.",
            headers={"Retry-After": "1"},
        ) from None
