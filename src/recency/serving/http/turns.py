"""Turns: who changes the same thing waits for the one before; who changes another does not."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager


class Turns:
    """Let one at a time have a thing. Of one event loop."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def of(self, things: Iterable[Hashable]) -> AsyncIterator[None]:
        """Wait until none of the things is taken, and take all of them until the end."""
        wanted = frozenset(things)
        while True:
            taken = next((self._taken[one] for one in wanted if one in self._taken), None)
            if taken is None:
                break
            await taken.wait()
        ended = asyncio.Event()
        self._taken.update(dict.fromkeys(wanted, ended))
        try:
            yield
        finally:
            for one in wanted:
                del self._taken[one]
            ended.set()
