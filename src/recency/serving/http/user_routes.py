"""Routes about users: listed, shown, described, joined with an anonymous id, exported, erased."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from recency.data.vocab import Id
from recency.errors import DataError, UnknownIdError
from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer, standing_json
from recency.serving.http.bodies import read_object
from recency.serving.http.cursors import cursor_at, row_of
from recency.serving.http.paths import path_id
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import Reader, query_reader
from recency.serving.questions import LiveRecommender
from recency.serving.users.erasure import erase_user, export_user
from recency.serving.users.merging import merge_users
from recency.serving.users.profiles import describe_user
from recency.units import SECOND, format_instant

_MOST_USERS = 200  # of one list; each costs a look at a history
_MOST_EVENTS = 10_000  # of one history


async def get_users(request: Request) -> Response:
    """List users."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("limit", "cursor", "after"))
    limit = reader.integer("limit", 50, 1, _MOST_USERS)
    start, after = row_of(reader), reader.integer("after", 0, 0, 2**53)
    if start and after:
        reader.fault("after", "says the same as cursor; send one of the two.")
    reader.finish()
    found = await engine.call(lambda model: _users(model, start or after, limit))
    return json_answer(found | standing_json(engine))


async def get_user(request: Request) -> Response:
    """Show a user's history."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("limit", "at", "unit"))
    user = path_id(request, "user_id", reader)
    limit = reader.integer("limit", 100, 1, _MOST_EVENTS)
    given = reader.instant("at", reader.unit())
    reader.finish()
    at = engine.now() if given is None else given
    said = engine.store.profile_of(engine.store.identities.of(user))
    profile = None if said is None else msgspec.json.decode(said)
    found = await engine.call(
        lambda model: _history(model, user, at, limit, profile) | standing_json(engine)
    )
    return json_answer(found)


async def put_user(request: Request) -> Response:
    """Keep what is known of a user, in place of what was before."""
    engine: Engine = request.app.state.engine
    user = _user(request)
    raw = await read_object(request, engine.limits)
    try:
        done = await asyncio.to_thread(describe_user, engine, user, raw)
    except DataError as error:
        raise Problem(422, "invalid-request", str(error), [Fault("profile", str(error))]) from None
    return json_answer({**msgspec.structs.asdict(done), **standing_json(engine)})


async def post_user_merge(request: Request) -> Response:
    """Give all events of an anonymous id to a user."""
    engine: Engine = request.app.state.engine
    user = _user(request)
    raw = await read_object(request, engine.limits)
    reader = Reader(raw, engine.checks)
    reader.known_only(("anonymous_id",))
    if (anonymous := raw.get("anonymous_id")) is None:
        reader.fault("anonymous_id", "is missing.")
    reader.finish()
    try:
        merged = await asyncio.to_thread(merge_users, engine, anonymous, user)
    except DataError as error:
        raise Problem(
            422, "invalid-request", str(error), [Fault("anonymous_id", str(error))]
        ) from None
    return json_answer({**msgspec.structs.asdict(merged), **standing_json(engine)})


async def get_user_export(request: Request) -> Response:
    """Give everything kept of a user, one JSON object a line."""
    engine: Engine = request.app.state.engine
    rows = await asyncio.to_thread(export_user, engine, _user(request))
    return Response(msgspec.json.Encoder().encode_lines(rows), media_type="application/x-ndjson")


async def delete_user(request: Request) -> Response:
    """Erase everything kept of a user, for good; late events of the user are refused."""
    engine: Engine = request.app.state.engine
    user, lists = _user(request), request.app.state.lists
    erased = await asyncio.to_thread(erase_user, engine, user)
    lists.forget(user)
    lists.forget(erased.user_id)
    return json_answer({**msgspec.structs.asdict(erased), **standing_json(engine)})


def _user(request: Request) -> Id:
    """Read the id in the path of an address that has nothing else."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(())
    user = path_id(request, "user_id", reader)
    reader.finish()
    return user


def _users(model: LiveRecommender, start: int, limit: int) -> dict[str, Any]:
    end = min(start + limit, len(model.users))
    lines = []
    for user in model.users.take(range(start, end)):
        if model.users.is_retired(user):  # erased; its row stays, the name is gone
            continue
        times = model.history(user)["timestamp"].to_physical()
        newest = format_instant(times[-1]) if len(times) else None
        lines.append({"user_id": user, "n_events": len(times), "newest": newest})
    more = start + limit < len(model.users)
    return {
        "users": lines,
        "n_users": len(model.users) - model.users.n_retired,
        "next_cursor": cursor_at(start + limit) if more else None,
        "next_after": start + limit if more else None,
    }


def _history(
    model: LiveRecommender, user: Id, at: int, limit: int, profile: object
) -> dict[str, Any]:
    if user not in model.users and profile is None:
        raise UnknownIdError(
            f"user {user!r} is unknown: no event names them. Recommendations can be asked for "
            f"all the same, and are what is popular."
        )
    events = model.history(user, at)
    newest = events.tail(limit)
    items = newest["item_id"].to_list()
    times = newest["timestamp"].to_physical().to_list()
    lines: list[dict[str, Any]] = [
        {"item_id": item, "timestamp": format_instant(time)}
        for item, time in zip(items, times, strict=True)
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
    return {
        "user_id": user,
        "n_events": events.height,
        "events": lines,
        "at": format_instant(at),
        "idle_seconds": (at - times[-1]) / SECOND if times else None,
        "profile": profile,
    }
