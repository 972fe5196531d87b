"""Answers: what the engine says, as JSON."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from starlette.responses import Response

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import UnknownIdError
from recency.serving.engine import Engine
from recency.serving.questions import AsOf, Ranked
from recency.units import format_instant

_encode = msgspec.json.Encoder().encode
_instant = lru_cache(maxsize=64)(format_instant)  # answers of one moment share theirs


def json_answer(content: object, status: int = 200) -> Response:
    """Write an answer as JSON."""
    return Response(_encode(content), status, media_type="application/json")


def as_of_json(as_of: AsOf) -> dict[str, Any]:
    """Name the last event seen."""
    return {"seq": as_of.seq, "time": None if as_of.time is None else _instant(as_of.time)}


def standing_json(engine: Engine) -> dict[str, Any]:
    """Name the last event seen and the weights in use: every answer says both."""
    return {"as_of": as_of_json(engine.as_of), "model_version": engine.model_version}


def ranked_json(ranked: Ranked, catalogue: Catalogue | None, details: bool) -> dict[str, Any]:
    """Report a ranked list for a user or a history."""
    return {
        "user_id": ranked.user,
        "items": scored_json(ranked, catalogue if details else None),
        "fallback": ranked.fallback,
        "at": _instant(ranked.at),
        "as_of": as_of_json(ranked.as_of),
        "model_version": ranked.model_version,
        **_notes_json(ranked),
    }


def similar_json(
    asked: dict[str, Any], ranked: Ranked, catalogue: Catalogue | None, details: bool
) -> dict[str, Any]:
    """Report items like what was asked: an item, or words."""
    return {
        **asked,
        "items": scored_json(ranked, catalogue if details else None),
        "as_of": as_of_json(ranked.as_of),
        "model_version": ranked.model_version,
        **_notes_json(ranked),
    }


def scored_json(ranked: Ranked, catalogue: Catalogue | None) -> list[dict[str, Any]]:
    """List items with their scores, and with their descriptions where there is a catalogue."""
    pairs: Iterable[tuple[Id, float]] = zip(ranked.items, ranked.scores, strict=True)
    if catalogue is None:
        return [{"item_id": item, "score": score} for item, score in pairs]
    return [
        {**described(catalogue, item), "item_id": item, "score": score} for item, score in pairs
    ]


def described(catalogue: Catalogue | None, item: Id) -> dict[str, Any]:
    """Give what is known about an item; nothing where the catalogue lacks it."""
    if catalogue is None:
        return {}
    try:
        return catalogue.describe(item)
    except UnknownIdError:
        return {}


def _notes_json(ranked: Ranked) -> dict[str, Any]:
    return {"notes": ranked.notes} if ranked.notes else {}
