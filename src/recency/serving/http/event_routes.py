"""Routes that take events in."""

import hashlib
import time
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from recency.serving.engine import Engine
from recency.serving.http.answers import json_answer, standing_json
from recency.serving.http.bodies import Unreadable, header, read_rows
from recency.serving.http.metrics import Metrics
from recency.serving.http.problems import Fault, Problem
from recency.serving.http.question_checks import query_reader
from recency.serving.http.rate_limits import check_user_rate
from recency.serving.intake.event_aliases import with_event_id
from recency.serving.intake.values import Unit
from recency.serving.log.events import Outcome

_KEY_LENGTH = 256  # characters


async def post_events(request: Request) -> Response:
    """Keep events and show them to the model."""
    started = time.perf_counter()
    engine: Engine = request.app.state.engine
    metrics: Metrics = request.app.state.metrics
    unit = unit_of(request, engine)
    key = header(request, b"idempotency-key")
    rows = await read_rows(request, engine.limits, "events")
    if key is not None:
        rows = _named(rows, key)
    check_user_rate(request, rows)
    readable = [row for row in rows if not isinstance(row, Unreadable)]
    outcomes = await engine.ingest(readable, unit)
    if len(readable) < len(rows):
        rest = iter(outcomes)
        outcomes = [unread(row) if isinstance(row, Unreadable) else next(rest) for row in rows]
    counts = metrics.count(outcomes, time.perf_counter() - started)
    return json_answer({**counts, "results": outcomes, **standing_json(engine)})


def unit_of(request: Request, engine: Engine) -> Unit:
    """Read the unit of numbers from an address that has nothing else.

    Raises:
        Problem: 422, with all faults.
    """
    if not request.scope["query_string"]:
        return "us"
    reader = query_reader(request.query_params, engine.checks)
    reader.known_only(("unit",))
    unit = reader.unit()
    reader.finish()
    return unit


def unread(row: Unreadable) -> Outcome:
    """Give the outcome of a line that is not JSON."""
    return Outcome(None, "rejected", error=row.detail)


def _named(rows: Sequence[object], key: str) -> list[object]:
    """Name events by the key of their request and their place in it, so that each try names alike.

    Raises:
        Problem: 422, the key is empty or too long.
    """
    if not 0 < len(key) <= _KEY_LENGTH:
        detail = f"expected 1 to {_KEY_LENGTH} characters, found {len(key):,}."
        raise Problem(
            422,
            "invalid-request",
            f"Idempotency-Key: {detail}",
            [Fault("Idempotency-Key", detail)],
        )
    # A digest, so that no key can be made to name another's events.
    stem = hashlib.blake2b(key.encode(), digest_size=15, person=b"idempotency").hexdigest()
    return [
        with_event_id(row, f"k{stem}-{place}") if isinstance(row, Mapping) else row
        for place, row in enumerate(rows)
    ]
