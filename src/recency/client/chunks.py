"""Chunks: any number of events as requests of some events each, every event with an id."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice

from recency.client.answers import Json
from recency.client.calls import Row, named


def chunks(events: Iterable[Row], size: int) -> Iterator[list[Json]]:
    """Cut events into parts of one request each, every event with an id."""
    source = iter(events)
    while part := [named(event) for event in islice(source, size)]:
        yield part


async def gathered(
    events: Iterable[Row] | AsyncIterable[Row], size: int
) -> AsyncIterator[list[Json]]:
    """Cut events into parts of one request each, those too that come one after another."""
    if isinstance(events, Iterable):
        for part in chunks(events, size):
            yield part
        return
    waiting: list[Json] = []
    async for event in events:
        waiting.append(named(event))
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
