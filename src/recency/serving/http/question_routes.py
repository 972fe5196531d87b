"""Routes that ask for lists: for users and visits, similar items, what is popular, what is new."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from recency.asking.likeness import WAYS
from recency.data.vocab import Id
from recency.serving.engine import Engine
from recency.serving.http import notes
from recency.serving.http.answers import json_answer, ranked_json, similar_json
from recency.serving.http.bodies import read_object, read_rows
from recency.serving.http.explanations import explanation
from recency.serving.http.given_lists import Find, GivenLists
from recency.serving.http.liked import liked_as_history
from recency.serving.http.paths import path_id, path_text
from recency.serving.http.problems import problem_of
from recency.serving.http.question_checks import (
    QUERY_FIELDS,
    Asked,
    Reader,
    asked_by,
    asked_in_body,
    asked_in_query,
    query_reader,
)
from recency.serving.http.session_checks import asked_in_session
from recency.serving.http.terms import TERM_FIELDS, in_time, seen
from recency.serving.http.time_ids import time_id
from recency.serving.intake.values import shown
from recency.serving.newest import newest
from recency.serving.questions import Question, Ranked
from recency.serving.replies import Reply

NEXT_FIELDS = ("recommendation_id", "k", *TERM_FIELDS)
FOR_ALL_FIELDS = tuple(name for name in QUERY_FIELDS if name not in ("repeats", "explain"))
SIMILAR_FIELDS = ("k", "by", "details", "min_seq", "timeout_ms")
SEARCH_FIELDS = ("q", "k", "details", "min_seq", "timeout_ms")
LONGEST_WORDS = 1_000  # characters of a search


async def get_recommendations(request: Request) -> Response:
    """Rank items for a user."""
    engine: Engine = request.app.state.engine
    user = path_text(request, "user_id")
    return await _answered(request, asked_in_query(user, request.query_params, engine.checks))


async def post_recommendations(request: Request) -> Response:
    """Rank items for a user or after a history, among candidates."""
    engine: Engine = request.app.state.engine
    raw = await read_object(request, engine.limits)
    raw = liked_as_history(raw, engine.checks, engine.now())
    return await _answered(request, asked_in_body(raw, engine.checks))


async def post_session_recommendations(request: Request) -> Response:
    """Rank items after the events of a visit, of which nothing is kept."""
    engine: Engine = request.app.state.engine
    rows = await read_rows(request, engine.limits, "events")
    asked = asked_in_session(rows, request.query_params, engine.checks, engine.now())
    return await _answered(request, asked)


async def post_next_recommendations(request: Request) -> Response:
    """Go on where a list ended, and repeat nothing of it."""
    engine: Engine = request.app.state.engine
    lists: GivenLists = request.app.state.lists
    raw = await read_object(request, engine.limits)
    reader = Reader(raw, engine.checks)
    reader.known_only(NEXT_FIELDS)
    name = raw.get("recommendation_id")
    if not isinstance(name, str):
        reader.fault("recommendation_id", f"expected that of a list, found {shown(name)}.")
    k, terms = reader.integer("k", 0, 1, engine.limits.k), reader.terms()
    reader.finish()
    asked, given = lists.following(str(name), k, terms)
    return await _answered(request, asked, given.find, given.items)


async def get_trending(request: Request) -> Response:
    """Rank items by what everybody turned to of late."""
    return await _answered(request, _asked_of_all(request))


async def get_latest(request: Request) -> Response:
    """List the items that came last."""
    return await _answered(request, _asked_of_all(request), _newest)


async def get_similar_items(request: Request) -> Response:
    """Rank the items most like one."""
    started = time.perf_counter()
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(SIMILAR_FIELDS)
    item = path_id(request, "item_id", reader)
    k = reader.integer("k", 10, 1, engine.limits.k)
    by = reader.raw.get("by", "behaviour")
    if by not in WAYS:
        reader.fault("by", f"expected one of {', '.join(WAYS)}, found {shown(by)}.")
    details, terms = reader.flag("details", False), reader.terms()
    reader.finish()
    if terms.min_seq:
        await seen(engine, terms)
    ranked = await in_time(terms, engine.similar_items(item, k, by))
    request.scope[notes.MODEL] = ranked.model_version
    body = similar_json({"item_id": item}, ranked, engine.catalogue, details)
    return json_answer(body | _told(engine, time_id(), started))


async def get_items_by_words(request: Request) -> Response:
    """Rank the items whose texts are nearest to some words."""
    started = time.perf_counter()
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(SEARCH_FIELDS)
    words = reader.raw.get("q")
    if not isinstance(words, str) or not words.strip() or len(words) > LONGEST_WORDS:
        reader.fault("q", f"expected 1 to {LONGEST_WORDS:,} characters, found {shown(words)}.")
    k = reader.integer("k", 10, 1, engine.limits.k)
    details, terms = reader.flag("details", False), reader.terms()
    reader.finish()
    if terms.min_seq:
        await seen(engine, terms)
    ranked = await in_time(terms, engine.search(str(words), k))
    request.scope[notes.MODEL] = ranked.model_version
    body = similar_json({"q": words}, ranked, engine.catalogue, details)
    return json_answer(body | _told(engine, time_id(), started))


def _asked_of_all(request: Request) -> Asked:
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(FOR_ALL_FIELDS)
    return asked_by(reader, None, ())


async def _answered(
    request: Request, asked: Asked, find: Find = Engine.recommend, before: tuple[Id, ...] = ()
) -> Response:
    """Ask, keep the list so that it can be gone on with, and answer.

    Args:
        request: To answer.
        asked: What and how.
        find: Answers.
        before: Items that the chain of lists gave already; left out.
    """
    started = time.perf_counter()
    engine: Engine = request.app.state.engine
    if asked.terms.min_seq:
        await seen(engine, asked.terms)
    question = asked.question
    if before:
        chosen = question.selection
        chosen = replace(chosen, exclude=(*chosen.exclude, *before))
        question = replace(question, selection=chosen)
    ranked = await in_time(asked.terms, find(engine, question))
    request.scope[notes.MODEL] = ranked.model_version
    name = time_id()
    lists: GivenLists = request.app.state.lists
    lists.keep(name, asked, find, (*before, *ranked.items))
    told = _told(engine, name, started)
    request.app.state.metrics.count_degraded(told["degraded"])
    body = ranked_json(ranked, engine.catalogue, asked.details) | told
    if asked.terms.explain:
        asking = partial(explanation, question=asked.question, at=ranked.at, items=ranked.items)
        body["explanation"] = await engine.call(asking)
    return json_answer(body)


def _told(engine: Engine, name: str, started: float) -> dict[str, Any]:
    """Name an answer, the time it took, and what is amiss with the server that gave it."""
    fault = engine.fault
    return {
        "recommendation_id": name,
        "took_ms": round((time.perf_counter() - started) * 1000, 3),
        "degraded": [] if fault is None else [problem_of(fault).code],
    }


def _newest(engine: Engine, question: Question) -> Reply[Ranked]:
    at = engine.now() if question.at is None else question.at
    return engine.call(lambda model: newest(model, question, at, engine.as_of))
