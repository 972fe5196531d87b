"""Route: one route with its parameters, bodies, answer and example, as OpenAPI shows it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from recency.serving.http.parameters import Json

Handler = Callable[[Request], Awaitable[Response]]

AS_OF = {"seq": 17, "time": "2026-02-01T09:00:00Z"}
STANDING: Json = {"as_of": AS_OF, "model_version": "3f2a9c01"}
TOLD: Json = {
    "recommendation_id": "019b2c1e-7a40-7c3e-9f10-5b6f0c1d2e3a",
    "took_ms": 1.4,
    "degraded": [],
}
RANKED: Json = TOLD | {
    "user_id": "u1",
    "items": [{"item_id": "tent", "score": 4.1}, {"item_id": "lamp", "score": 3.7}],
    "fallback": False,
    "at": "2026-02-01T09:05:00Z",
    "as_of": AS_OF,
    "model_version": "3f2a9c01",
}


@dataclass(frozen=True)
class Documented:
    """One route, with what OpenAPI says about it."""

    method: str
    path: str
    handler: Handler
    tag: str
    answer: type[BaseModel] | None
    example: Json | str
    query: Sequence[Json] = ()
    body: type[BaseModel] | None = None
    bodies: Mapping[str, Json] = field(default_factory=dict)
    rows: bool = False  # whether the body may be a list, or one object a line
    problems: Sequence[int] = (401, 503)
    text: str = "text/plain"  # kind of an answer that is no JSON
    status: int = 200
    uploads: Sequence[str] = ()  # kinds of a body that is a file

    def arguments(self) -> Json:
        """Give the keywords of ``add_api_route``."""
        name = self.handler.__name__
        return {
            "path": self.path,
            "endpoint": self.handler,
            "methods": [self.method],
            "operation_id": name,
            "name": name,
            "tags": [self.tag],
            "summary": (self.handler.__doc__ or "").partition(".")[0],
            "response_model": None,
            "status_code": self.status,
            "responses": {self.status: self._answer()}
            | {code: _PROBLEM for code in self._refusals()},
            "openapi_extra": self._request(),
        }

    def _refusals(self) -> list[int]:
        """List the problems; whoever may ask for a key may find it wanting, or used too often."""
        return sorted({*self.problems, *((403, 429) if 401 in self.problems else ())})

    def _answer(self) -> Json:
        if self.answer is None:
            return {"description": "Text", "content": {self.text: {"example": self.example}}}
        described: Json = {
            "description": (self.answer.__doc__ or "").partition("\n")[0],
            "model": self.answer,
        }
        return described | {"content": {"application/json": {"example": self.example}}}

    def _request(self) -> Json:
        in_path = [
            {
                "name": part[1:-1],
                "in": "path",
                "required": True,
                "description": "Percent-encoded, a slash as %2F",
                "schema": {"type": "string"},
            }
            for part in self.path.split("/")
            if part.startswith("{")
        ]
        extra: Json = {"parameters": [*in_path, *self.query]}
        if self.body is not None:
            one = self.body.model_json_schema(ref_template="#/components/schemas/{model}")
            one.pop("$defs", None)
            kinds = {"application/json": _content(_or_list(one) if self.rows else one, self.bodies)}
            if self.rows:
                lines = {"type": "string", "description": "One JSON object a line"}
                kinds["application/x-ndjson"] = {"schema": lines}
            kinds |= {kind: {"schema": {"type": "string"}} for kind in self.uploads}
            extra["requestBody"] = {"required": True, "content": kinds}
        return extra


def _content(body: Json, examples: Mapping[str, Json]) -> Json:
    return {
        "schema": body,
        "examples": {name: {"value": example} for name, example in examples.items()},
    }


def _or_list(one: Json) -> Json:
    return {"anyOf": [one, {"type": "array", "items": one}]}


_PROBLEM: Json = {
    "description": "Refused",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/ProblemAnswer"},
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Content",
                "status": 422,
                "code": "invalid-request",
                "detail": "k: expected a whole number from 1 to 1,000, found 0.",
                "instance": "/v1/users/u1/recommendations",
                "errors": [
                    {
                        "field": "k",
                        "detail": "expected a whole number from 1 to 1,000, found 0.",
                    }
                ],
            },
        }
    },
}
BODY_PROBLEMS = (401, 408, 413, 415, 422, 503)
