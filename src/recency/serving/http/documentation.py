"""Documentation: every route with its parameters, bodies, answers and examples, for OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from recency.serving.http import schema
from recency.serving.http.event_routes import post_events, put_items
from recency.serving.http.parameters import AT, DETAILS, FOR_USER, UNIT, Json, K, query
from recency.serving.http.question_routes import (
    get_item,
    get_models,
    get_recommendations,
    get_similar_items,
    get_user,
    get_users,
    post_recommendations,
)
from recency.serving.http.status_routes import get_health, get_metrics, get_ready

Handler = Callable[[Request], Awaitable[Response]]

_AS_OF = {"seq": 17, "time": "2026-02-01T09:00:00Z"}
_STANDING: Json = {"as_of": _AS_OF, "model_version": "3f2a9c01"}
_RANKED = {
    "user_id": "u1",
    "items": [{"item_id": "tent", "score": 4.1}, {"item_id": "lamp", "score": 3.7}],
    "fallback": False,
    "at": "2026-02-01T09:05:00Z",
    "as_of": _AS_OF,
    "model_version": "3f2a9c01",
}
_EVENT = {
    "user_id": "u1",
    "item_id": "tent",
    "timestamp": "2026-02-01T09:00:00Z",
    "event_type": "click",
    "event_id": "5d1c",
}
_REJECTED = "user_id is missing. value must be a finite number, found true."


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
            "responses": {200: self._answer()} | {code: _PROBLEM for code in self.problems},
            "openapi_extra": self._request(),
        }

    def _answer(self) -> Json:
        if self.answer is None:
            return {"description": "Text", "content": {"text/plain": {"example": self.example}}}
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
_BODY_PROBLEMS = (401, 408, 413, 415, 422, 503)

ROUTES = (
    Documented(
        "POST",
        "/v1/events",
        post_events,
        "events",
        schema.EventsAnswer,
        {
            "accepted": 1,
            "duplicate": 0,
            "rejected": 1,
            "results": [
                {"event_id": "5d1c", "status": "accepted", "seq": 17},
                {"event_id": None, "status": "rejected", "error": _REJECTED},
            ],
        }
        | _STANDING,
        query=(UNIT,),
        body=schema.EventIn,
        bodies={
            "one": _EVENT,
            "now": {"user_id": "u1", "item_id": "tent"},
        },
        rows=True,
        problems=(*_BODY_PROBLEMS, 507),
    ),
    Documented(
        "GET",
        "/v1/users/{user_id}/recommendations",
        get_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        _RANKED,
        query=FOR_USER,
        problems=(401, 422, 503),
    ),
    Documented(
        "POST",
        "/v1/recommendations",
        post_recommendations,
        "recommendations",
        schema.RecommendationsAnswer,
        _RANKED | {"user_id": None},
        body=schema.QuestionIn,
        bodies={
            "visit": {
                "history": [{"item_id": "tent", "timestamp": "2026-02-01T09:00:00Z"}],
                "k": 5,
                "exclude": ["lamp"],
            },
            "user": {"user_id": "u1", "candidates": ["tent", "lamp"], "k": 2},
        },
        problems=_BODY_PROBLEMS,
    ),
    Documented(
        "GET",
        "/v1/items/{item_id}/similar",
        get_similar_items,
        "recommendations",
        schema.SimilarAnswer,
        {
            "item_id": "tent",
            "items": [{"item_id": "lamp", "score": 0.62}],
            "as_of": _AS_OF,
            "model_version": "3f2a9c01",
        },
        query=(K, DETAILS),
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "PUT",
        "/v1/items",
        put_items,
        "items",
        schema.ItemsAnswer,
        {"accepted": 1, "rejected": 0, "results": [{"item_id": "tent", "status": "accepted"}]}
        | _STANDING,
        query=(UNIT,),
        body=schema.ItemIn,
        bodies={"one": {"item_id": "tent", "title": "A tent for two", "categories": ["camping"]}},
        rows=True,
        problems=(*_BODY_PROBLEMS, 507),
    ),
    Documented(
        "GET",
        "/v1/items/{item_id}",
        get_item,
        "items",
        schema.ItemAnswer,
        {"item_id": "tent", "title": "A tent for two", "categories": ["camping"], "seen": True}
        | _STANDING,
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/users",
        get_users,
        "users",
        schema.UsersAnswer,
        {
            "users": [{"user_id": "u1", "n_events": 12, "newest": "2026-02-01T09:00:00Z"}],
            "n_users": 1,
            "next_after": None,
        }
        | _STANDING,
        query=(
            query("limit", "Most users", {"type": "integer", "default": 50, "maximum": 200}),
            query("after", "Users to leave out", {"type": "integer", "default": 0}),
        ),
        problems=(401, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/users/{user_id}",
        get_user,
        "users",
        schema.UserAnswer,
        {
            "user_id": "u1",
            "n_events": 12,
            "events": [{"item_id": "tent", "timestamp": "2026-02-01T09:00:00Z"}],
            "at": "2026-02-01T09:05:00Z",
            "as_of": _AS_OF,
            "model_version": "3f2a9c01",
        },
        query=(
            query("limit", "Newest events given", {"type": "integer", "default": 100}),
            AT,
            UNIT,
        ),
        problems=(401, 404, 422, 503),
    ),
    Documented(
        "GET",
        "/v1/models",
        get_models,
        "models",
        schema.ModelsAnswer,
        {
            "models": [
                {
                    "model_version": "3f2a9c01",
                    "active": True,
                    "cut": "2026-02-01T00:00:00Z",
                    "n_users": 900,
                    "n_items": 120,
                    "as_of": _AS_OF,
                }
            ]
        },
    ),
    Documented(
        "GET",
        "/health",
        get_health,
        "state",
        schema.StateAnswer,
        {"status": "ok", "version": "0.1.0"},
        problems=(),
    ),
    Documented(
        "GET",
        "/ready",
        get_ready,
        "state",
        schema.StateAnswer,
        {"status": "ready", "version": "0.1.0"},
        problems=(503, 507),
    ),
    Documented(
        "GET",
        "/metrics",
        get_metrics,
        "state",
        None,
        'recency_events_total{result="accepted"} 17.0',
        problems=(401,),
    ),
)
