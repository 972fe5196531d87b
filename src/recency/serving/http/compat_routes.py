"""Compat routes: the shapes of gorse and of Amazon Personalize, so that their clients work here.

Only what a shop calls all day: events in, a list out. Where theirs and ours differ, ours holds: ids
are checked, an event sent again is kept once, errors are ``application/problem+json``.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from recency.errors import ConfigError
from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer
from recency.serving.http.bodies import read_object, read_rows
from recency.serving.http.paths import path_text
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import (
    Asked,
    Reader,
    asked_by,
    query_reader,
)
from recency.serving.http.rate_limits import check_user_rate
from recency.serving.http.time_ids import time_id
from recency.serving.intake.event_aliases import with_event_id
from recency.serving.intake.values import Unit, shown
from recency.serving.log.events import Outcome
from recency.serving.questions import Question, Ranked

_NEVER = "0001-01-01T00:00:00Z"  # how Go writes that there is no time
_MOST_PAGES = 1000


def add_compat(app: Starlette, kinds: Iterable[str]) -> None:
    """Let an app be called in the shapes of others too.

    Args:
        app: Made by `recency.serving.app.create_app`.
        kinds: ``gorse``, ``personalize``.

    Raises:
        ConfigError: another kind is named.
    """
    if strange := [one for one in kinds if one not in COMPAT]:
        raise ConfigError(
            f"expected compat of {', '.join(COMPAT)}, found {', '.join(map(repr, strange))}."
        )
    for kind in kinds:
        for methods, path, handler in COMPAT[kind]:
            app.router.add_route(path, handler, methods=methods, include_in_schema=False)


async def put_gorse_feedback(request: Request) -> Response:
    """Keep feedback; the same type, user, item and time is one event however often it is sent."""
    engine: Engine = request.app.state.engine
    rows = await read_rows(request, engine.limits, "feedback")
    events = [_of_gorse(row) if isinstance(row, Mapping) else row for row in rows]
    outcomes = await _kept(request, events, "us")
    return json_answer({"RowAffected": sum(one.status == "accepted" for one in outcomes)})


async def get_gorse_recommend(request: Request) -> Response:
    """List item ids for a user; with scores where ``X-API-Version`` is 2."""
    engine: Engine = request.app.state.engine
    asked = query_reader(request.query_params, engine.checks)
    asked.known_only(("n", "offset", "category"))
    n, offset = _whole(asked, "n", 10), _whole(asked, "offset", 0)
    categories = [asked.raw["category"]] if asked.raw.get("category") else None
    user = engine.checks.user(path_text(request, "user_id"))
    asked.finish()
    k = min(n + offset, engine.limits.k)
    reader = Reader({"k": k, "categories": categories, "repeats": False}, engine.checks)
    ranked = await _ranked(engine, asked_by(reader, user, None))
    pairs = list(zip(ranked.items, ranked.scores, strict=True))[offset : offset + n]
    if request.headers.get("x-api-version") == "2":
        return json_answer([{"Id": str(item), "Score": score} for item, score in pairs])
    return json_answer([str(item) for item, _ in pairs])


async def post_personalize_events(request: Request) -> Response:
    """Take PutEvents; a session without a user is somebody without a name."""
    engine: Engine = request.app.state.engine
    raw = await read_object(request, engine.limits)
    events = raw.get("eventList")
    if not isinstance(events, list):
        detail = f"expected an object with eventList, found {shown(raw)}."
        raise Problem(422, "invalid-request", detail, [Fault("eventList", detail)])
    who = {"user_id": raw["userId"]} if raw.get("userId") is not None else {}
    who |= {"anonymous_id": raw.get("sessionId")} if not who else {}
    who |= {"session_id": raw.get("sessionId")}
    rows = [{**_of_personalize(one), **who} if isinstance(one, Mapping) else one for one in events]
    await _kept(request, rows, "s")
    return Response()


async def post_personalize_recommendations(request: Request) -> Response:
    """Answer GetRecommendations for a user."""
    engine: Engine = request.app.state.engine
    raw = await read_object(request, engine.limits)
    reader = Reader({"k": raw.get("numResults", 25)}, engine.checks)
    asked = asked_by(reader, engine.checks.user(raw.get("userId")), None)
    ranked = await _ranked(engine, asked)
    items = [
        {"itemId": str(item), "score": score}
        for item, score in zip(ranked.items, ranked.scores, strict=True)
    ]
    return json_answer({"recommendationId": time_id(), "itemList": items})


async def _ranked(engine: Engine, asked: Asked) -> Ranked:
    question: Question = asked.question
    return await engine.recommend(question)


async def _kept(request: Request, rows: Sequence[object], unit: Unit) -> list[Outcome]:
    """Keep events.

    Raises:
        Problem: 422 where some could not be taken; the others are kept.
    """
    engine: Engine = request.app.state.engine
    check_user_rate(request, rows)
    outcomes = await engine.ingest(rows, unit)
    faults = [
        Fault(f"[{place}]", str(one.error))
        for place, one in enumerate(outcomes)
        if one.status == "rejected"
    ]
    if faults:
        raise Problem(
            422,
            "invalid-request",
            f"{len(faults)} of {len(outcomes)} events could not be taken, the others are kept: "
            f"{faults[0].detail}",
            faults[:100],
        )
    return outcomes


def _of_gorse(row: Mapping[str, Any]) -> Mapping[str, Any]:
    event = {name: one for name, one in row.items() if name not in ("Comment", "Labels", "Updated")}
    if event.get("Timestamp") in ("", _NEVER):
        del event["Timestamp"]
    if event.get("Timestamp") is None:
        return event
    parts = [event.get(name) for name in ("FeedbackType", "UserId", "ItemId", "Timestamp")]
    digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=15, person=b"gorse")
    return with_event_id(event, f"g{digest.hexdigest()}")


def _of_personalize(row: Mapping[str, Any]) -> dict[str, Any]:
    event = {name: one for name, one in row.items() if name != "metricAttribution"}
    if isinstance(text := event.get("properties"), str):
        try:
            event["properties"] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            event["properties"] = {"properties": text}
    return event


def _whole(reader: Reader, name: str, default: int) -> int:
    """Read a whole number that an address gives as text."""
    text = str(reader.raw.get(name, default))
    if text.isascii() and text.isdecimal() and int(text[:9]) <= _MOST_PAGES:
        return int(text)
    reader.fault(name, f"expected a whole number from 0 to {_MOST_PAGES:,}, found {shown(text)}.")
    return default


COMPAT: dict[str, list[tuple[list[str], str, Any]]] = {
    "gorse": [
        (["POST", "PUT"], "/api/feedback", put_gorse_feedback),
        (["GET"], "/api/recommend/{user_id}", get_gorse_recommend),
    ],
    "personalize": [
        (["POST"], "/events", post_personalize_events),
        (["POST"], "/recommendations", post_personalize_recommendations),
    ],
}
