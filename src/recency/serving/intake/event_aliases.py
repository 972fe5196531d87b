"""Event aliases: other names under which other systems send the fields of an event.

Only names that can mean one thing are taken. Two names of one field in one event are a fault, even
where they agree: one of them is a mistake, and guessing which would keep the mistake.
"""

from collections.abc import Mapping
from typing import Any

ALIASES: dict[str, str] = {
    "userId": "user_id",
    "UserId": "user_id",
    "itemId": "item_id",
    "ItemId": "item_id",
    "eventId": "event_id",
    "sessionId": "session_id",
    "anonymousId": "anonymous_id",
    "recommendationId": "recommendation_id",
    "type": "event_type",
    "event": "event_type",
    "eventType": "event_type",
    "FeedbackType": "event_type",
    "sentAt": "timestamp",
    "eventTime": "timestamp",
    "Timestamp": "timestamp",
    "eventValue": "value",
    "Value": "value",
    "properties": "context",
}
_EVENT_ID = ("event_id", *(name for name, field in ALIASES.items() if field == "event_id"))


def by_own_names(raw: Mapping[Any, Any], faults: list[str]) -> Mapping[Any, Any]:
    """Give an event under the names of this service; note a fault where two names mean the same.

    Args:
        raw: As a client sent it.
        faults: Is added to.
    """
    if ALIASES.keys().isdisjoint(raw):
        return raw
    named: dict[Any, Any] = {}
    said: dict[Any, Any] = {}
    for name, value in raw.items():
        field = ALIASES.get(name, name)
        if field in named:
            faults.append(
                f"{said[field]!r} and {name!r} both name the {field} of an event; send one."
            )
        else:
            named[field], said[field] = value, name
    return named


def with_event_id(raw: Mapping[Any, Any], event_id: str) -> Mapping[Any, Any]:
    """Give an event an id where it brings none of its own, under whatever name."""
    if any(raw.get(name) is not None for name in _EVENT_ID):
        return raw
    return {name: one for name, one in raw.items() if name not in _EVENT_ID} | {
        "event_id": event_id
    }
