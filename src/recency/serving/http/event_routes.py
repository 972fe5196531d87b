"""Routes that take something in: events and descriptions of items."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from recency.serving.engine import Engine
from recency.serving.events import ItemChange, Outcome
from recency.serving.http.answers import json_answer, standing_json
from recency.serving.http.bodies import Unreadable, read_rows
from recency.serving.http.metrics import Metrics
from recency.serving.http.question_checks import query_reader
from recency.serving.item_checks import ItemChecks
from recency.serving.values import Unit


async def post_events(request: Request) -> Response:
    """Keep events and show them to the model."""
    started = time.perf_counter()
    engine: Engine = request.app.state.engine
    metrics: Metrics = request.app.state.metrics
    unit = _unit(request, engine)
    rows = await read_rows(request, engine.limits, "events")
    readable = [row for row in rows if not isinstance(row, Unreadable)]
    outcomes = await engine.ingest(readable, unit)
    if len(readable) < len(rows):
        rest = iter(outcomes)
        outcomes = [_unread(row) if isinstance(row, Unreadable) else next(rest) for row in rows]
    counts = metrics.count(outcomes, time.perf_counter() - started)
    return json_answer({**counts, "results": outcomes, **standing_json(engine)})


async def put_items(request: Request) -> Response:
    """Keep descriptions of items, each in place of the one before."""
    engine: Engine = request.app.state.engine
    unit = _unit(request, engine)
    rows = await read_rows(request, engine.limits, "items")
    checks = ItemChecks(engine.checks)
    checked = [
        _unread(row) if isinstance(row, Unreadable) else checks.check(row, unit) for row in rows
    ]
    changes = [one for one in checked if isinstance(one, ItemChange)]
    if changes:
        await engine.put_items(changes)
    return json_answer(
        {
            "accepted": len(changes),
            "rejected": len(checked) - len(changes),
            "results": [_item_outcome(one) for one in checked],
            **standing_json(engine),
        }
    )


def _unit(request: Request, engine: Engine) -> Unit:
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("unit",))
    unit = reader.unit()
    reader.finish()
    return unit


def _unread(row: Unreadable) -> Outcome:
    return Outcome(None, "rejected", error=row.detail)


def _item_outcome(one: ItemChange | Outcome) -> dict[str, Any]:
    if isinstance(one, Outcome):
        return {"item_id": None, "status": one.status, "error": one.error}
    return {"item_id": one.item_id, "status": "accepted"}
