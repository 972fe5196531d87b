"""A load generator at a fixed rate: requests are sent when they are due, whatever is still open.

Users do not wait for each other's answers. So a request's time counts from the instant at which it
was due: a server that stalls cannot slow down who measures it.
"""

import asyncio
import random
import time

from benchmarks.serving.closed_loop import answer, summary


def paced(
    port: int, rate: float, n_users: int, seconds: float, connections: int = 32
) -> dict[str, float]:
    """Ask for lists at a fixed rate; give their number, their times, and how many failed."""
    return asyncio.run(_run(port, rate, n_users, seconds, connections))


async def _run(
    port: int, rate: float, n_users: int, seconds: float, connections: int
) -> dict[str, float]:
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    clients = [asyncio.create_task(_client(port, due)) for _ in range(connections)]
    ways, started = random.Random(7), time.perf_counter()
    for n in range(int(rate * seconds)):
        at = started + n / rate
        if (left := at - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        path = f"/v1/users/u{ways.randrange(n_users)}/recommendations?k=10"
        due.put_nowait((at, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()))
    for _ in clients:
        due.put_nowait(None)
    return summary(await asyncio.gather(*clients), time.perf_counter() - started)


async def _client(
    port: int, due: "asyncio.Queue[tuple[float, bytes] | None]"
) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, errors = [], 0
    while (one := await due.get()) is not None:
        at, request = one
        writer.write(request)
        errors += not await answer(reader)
        times.append(time.perf_counter() - at)
    writer.close()
    return times, errors
