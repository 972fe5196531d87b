"""Joined: a head waits for its body, and is sent without one soon, in the order written."""

import asyncio
from typing import Any, cast

import pytest

from recency.serving import joined as module
from recency.serving.joined import Joined

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorded:
    """Stand for a transport."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return f"of {name}"


async def joined() -> tuple[Any, Recorded]:
    recorded = Recorded()
    return Joined(cast(Any, recorded), asyncio.get_running_loop()), recorded


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_head_and_body_are_one_piece() -> None:
    async def run() -> None:
        one, recorded = await joined()
        for _ in range(2):  # answers of one turn
            one.write(HEAD)
            one.write(b"{}")
        await turn()
        assert recorded.sent == [HEAD + b"{}"] * 2
        assert one.get_extra_info("peername") == "of peername"

    asyncio.run(run())


def test_a_head_alone_is_sent_at_the_end_of_the_turn_or_at_a_close() -> None:
    async def run() -> None:
        one, recorded = await joined()
        one.write(HEAD)
        assert recorded.sent == []
        await turn()
        assert recorded.sent == [HEAD]
        one.write(b"{}")
        one.write(HEAD)
        one.write(HEAD)
        one.close()
        await turn()
        assert recorded.sent == [HEAD, b"{}", HEAD + HEAD] and recorded.closed

    asyncio.run(run())


def test_nothing_is_sent_after_the_end() -> None:
    async def run() -> None:
        one, recorded = await joined()
        one.write(HEAD)
        recorded.closed = True
        await turn()
        assert recorded.sent == []

    asyncio.run(run())


def test_a_large_body_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COPIED", 3)

    async def run() -> None:
        one, recorded = await joined()
        one.write(HEAD)
        one.write(b"long")
        assert recorded.sent == [HEAD, b"long"]

    asyncio.run(run())
