"""A load generator for machines without wrk: connections that ask again when they are answered."""

import asyncio
import json
import random
import time
from collections.abc import Sequence


def closed_loop(
    port: int, kind: str, connections: int, n_users: int, n_items: int, seconds: float
) -> dict[str, float]:
    """Send requests for a while; give their number, their times and how many failed."""
    return asyncio.run(_run(port, kind, connections, n_users, n_items, seconds))


async def _run(
    port: int, kind: str, connections: int, n_users: int, n_items: int, seconds: float
) -> dict[str, float]:
    ways = random.Random(7)
    requests = [request(kind, n_users, n_items, ways) for _ in range(256)]
    started = time.perf_counter()
    clients = [_client(port, requests, n, started + seconds) for n in range(connections)]
    return summary(await asyncio.gather(*clients), time.perf_counter() - started)


def summary(done: Sequence[tuple[list[float], int]], seconds: float) -> dict[str, float]:
    """Sum up the times of requests and the errors of several clients."""
    times = sorted(one for times, _ in done for one in times)
    return {
        "requests": len(times),
        "seconds": seconds,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[len(times) * 99 // 100],
        "errors": sum(errors for _, errors in done),
    }


async def answer(reader: asyncio.StreamReader) -> bool:
    """Read one answer to its end; say whether it was 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(next(lengths).split(b":")[1]))
    return head.startswith(b"HTTP/1.1 200")


async def _client(
    port: int, requests: list[bytes], first: int, end: float
) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, errors, n = [], 0, first
    while (started := time.perf_counter()) < end:
        writer.write(requests[n % len(requests)])
        errors += not await answer(reader)
        times.append(time.perf_counter() - started)
        n += 1
    writer.close()
    return times, errors


def request(kind: str, n_users: int, n_items: int, ways: random.Random) -> bytes:
    """Write a request of some kind: recommend, single or batch."""

    def event() -> dict[str, str]:
        return {
            "user_id": f"u{ways.randrange(n_users)}",
            "item_id": f"i{ways.randrange(n_items)}",
        }

    if kind == "recommend":
        path = f"/v1/users/u{ways.randrange(n_users)}/recommendations?k=10"
        return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    body = json.dumps(event() if kind == "single" else [event() for _ in range(256)]).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
