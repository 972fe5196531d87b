"""Routes that ask: recommendations, similar items, users, items, models."""

from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from recency.data.vocab import Id
from recency.errors import DataError, UnknownIdError
from recency.serving.engine import Engine
from recency.serving.http.answers import (
    described,
    json_answer,
    ranked_json,
    similar_json,
    standing_json,
)
from recency.serving.http.bodies import read_json
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import (
    Asked,
    Reader,
    asked_in_body,
    asked_in_query,
    query_reader,
)
from recency.serving.questions import LiveRecommender
from recency.units import format_instant

_MOST_USERS = 200  # of one list; each costs a look at a history
_MOST_EVENTS = 10_000  # of one history


async def get_recommendations(request: Request) -> Response:
    """Rank items for a user."""
    engine: Engine = request.app.state.engine
    user = _decoded(request.path_params["user_id"])
    return await _answered(engine, asked_in_query(user, request.query_params, engine.checks))


async def post_recommendations(request: Request) -> Response:
    """Rank items for a user or after a history, among candidates."""
    engine: Engine = request.app.state.engine
    raw = await read_json(request, engine.limits)
    return await _answered(engine, asked_in_body(raw, engine.checks))


async def get_similar_items(request: Request) -> Response:
    """Rank the items most like one."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("k", "details"))
    item = _path_id(request, "item_id", reader)
    k = reader.integer("k", 10, 1, engine.limits.k)
    details = reader.flag("details", False)
    reader.finish()
    ranked = await engine.similar_items(item, k)
    return json_answer(similar_json(item, ranked, engine.catalogue, details))


async def get_item(request: Request) -> Response:
    """Describe an item."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(())
    item = _path_id(request, "item_id", reader)
    reader.finish()
    seen = await engine.call(lambda model: item in model.items)
    found = described(engine.catalogue, item)
    if not seen and not found:
        raise UnknownIdError(
            f"item {item!r} is unknown: no event names it, and it was never described. "
            f"PUT /v1/items describes it."
        )
    return json_answer({"item_id": item, **found, "seen": seen, **standing_json(engine)})


async def get_users(request: Request) -> Response:
    """List users."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("limit", "after"))
    limit = reader.integer("limit", 50, 1, _MOST_USERS)
    after = reader.integer("after", 0, 0, 2**53)
    reader.finish()
    found = await engine.call(lambda model: _users(model, after, limit))
    return json_answer(found | standing_json(engine))


async def get_user(request: Request) -> Response:
    """Show a user's history."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("limit", "at", "unit"))
    user = _path_id(request, "user_id", reader)
    limit = reader.integer("limit", 100, 1, _MOST_EVENTS)
    given = reader.instant("at", reader.unit())
    reader.finish()
    at = engine.now() if given is None else given
    return json_answer(
        await engine.call(lambda model: _history(model, user, at, limit) | standing_json(engine))
    )


async def get_models(request: Request) -> Response:
    """List the models."""
    engine: Engine = request.app.state.engine
    cut = engine.cut
    model = {
        "active": True,
        "cut": None if cut is None else format_instant(cut),
        "n_users": engine.n_users,
        "n_items": engine.n_items,
        **standing_json(engine),
    }
    return json_answer({"models": [model]})


async def _answered(engine: Engine, asked: Asked) -> Response:
    ranked = await engine.recommend(asked.question)
    return json_answer(ranked_json(ranked, engine.catalogue, asked.details))


def _users(model: LiveRecommender, after: int, limit: int) -> dict[str, Any]:
    rows = range(after, min(after + limit, len(model.users)))
    lines = []
    for user in model.users.take(rows):
        times = model.history(user)["timestamp"].to_physical()
        newest = format_instant(times[-1]) if len(times) else None
        lines.append({"user_id": user, "n_events": len(times), "newest": newest})
    following = after + limit if after + limit < len(model.users) else None
    return {"users": lines, "n_users": len(model.users), "next_after": following}


def _history(model: LiveRecommender, user: Id, at: int, limit: int) -> dict[str, Any]:
    if user not in model.users:
        raise UnknownIdError(
            f"user {user!r} is unknown: no event names them. Recommendations can be asked for "
            f"all the same, and are what is popular."
        )
    events = model.history(user, at)
    newest = events.tail(limit)
    items = newest["item_id"].to_list()
    lines: list[dict[str, Any]] = [
        {"item_id": item, "timestamp": format_instant(time)}
        for item, time in zip(items, newest["timestamp"].to_physical().to_list(), strict=True)
    ]
    extra = {
        "title": [None] * len(items) if model.catalogue is None else model.catalogue.titles(items)
    }
    if "event_type" in newest.columns:
        extra["event_type"] = newest["event_type"].to_list()
    for name, values in extra.items():
        for line, value in zip(lines, values, strict=True):
            if value is not None:
                line[name] = value
    return {"user_id": user, "n_events": events.height, "events": lines, "at": format_instant(at)}


def _path_id(request: Request, name: str, reader: Reader) -> Id:
    """Read an id from the path; notes a fault where it can be none."""
    text = _decoded(request.path_params[name])
    try:
        return reader.checks.user(text) if name == "user_id" else reader.checks.item(text)
    except DataError as error:
        reader.fault(name, str(error))
        return ""


def _decoded(part: str) -> str:
    """Decode one part of a path, once."""
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        detail = f"expected percent-encoded UTF-8, found {part[:80]!r}."
        raise Problem(422, "invalid-request", detail, [Fault("path", detail)]) from None
