"""Problems: every error of the service as RFC 9457 ``application/problem+json``.

``code`` is stable and meant for programs, ``detail`` is meant for people, ``errors`` lists every
fault of the request at once. A stack trace goes to the log, never to a client.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from recency.errors import (
    ConfigError,
    DataError,
    FormatError,
    NotFittedError,
    RecencyError,
    StoreError,
    UnitError,
    UnknownIdError,
)
from recency.serving.http import notes
from recency.serving.refusals import (
    OverloadedError,
    RefusedModelError,
    StoppedError,
    StoreFullError,
)

logger = logging.getLogger(__name__)

# The first class that fits decides.
_STATUS: tuple[tuple[type[RecencyError], int, str], ...] = (
    (UnknownIdError, 404, "unknown-id"),
    (UnitError, 422, "wrong-unit"),
    (DataError, 422, "invalid-request"),
    (ConfigError, 422, "invalid-request"),
    (OverloadedError, 503, "overloaded"),
    (StoreFullError, 507, "disk-full"),
    (StoppedError, 503, "stopped"),
    (StoreError, 503, "store-failed"),
    (NotFittedError, 503, "no-model"),
    (RefusedModelError, 409, "model-refused"),
    (FormatError, 422, "invalid-model"),
)
_HTTP_CODES = {404: "no-such-route", 405: "wrong-method"}
# Python calls some statuses by the names of older RFCs.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


@dataclass(frozen=True)
class Fault:
    """Name one thing that is wrong with a request, and where."""

    field: str
    detail: str


@dataclass
class Problem(Exception):
    """Refuse a request."""

    status: int
    code: str
    detail: str
    errors: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: Exception) -> Problem:
    """Give the problem that an error is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        code = _HTTP_CODES.get(error.status_code, "refused")
        return Problem(error.status_code, code, str(error.detail), headers=error.headers or {})
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            headers = {"Retry-After": "1"} if status == 503 else {}
            return Problem(status, code, str(error), headers=headers)
    return Problem(
        500, "internal", "the server met an unforeseen error; its log says more. Nothing is lost."
    )


def problem_response(problem: Problem, path: str) -> Response:
    """Write a problem as JSON."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES.get(problem.status) or HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "instance": path,
    }
    if problem.errors:
        body["errors"] = [{"field": one.field, "detail": one.detail} for one in problem.errors]
    return Response(
        msgspec.json.encode(body),
        problem.status,
        dict(problem.headers),
        media_type="application/problem+json",
    )


async def answer_error(request: Request, error: Exception) -> Response:
    """Turn any error into its answer; log those that nobody foresaw."""
    problem, path = problem_of(error), request.url.path
    request.scope[notes.CODE] = problem.code
    if problem.code == "no-such-route":
        problem.detail = f"there is no {path}; GET /openapi.json lists what there is."
    elif problem.code == "wrong-method":
        allowed = problem.headers.get("Allow", "another method")
        problem.detail = f"{request.method} is not served at {path}; send {allowed}."
    elif problem.status == 500:
        logger.error("an unforeseen error in %s %s", request.method, path, exc_info=error)
    return problem_response(problem, path)
