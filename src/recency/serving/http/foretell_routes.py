"""The route that asks heads: ratings, chances of an event, the time of the next one, baskets."""

from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from recency.data.vocab import Id
from recency.errors import DataError, RecencyError
from recency.serving.engine import Engine
from recency.serving.foretelling import WHAT, Foretold, What, foretell
from recency.serving.http.answers import json_answer, standing_json
from recency.serving.http.bodies import read_object
from recency.serving.http.question_checks import Reader
from recency.serving.http.terms import in_time, seen
from recency.serving.intake.values import shown
from recency.units import format_instant, parse_duration

FIELDS = (
    "what",
    "users",
    "items",
    "event_type",
    "horizon",
    "horizons",
    "k",
    "at",
    "unit",
    "min_seq",
    "timeout_ms",
)
_DAYS = ("1d", "7d", "30d")
_MOST_BASKETS = 100  # users a request: each is asked about every item, and others wait for that


async def post_foretell(request: Request) -> Response:
    """Tell ratings, chances of an event, the time of the next one, or baskets."""
    engine: Engine = request.app.state.engine
    raw = await read_object(request, engine.limits)
    reader = Reader(raw, engine.checks)
    reader.known_only(FIELDS)
    asked, at = _asked(reader), reader.instant("at", reader.unit())
    terms = reader.terms()
    reader.finish()
    if terms.min_seq:
        await seen(engine, terms)
    instant = engine.now() if at is None else at
    rows = await in_time(terms, engine.call(lambda model: foretell(model, asked, instant)))
    told = {"what": asked.what, "rows": rows, "at": format_instant(instant)}
    return json_answer(told | standing_json(engine))


def _asked(reader: Reader) -> Foretold:
    """Read what is asked, and note what is wrong with it."""
    what = reader.raw.get("what")
    if what not in WHAT:
        reader.fault("what", f"expected one of {', '.join(WHAT)}, found {shown(what)}.")
        what = WHAT[0]
    users, items = _users(reader), reader.items("items")
    horizon = _horizon(reader, "horizon", reader.raw.get("horizon"))
    kind = reader.raw.get("event_type")
    if kind is not None and not isinstance(kind, str):
        reader.fault("event_type", f"expected text, found {shown(kind)}.")
    if what == "rating" or (what == "propensity" and horizon is None):
        if items is None or len(items) != len(users):
            reader.fault("items", f"expected one for each of {len(users):,} users.")
        if what == "propensity" and kind is None:
            reader.fault("event_type", "expected one, or a horizon.")
    elif items is not None:
        reader.fault("items", "expected none: the question is about users.")
    if what == "basket" and len(users) > _MOST_BASKETS:
        reader.fault(
            "users", f"expected at most {_MOST_BASKETS} for baskets, found {len(users):,}."
        )
    given = reader.raw.get("horizons", list(_DAYS))
    if not isinstance(given, list) or len(given) > reader.checks.limits.k:
        reader.fault("horizons", f"expected a list of durations, found {shown(given)}.")
        given = []
    horizons = [_horizon(reader, f"horizons[{n}]", one) for n, one in enumerate(given)]
    return Foretold(
        cast(What, what),
        users,
        items,
        cast(str | None, kind),
        horizon,
        tuple(one for one in horizons if one is not None),
        reader.integer("k", 10, 1, reader.checks.limits.k),
    )


def _users(reader: Reader) -> tuple[Id, ...]:
    values = reader.raw.get("users")
    if not isinstance(values, list) or not 0 < len(values) <= reader.checks.limits.ids:
        most = reader.checks.limits.ids
        reader.fault("users", f"expected a list of 1 to {most:,} ids, found {shown(values)}.")
        return ()
    found: list[Id] = []
    for n, one in enumerate(values):
        try:
            found.append(reader.checks.user(one))
        except DataError as error:
            reader.fault(f"users[{n}]", str(error))
    return tuple(found)


def _horizon(reader: Reader, name: str, value: Any) -> str | float | None:
    """Read seconds or text above 0, as it stands; None where there is none."""
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        if not 0 < parse_duration(value) < 1e11:
            raise ValueError
    except (RecencyError, ValueError, OverflowError):
        reader.fault(name, f"expected seconds above 0, or text such as 30d, found {shown(value)}.")
        return None
    return value
