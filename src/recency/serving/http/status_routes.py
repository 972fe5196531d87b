"""Routes for those who watch the server."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from recency import __version__
from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer
from recency.serving.http.metrics import Metrics
from recency.serving.http.problems import problem_of, problem_response


async def get_health(request: Request) -> Response:
    """Say that the process runs."""
    return json_answer({"status": "ok", "version": __version__})


async def get_ready(request: Request) -> Response:
    """Say whether events can be taken now."""
    engine: Engine = request.app.state.engine
    if (fault := engine.fault) is not None:
        problem = problem_of(fault)
        return problem_response(problem, request.url.path)
    return json_answer({"status": "ready", "version": __version__})


async def get_metrics(request: Request) -> Response:
    """Give all counters in the text format of Prometheus."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)
