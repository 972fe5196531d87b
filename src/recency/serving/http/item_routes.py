"""Routes about items: described, changed, hidden for good, listed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from recency.data.vocab import Id
from recency.errors import UnknownIdError
from recency.serving.engine import Engine
from recency.serving.http.answers import described, json_answer, standing_json
from recency.serving.http.bodies import Unreadable, read_object, read_rows
from recency.serving.http.cursors import cursor_at, row_of
from recency.serving.http.event_routes import unit_of, unread
from recency.serving.http.paths import path_id
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import query_reader
from recency.serving.http.turns import Turns
from recency.serving.intake.item_checks import ITEM_FIELDS, ItemChecks
from recency.serving.intake.values import Unit, shown
from recency.serving.log.events import ItemChange, Outcome
from recency.serving.questions import LiveRecommender

_MOST = 1000  # items of one page


async def put_items(request: Request) -> Response:
    """Keep descriptions of items, each in place of the one before."""
    return await _take(request)


async def post_items(request: Request) -> Response:
    """Keep descriptions of items, as PUT does."""
    return await _take(request)


async def put_item(request: Request) -> Response:
    """Keep the description of an item, in place of the one before."""
    engine: Engine = request.app.state.engine
    item, unit = _named(request)
    raw = _of_item(await read_object(request, engine.limits), item, engine)
    async with _turns(request).of([item]):
        return await _keep_one(engine, raw, unit)


async def patch_item(request: Request) -> Response:
    """Change the fields named of a description, and leave the others; null takes one away."""
    engine: Engine = request.app.state.engine
    item, unit = _named(request)
    raw = _of_item(await read_object(request, engine.limits), item, engine)
    async with _turns(request).of([item]):
        known = await engine.call(lambda model: _known(model, item))
        before = {name: _sent(one) for name, one in known.items() if name in ITEM_FIELDS}
        return await _keep_one(engine, {**before, **raw}, unit)


async def delete_item(request: Request) -> Response:
    """Forget what is known of an item, and never give it again until it is described anew."""
    engine: Engine = request.app.state.engine
    item, unit = _named(request)
    async with _turns(request).of([item]):
        await engine.call(lambda model: _known(model, item))
        return await _keep_one(engine, {"item_id": item, "is_hidden": True}, unit, "deleted")


async def get_item(request: Request) -> Response:
    """Describe an item."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(())
    item = path_id(request, "item_id", reader)
    reader.finish()
    found = await engine.call(lambda model: _known(model, item))
    return json_answer(found | standing_json(engine))


async def get_items(request: Request) -> Response:
    """List items, each as it is described."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("cursor", "limit"))
    limit, start = reader.integer("limit", 100, 1, _MOST), row_of(reader)
    reader.finish()
    found = await engine.call(lambda model: _page(model, start, limit))
    return json_answer(found | standing_json(engine))


async def _take(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    unit = unit_of(request, engine)
    rows = await read_rows(request, engine.limits, "items")
    checks = ItemChecks(engine.checks)
    checked = [
        unread(row) if isinstance(row, Unreadable) else checks.check(row, unit) for row in rows
    ]
    changes = [one for one in checked if isinstance(one, ItemChange)]
    if changes:
        async with _turns(request).of(one.item_id for one in changes):
            await engine.put_items(changes)
    return json_answer(
        {
            "accepted": len(changes),
            "rejected": len(checked) - len(changes),
            "results": [_outcome(one) for one in checked],
            **standing_json(engine),
        }
    )


async def _keep_one(
    engine: Engine, raw: Mapping[str, Any], unit: Unit, status: str = "accepted"
) -> Response:
    change = ItemChecks(engine.checks).check(raw, unit)
    if isinstance(change, Outcome):
        text = str(change.error)
        raise Problem(422, "invalid-request", text, [Fault("item", text)])
    await engine.put_items([change])
    return json_answer({"item_id": change.item_id, "status": status, **standing_json(engine)})


def _named(request: Request) -> tuple[Id, Unit]:
    """Read the id in the path, and the unit behind it."""
    engine: Engine = request.app.state.engine
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("unit",))
    item, unit = path_id(request, "item_id", reader), reader.unit()
    reader.finish()
    return item, unit


def _of_item(raw: Mapping[str, Any], item: Id, engine: Engine) -> dict[str, Any]:
    """Give a description the id of its path.

    Raises:
        Problem: 422, it says another id.
    """
    said = raw.get("item_id")
    if said is not None and engine.checks.item(said) != item:
        detail = f"expected {shown(item)} as in the address, or none, found {shown(said)}."
        raise Problem(422, "invalid-request", f"item_id: {detail}", [Fault("item_id", detail)])
    return {**raw, "item_id": item}


def _known(model: LiveRecommender, item: Id) -> dict[str, Any]:
    """Give what is known of an item.

    Raises:
        UnknownIdError: nothing is.
    """
    seen, found = model.n_events_of(item) > 0, described(model.catalogue, item)
    if not seen and not found:
        raise UnknownIdError(
            f"item {item!r} is unknown: no event names it, and it was never described. "
            f"PUT /v1/items describes it."
        )
    return {"item_id": item, **found, "seen": seen}


def _page(model: LiveRecommender, start: int, limit: int) -> dict[str, Any]:
    end = min(start + limit, len(model.items))
    ids: Sequence[Id] = model.items.take(range(start, end)) if start < end else ()
    lines = [{**described(model.catalogue, one), "item_id": one} for one in ids]
    following = cursor_at(end) if start < end < len(model.items) else None
    return {"items": lines, "n_items": len(model.items), "next_cursor": following}


def _sent(value: object) -> object:
    """Give a value of a description as a client would send it."""
    return value.isoformat() if isinstance(value, datetime) else value


def _turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


def _outcome(one: ItemChange | Outcome) -> dict[str, Any]:
    if isinstance(one, Outcome):
        return {"item_id": None, "status": one.status, "error": one.error}
    return {"item_id": one.item_id, "status": "accepted"}
