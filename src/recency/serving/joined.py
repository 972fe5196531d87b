"""Joined: a transport that sends the head of an answer together with the body that follows it.

The server writes the two one after the other. Each piece is a call of the system, and a packet that
wakes the client: for the short answers of this service, that is a good part of the work.
"""

from asyncio import AbstractEventLoop, Transport
from typing import Any

_COPIED = 65_536  # bytes of a body up to which it is cheaper to copy than to send apart


class Joined:
    """Write through a transport; a head waits for its body, but no longer than this turn.

    Args:
        transport: What is written to; all that is not told of here is done by it.
        loop: Whose turns count.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send bytes, those that wait before them."""
        head, self._head = self._head, b""
        if head and len(data) <= _COPIED:
            self._transport.write(head + data)
            return
        if head:
            self._transport.write(head)
        if data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what waits, then end the connection."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self.is_closing():
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
