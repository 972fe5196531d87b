"""App: the engine behind HTTP, with FastAPI for its documentation and plain handlers for its speed.

Every handler takes the request and gives the answer; nothing is read from signatures. That saves
time, and lets one call report all its faults. What OpenAPI says stands in
`documentation` and `schema`, and tests hold it against the real answers.
"""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from recency import __version__
from recency.errors import RecencyError
from recency.serving.access.audit import Audit
from recency.serving.access.rates import Buckets, RateLimits
from recency.serving.engine import Engine
from recency.serving.http.access import Access, Keys
from recency.serving.http.direct import Direct
from recency.serving.http.documentation import ROUTES
from recency.serving.http.given_lists import GivenLists
from recency.serving.http.metrics import Metrics
from recency.serving.http.problems import Problem, answer_error
from recency.serving.http.schema import ProblemAnswer, Visit
from recency.serving.http.timed import Timed, Tracer
from recency.serving.http.turns import Turns
from recency.serving.http.uploads import cleared
from recency.serving.intake.jobs import Jobs
from recency.serving.limits import RoomLimits
from recency.serving.log.groups import Group

_ABOUT = """\
Recommendations that know what time it is. An acknowledged event is on the disk and seen by the next
answer; sending it again under the same `event_id` does nothing. Every error is
`application/problem+json`.
"""


class PlainRoute(APIRoute):
    """A documented route whose handler is called as it is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler itself, without FastAPI's reading of its signature."""
        return cast(Callable[[Request], Coroutine[Any, Any, Response]], self.endpoint)


class App(FastAPI):
    """FastAPI within our own layers rather than around them.

    Its layers wrap every request to serve handlers that want what ours do without: they are passed
    only by what `Direct` does not know.

    Attributes:
        within: Puts our layers around an app; they are made with the first request.
    """

    within: Callable[[ASGIApp], ASGIApp]
    _layers: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if self._layers is None:
            self._layers = self.within(super().__call__)
        scope["app"] = self
        await self._layers(scope, receive, send)


def create_app(
    engine: Engine,
    *,
    keys: Keys | None = None,
    hosts: Iterable[str] | None = None,
    rates: RateLimits | None = None,
    audit: Audit | None = None,
    admin_port: int | None = None,
    origins: Sequence[str] = (),
    tracer: Tracer | None = None,
    room: RoomLimits | None = None,
    imports: Path | None = None,
) -> FastAPI:
    """Put an engine behind HTTP. Whoever made the engine closes it.

    Args:
        engine: Answers.
        keys: Valid API keys; None asks for none.
        hosts: Names by which the server may be called; None allows any.
        rates: How often somebody may come.
        audit: Where changes by administrators are written down; None for nowhere.
        admin_port: A port of this machine on which those who watch need no key.
        origins: Web pages of other addresses that may call, such as ``https://shop.example``.
        tracer: Follows requests; None for nobody.
        room: How much may be underway at once.
        imports: Folder whose files clients may have imported by name; None for no folder.
    """
    rates = RateLimits() if rates is None else rates
    metrics = Metrics()
    metrics.follow(engine)
    _watch(engine, metrics, tracer)
    app = App(
        title="Recency",
        version=__version__,
        description=_ABOUT,
        redoc_url=None,
        debug=False,
        redirect_slashes=False,
    )
    app.state.engine, app.state.metrics = engine, metrics
    app.state.user_rates = None if rates.user is None else Buckets(rates.user)
    app.state.stopping, app.state.started = False, time.monotonic()
    app.state.lists, app.state.turns, app.state.jobs = GivenLists(), Turns(), Jobs()
    app.state.uploads = cleared(engine.store.path.parent / "uploads")
    app.state.imports = imports
    for route in ROUTES:
        app.router.add_api_route(**route.arguments(), route_class_override=PlainRoute)
    for error in (RecencyError, Problem, 404, 405, Exception):
        app.add_exception_handler(error, answer_error)
    plain = [route for route in app.router.routes if isinstance(route, PlainRoute)]

    def within(rest: ASGIApp) -> ASGIApp:
        let_in: ASGIApp = Access(
            Direct(rest, routes=plain),
            keys=keys,
            hosts=hosts,
            rates=rates,
            audit=audit,
            admin_port=admin_port,
            room=room,
        )
        if origins:
            let_in = CORSMiddleware(let_in, **_cross_origin(origins))
        return ServerErrorMiddleware(Timed(let_in, metrics, tracer), handler=answer_error)

    app.within = within
    _add_schemas(app, keyed=keys is not None)
    return app


def _watch(engine: Engine, metrics: Metrics, tracer: Tracer | None) -> None:
    """Have groups of events counted, and traced where there is a tracer."""
    if tracer is None:
        engine.watch(metrics.watch, swapped=metrics.count_swap)
        return

    def both(group: Group, seconds: float) -> None:
        metrics.watch(group, seconds)
        tracer.group(group, seconds)

    engine.watch(both, tracer.answered, metrics.count_swap)


def _cross_origin(origins: Sequence[str]) -> dict[str, Any]:
    """Say what a page of another address may send: keys in headers, never cookies."""
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["content-type", "x-api-key", "authorization", "x-request-id"],
        "expose_headers": ["retry-after", "x-request-id"],
        "max_age": 600,
    }


def _add_schemas(app: FastAPI, *, keyed: bool) -> None:
    """Add to OpenAPI what no route's signature tells: shared bodies, and how keys are sent."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            whole = generated()
            schemas = whole["components"]["schemas"]
            for model in (ProblemAnswer, Visit):
                one = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(one.pop("$defs", {}))
                schemas[model.__name__] = one
            if keyed:
                whole["components"]["securitySchemes"] = {
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                }
                whole["security"] = [{"key": []}, {"bearer": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
