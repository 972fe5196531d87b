"""Timed: every request is timed, gets an id and leaves a line in the log, as ASGI middleware.

The line names the route's pattern, not the path: ids of people have no place in a log, and would
make one time series each.
"""

import logging
import time
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recency.serving.http import notes
from recency.serving.http.metrics import Metrics
from recency.serving.http.request_ids import HEADER, named
from recency.serving.log.groups import Group

logger = logging.getLogger("recency.requests")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_SLOW_SECONDS = 1.0


class Tracer(Protocol):
    """Follow requests through the service; `recency.serving.http.traces` has one."""

    def begin(self, scope: Scope, receive: Receive) -> tuple[object, Receive]:
        """Open the span of a request, and give what notices when its body has arrived."""
        ...

    def end(self, span: object, route: str, status: int) -> None:
        """Close the span of a request."""
        ...

    def group(self, group: Group, seconds: float) -> None:
        """Leave the spans of a group of events that was committed and applied."""
        ...

    def answered(self, n_questions: int, seconds: float) -> None:
        """Leave the span of questions answered together."""
        ...


class Timed:
    """Time every request.

    Args:
        app: What comes after.
        metrics: Where times are counted.
        tracer: Told of each request; None for nobody.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._app, self._metrics, self._tracer = app, metrics, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, span = time.perf_counter(), 500, None
        request_id = named(scope)
        if self._tracer is not None:
            span, receive = self._tracer.begin(scope, receive)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                message["headers"] = [*headers, (HEADER, request_id)]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._note(scope, route, status, time.perf_counter() - started)
            if self._tracer is not None:
                self._tracer.end(span, route, status)

    def _note(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count_request(method, route, status, seconds)
        if (model := scope.get(notes.MODEL)) is not None:
            self._metrics.count_question(route, model, status, seconds)
        if (code := scope.get(notes.CODE)) is not None:
            self._metrics.count_refusal(code)
        # What is sent away under load leaves no line: a flood of requests must not be one of lines.
        failed = status >= 500 and code != "overloaded"
        level = logging.WARNING if failed or seconds >= _SLOW_SECONDS else logging.INFO
        if logger.isEnabledFor(level):
            key = scope.get(notes.KEY)
            facts = {
                "method": method,
                "route": route,
                "status": status,
                "code": code,
                "ms": round(1000 * seconds, 3),
                "request_id": scope["state"]["request_id"],
                "key": None if key is None else f"{key.name} {key.id}",
            }
            logger.log(level, "%s %s %d", method, route, status, extra={"facts": facts})
