"""Routes about models: what versions there are, how they do, and which one serves."""

import asyncio
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from recency.serving.engine import Engine
from recency.serving.http.answers import as_of_json, json_answer, standing_json
from recency.serving.http.bodies import read_object
from recency.serving.http.paths import path_text
from recency.serving.http.question_checks import Reader, query_reader
from recency.serving.intake.values import shown
from recency.serving.models.live_scores import Comparison
from recency.serving.models.standings import Standing
from recency.units import format_instant

_LONGEST_REASON = 1000


async def get_models(request: Request) -> Response:
    """List the versions of the model, and how they do."""
    engine: Engine = request.app.state.engine
    standings = await asyncio.to_thread(engine.models)
    return json_answer({"models": [_line(one, engine) for one in standings]})


async def post_models(request: Request) -> Response:
    """Publish a folder of the registry's incoming/ as a version; it does not serve yet."""
    engine: Engine = request.app.state.engine
    reader = await _body(request, engine, ("folder",))
    if not isinstance(name := reader.raw.get("folder"), str):
        reader.fault("folder", f"expected the name of a folder in incoming/, found {shown(name)}.")
    reader.finish()
    version = await asyncio.to_thread(engine.publish, str(name))
    return json_answer({"version": version, **standing_json(engine)})


async def post_promote(request: Request) -> Response:
    """Let a version serve, once it is loaded and judged; the answer comes when it does."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("reason", "force"))
    reason, force = _reason(request, reader), reader.flag("force", False)
    reader.finish()
    version = path_text(request, "version")
    return _changed(engine, await engine.promote(version, reason, force=force))


async def post_rollback(request: Request) -> Response:
    """Let the previous version serve again, at once."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("reason",))
    reason = _reason(request, reader)
    reader.finish()
    return _changed(engine, await engine.rollback(reason))


async def post_challenge(request: Request) -> Response:
    """Let a version answer a share of the users beside the one that serves."""
    engine: Engine = request.app.state.engine
    reader = await _body(request, engine, ("share",))
    share = reader.raw.get("share")
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if not number:
        reader.fault("share", f"expected a number from 0 to 1, found {shown(share)}.")
    reader.finish()
    version = path_text(request, "version")
    return _changed(engine, await engine.challenge(version, float(share or 0)))


def _changed(engine: Engine, version: str) -> Response:
    return json_answer({"version": version, **standing_json(engine)})


async def _body(request: Request, engine: Engine, names: tuple[str, ...]) -> Reader:
    raw = await read_object(request, engine.limits)
    reader = Reader(raw, engine.checks)
    reader.known_only(names)
    return reader


def _reason(request: Request, reader: Reader) -> str:
    reason = request.query_params.get("reason", "")
    if len(reason) > _LONGEST_REASON:
        reader.fault("reason", f"expected at most {_LONGEST_REASON:,} characters.")
    return reason


def _line(one: Standing, engine: Engine) -> dict[str, Any]:
    return {
        "model_version": one.version,
        "active": one.version == engine.model_version,
        "role": one.role,
        "share": one.share,
        "published": _instant(one.published),
        "candidate": one.candidate,
        "refused": one.refused,
        "facts": one.facts or {},
        "cut": _instant(one.cut),
        "n_users": one.n_users,
        "n_items": one.n_items,
        "as_of": None if one.as_of is None else as_of_json(one.as_of),
        "score": None if one.score is None else asdict(one.score),
        "comparison": _comparison(one.comparison),
    }


def _comparison(found: Comparison | None) -> dict[str, Any] | None:
    if found is None or not found.n:
        return None
    sure = found.n > 1  # an interval of one event has no ends
    return {
        "n": found.n,
        "ndcg": found.ndcg,
        "champion_ndcg": found.other,
        "low": found.low if sure else None,
        "high": found.high if sure else None,
    }


def _instant(time: int | None) -> str | None:
    return None if time is None else format_instant(time)
