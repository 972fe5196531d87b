"""A load generator at a fixed rate: requests are sent when they are due, whatever is still open.

Users do not wait for each other's answers. So a request's time counts from the instant at which it
was due: a server that stalls cannot slow down who measures it. Where all connections wait for their
answers, what is due waits too, and its time goes on.
"""

import asyncio
import random
import time

from benchmarks.serving.closed_loop import answer, request, summary


def paced(
    port: int,
    kind: str,
    rate: float,
    n_users: int,
    n_items: int,
    seconds: float,
    connections: int = 32,
) -> dict[str, float]:
    """Send requests at a fixed rate; give their number, their times, and how many failed."""
    work = _run(port, kind, rate, n_users, n_items, seconds, connections)
    try:  # a slow generator would show in the times
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _run(
    port: int, kind: str, rate: float, n_users: int, n_items: int, seconds: float, connections: int
) -> dict[str, float]:
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    clients = [asyncio.create_task(_client(port, due)) for _ in range(connections)]
    ways = random.Random(7)
    requests = [request(kind, n_users, n_items, ways) for _ in range(4_096)]
    started = time.perf_counter()
    for n in range(int(rate * seconds)):
        at = started + n / rate
        if (left := at - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        due.put_nowait((at, requests[n % len(requests)]))
    for _ in clients:
        due.put_nowait(None)
    return summary(await asyncio.gather(*clients), time.perf_counter() - started)


async def _client(
    port: int, due: "asyncio.Queue[tuple[float, bytes] | None]"
) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, errors = [], 0
    while (one := await due.get()) is not None:
        at, sent = one
        writer.write(sent)
        errors += not await answer(reader)
        times.append(time.perf_counter() - at)
    writer.close()
    return times, errors
