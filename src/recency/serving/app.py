"""App: the engine behind HTTP, with FastAPI for its documentation and plain handlers for its speed.

Every handler takes the request and gives the answer; nothing is read from signatures. That halves
the time of a request, and lets one call report all its faults. What OpenAPI says stands in
`documentation` and `schema`, and tests hold it against the real answers.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from recency import __version__
from recency.errors import RecencyError
from recency.serving.engine import Engine
from recency.serving.http.access import Access
from recency.serving.http.documentation import ROUTES
from recency.serving.http.metrics import Metrics, Timed
from recency.serving.http.problems import Problem, answer_error
from recency.serving.http.schema import ProblemAnswer, Visit
from recency.serving.keys import KeyRing

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


def create_app(
    engine: Engine,
    *,
    keys: KeyRing | None = None,
    hosts: Iterable[str] | None = None,
) -> FastAPI:
    """Put an engine behind HTTP. Whoever made the engine closes it.

    Args:
        engine: Answers.
        keys: Valid API keys; None asks for none.
        hosts: Names by which the server may be called; None allows any.
    """
    metrics = Metrics()
    metrics.follow(engine)
    engine.follower.watch = metrics.watch
    app = FastAPI(
        title="Recency", version=__version__, description=_ABOUT, redoc_url=None, debug=False
    )
    app.state.engine, app.state.metrics = engine, metrics
    for route in ROUTES:
        app.router.add_api_route(**route.arguments(), route_class_override=PlainRoute)
    for error in (RecencyError, Problem, 404, 405, Exception):
        app.add_exception_handler(error, answer_error)
    app.add_middleware(Access, keys=keys, hosts=hosts)
    app.add_middleware(Timed, metrics=metrics)
    _add_schemas(app, keyed=keys is not None)
    return app


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
