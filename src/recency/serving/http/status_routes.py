"""Routes for those who watch the server."""

import time
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from recency import __version__
from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer, standing_json
from recency.serving.http.metrics import Metrics
from recency.serving.http.problems import Problem, problem_of, problem_response
from recency.serving.measures import lag, memory_bytes, n_states, versions
from recency.serving.models.standings import Standing
from recency.serving.users.erasure import n_pending


async def get_health(request: Request) -> Response:
    """Say that the process runs."""
    return json_answer({"status": "ok", "version": __version__})


async def get_ready(request: Request) -> Response:
    """Say whether events can be taken now."""
    if (problem := _unready(request)) is not None:
        return problem_response(problem, request.url.path)
    return json_answer({"status": "ready", "version": __version__})


async def get_status(request: Request) -> Response:
    """Say how the service stands: what it promises, how far it is, how large it is."""
    engine: Engine = request.app.state.engine
    problem, durability = _unready(request), engine.store.durability
    users, size = n_states(engine.champion.recommender)
    return json_answer(
        {
            "status": "ready" if problem is None else problem.code,
            "durability": {
                "mode": str(durability),
                "loss_window_seconds": durability.loss_window_seconds,
            },
            "last_seq": engine.last_seq,
            "snapshot": _snapshot(engine),
            "erase_pending": n_pending(engine.store),
            "apply_lag_events": lag(engine),
            "events_underway": engine.n_underway,
            "questions_waiting": engine.n_waiting,
            "n_users": engine.n_users,
            "n_items": engine.n_items,
            "state_users": users,
            "state_bytes": size,
            "memory_bytes": memory_bytes(),
            "uptime_seconds": round(time.monotonic() - request.app.state.started, 3),
            "models": [_model(one) for one in engine.models() if one.role is not None],
            "versions": versions(),
            **standing_json(engine),
        }
    )


async def get_metrics(request: Request) -> Response:
    """Give all counters in the text format of Prometheus."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _unready(request: Request) -> Problem | None:
    """Say why events cannot be taken; a server that was told to stop says so before it does."""
    if request.app.state.stopping:
        return Problem(
            503,
            "stopping",
            "the server is about to stop; send to another one.",
            headers={"Retry-After": "1"},
        )
    fault = request.app.state.engine.fault
    return None if fault is None else problem_of(fault)


def _snapshot(engine: Engine) -> dict[str, Any] | None:
    """Tell how far a start would have to read the log: from the newest snapshot on."""
    if (found := engine.snapshots) is None:
        return None
    age = None if found.taken is None else round(time.monotonic() - found.taken, 3)
    return {"seq": found.seq, "age_seconds": age}


def _model(one: Standing) -> dict[str, Any]:
    return {
        "model_version": one.version,
        "role": one.role,
        "share": one.share,
        "ndcg@10": None if one.score is None else one.score.ndcg,
        "n_judged": 0 if one.score is None else one.score.n,
    }
