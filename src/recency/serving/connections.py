"""Connections: uvicorn's protocol with bounds, so that nobody holds a connection for nothing.

httptools reads headers of any size for any time. Here a request's head must be small and arrive
soon, a client must take its answer soon, and there are only so many connections at once. Whoever
breaks a bound gets one plain answer where one can still be given, and is cut off; the others do not
notice. Bodies have bounds of their own, in `recency.serving.http.bodies`.

One timer a connection, moved on by remembering an instant rather than by a new timer each request:
a keep-alive connection under load costs nothing more.
"""

import json
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from recency.serving.limits import ConnectionLimits


class BoundedProtocol(HttpToolsProtocol):
    """Serve one connection within limits.

    Attributes:
        limits: Of every connection; `bounded` makes a class with others.
        told: Called with ``"connections"`` where there are too many.
    """

    limits = ConnectionLimits()
    told: Callable[[str], None] = staticmethod(lambda reason: None)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._in_head = True  # what comes next belongs to a request's head
        self._head_by = 0.0  # instant by which the head must have come; 0: none is awaited
        self._timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.told("connections")
            self._refuse(
                503,
                "overloaded",
                f"{self.limits.connections:,} connections are open already; come again soon.",
            )
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            if not self._head_by:
                self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        # The piece may hold more than the head, so only a head that still goes on is judged by it.
        if self._in_head and self._head_bytes > self.limits.header_bytes:
            self._refuse(
                431,
                "headers-too-large",
                f"expected at most {self.limits.header_bytes:,} bytes of headers, found more.",
            )

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._in_head, self._head_bytes, self._head_by = False, 0, 0.0
        if size > self.limits.header_bytes:
            self._refuse(
                431,
                "headers-too-large",
                f"expected at most {self.limits.header_bytes:,} bytes of headers, found {size:,}.",
            )
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head_by = True, 0.0
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._cut_off_soon()
        elif not self._in_head:  # answered before its body came: the rest must come soon
            self._await_head()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_off_soon()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "not-http", f"expected a request of HTTP/1.1: {msg}")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cut_off_soon()

    def resume_writing(self) -> None:
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_by = self.loop.time() + self.limits.header_seconds
        if self._timer is None:
            self._timer = self.loop.call_at(self._head_by, self._on_time)

    def _on_time(self) -> None:
        """Cut off a head that is late; else look again when the next one would be."""
        self._timer = None
        if self.transport.is_closing() or not self._head_by:
            return
        if self.loop.time() < self._head_by:
            self._timer = self.loop.call_at(self._head_by, self._on_time)
        elif self._head_bytes and self._in_head:
            seconds = self.limits.header_seconds
            self._refuse(408, "too-slow", f"the headers did not arrive within {seconds:g} s.")
        else:
            self.transport.close()
            self._cut_off_soon()

    def _cut_off_soon(self) -> None:
        """End a connection for good unless it goes on: a client may never take what it was sent."""
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(
                self.limits.write_seconds, self.transport.abort
            )

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer without the app, and end the connection."""
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "code": code}
        body = json.dumps(problem | {"detail": detail, "instance": "/"}).encode()
        retry = "retry-after: 1\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
        self._cut_off_soon()


def bounded(
    limits: ConnectionLimits, told: Callable[[str], None] = lambda reason: None
) -> type[BoundedProtocol]:
    """Give the protocol with limits of one's own, for uvicorn to make connections of."""
    own = {"limits": limits, "told": staticmethod(told)}
    return cast(type[BoundedProtocol], type("BoundedProtocol", (BoundedProtocol,), own))
