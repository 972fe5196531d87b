"""Calls: every request of the service's API, made of Python values and read back into answers.

Nothing is sent here, so both clients say the same. A call knows whether it may be sent again when
nobody can tell whether it arrived: reading is, and so is whatever leaves the same behind twice.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from recency.client import answers
from recency.client.answers import Id, Json
from recency.client.faults import RejectedError
from recency.errors import ConfigError
from recency.units import Instant, format_instant, parse_instant

Reply = TypeVar("Reply")
Unit = Literal["s", "ms", "us"]
What = Literal["rating", "propensity", "next_time", "basket"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """Describe one request.

    Attributes:
        answer: What a good answer is read as; None for its text.
        body: Encoded; None for none.
        again: Whether it may be sent again when nobody knows whether it arrived.
        content_type: Of the body.
    """

    method: str
    path: str
    answer: type[Reply] | None
    query: Json = field(default_factory=dict)
    body: bytes | None = None
    again: bool = True
    content_type: str = "application/json"

    def read(self, body: bytes) -> Reply:
        """Read a good answer."""
        return msgspec.json.decode(body, type=self.answer)


def address(url: str) -> str:
    """Check the address of a service.

    Raises:
        ConfigError: it is none.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest:
        raise ConfigError(
            f"expected the address of a service such as http://127.0.0.1:8080, found {url!r}."
        )
    return url.rstrip("/")


# --- events --------------------------------------------------------------------------------------


def named(event: Row) -> Json:
    """Give an event with an id and plain values: sent twice it is one event."""
    made = {name: _plain(value) for name, value in event.items()}
    if made.get("event_id") is None:
        # Ids that grow with time keep the service's index of them in one place.
        made["event_id"] = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
    return made


def post_events(events: Sequence[Json], unit: Unit) -> Call[answers.EventsAnswer]:
    """Send events."""
    query: Json = {} if unit == "us" else {"unit": unit}
    return Call("POST", "/v1/events", answers.EventsAnswer, query, _json(events))


# --- questions -----------------------------------------------------------------------------------


def recommend(
    user: Id | None,
    history: Sequence[Row] | None,
    k: int,
    at: Instant | None,
    min_seq: int,
    more: Mapping[str, Any],
) -> Call[answers.Recommended]:
    """Ask for a list: for a user, or after a history without a name."""
    asked: Json = {"k": k, **{name: _plain(one) for name, one in more.items()}}
    if user is not None:
        asked["user_id"] = user
    if history is not None:
        asked["history"] = [{name: _plain(one) for name, one in row.items()} for row in history]
    if at is not None:
        asked["at"] = format_instant(parse_instant(at))
    if min_seq:
        asked["min_seq"] = min_seq
    return Call("POST", "/v1/recommendations", answers.Recommended, {}, _json(asked))


def session(
    events: Sequence[Row], k: int, min_seq: int, more: Mapping[str, Any]
) -> Call[answers.Recommended]:
    """Ask for a list after the events of a visit."""
    rows = [{name: _plain(one) for name, one in row.items()} for row in events]
    query = _queried(more) | _listed(k, False, min_seq)
    return Call("POST", "/v1/recommendations/session", answers.Recommended, query, _json(rows))


def of_all(
    which: Literal["trending", "latest"], k: int, min_seq: int, more: Mapping[str, Any]
) -> Call[answers.Recommended]:
    """Ask for a list that is the same for everybody."""
    query = _queried(more) | _listed(k, False, min_seq)
    return Call("GET", f"/v1/{which}", answers.Recommended, query)


def foretell(
    what: What,
    users: Sequence[Id],
    items: Sequence[Id] | None,
    at: Instant | None,
    min_seq: int,
    more: Mapping[str, Any],
) -> Call[answers.Foretold]:
    """Ask the heads of a model."""
    asked: Json = {"what": what, "users": list(users)}
    asked |= {name: _plain(one) for name, one in more.items()}
    if items is not None:
        asked["items"] = list(items)
    if at is not None:
        asked["at"] = format_instant(parse_instant(at))
    if min_seq:
        asked["min_seq"] = min_seq
    return Call("POST", "/v1/foretell", answers.Foretold, {}, _json(asked))


def following(recommendation_id: str, k: int | None) -> Call[answers.Recommended]:
    """Ask for what comes after a list."""
    asked: Json = {"recommendation_id": recommendation_id} | ({} if k is None else {"k": k})
    return Call("POST", "/v1/recommendations/next", answers.Recommended, {}, _json(asked))


def search(words: str, k: int, details: bool, min_seq: int) -> Call[answers.Recommended]:
    """Ask for items by words."""
    query = {"q": words} | _listed(k, details, min_seq)
    return Call("GET", "/v1/items/search", answers.Recommended, query)


def similar(item: Id, k: int, by: str, details: bool, min_seq: int) -> Call[answers.Recommended]:
    """Ask for items like one."""
    query = ({} if by == "behaviour" else {"by": by}) | _listed(k, details, min_seq)
    return Call("GET", f"/v1/items/{_part(item)}/similar", answers.Recommended, query)


def _queried(more: Mapping[str, Any]) -> Json:
    """Write what is asked as it stands behind the question mark of an address."""
    found: Json = {}
    for name, one in more.items():
        plain = _plain(one)
        if isinstance(plain, bool):
            plain = "true" if plain else "false"
        found[name] = ",".join(map(str, plain)) if isinstance(plain, list) else plain
    return found


def _listed(k: int, details: bool, min_seq: int) -> Json:
    query: Json = {"k": k} | ({"details": "true"} if details else {})
    return query | ({"min_seq": min_seq} if min_seq else {})


# --- items ---------------------------------------------------------------------------------------


def put_items(items: Iterable[Row]) -> Call[answers.ItemsAnswer]:
    """Describe items anew."""
    rows = [{name: _plain(one) for name, one in item.items()} for item in items]
    return Call("PUT", "/v1/items", answers.ItemsAnswer, {}, _json(rows))


def patch_item(item: Id, changes: Row) -> Call[answers.ItemTaken]:
    """Change some of what is known of an item."""
    body = _json({name: _plain(one) for name, one in changes.items()})
    return Call("PATCH", f"/v1/items/{_part(item)}", answers.ItemTaken, {}, body)


def delete_item(item: Id) -> Call[answers.ItemTaken]:
    """Take an item out of the catalogue."""
    return Call("DELETE", f"/v1/items/{_part(item)}", answers.ItemTaken)


def items(limit: int, cursor: str | None) -> Call[answers.Items]:
    """Ask for some items."""
    return Call("GET", "/v1/items", answers.Items, _paged(limit, cursor))


def item(item_id: Id) -> Call[answers.Item]:
    """Ask what is known of an item."""
    return Call("GET", f"/v1/items/{_part(item_id)}", answers.Item)


# --- users ---------------------------------------------------------------------------------------


def users(limit: int, cursor: str | None) -> Call[answers.Users]:
    """Ask for some users."""
    return Call("GET", "/v1/users", answers.Users, _paged(limit, cursor))


def user(user_id: Id, limit: int) -> Call[answers.User]:
    """Ask for a user's history."""
    return Call("GET", f"/v1/users/{_part(user_id)}", answers.User, {"limit": limit})


def describe_user(user_id: Id, said: Row) -> Call[answers.Described]:
    """Say what is known of a user."""
    body = _json({name: _plain(one) for name, one in said.items()})
    return Call("PUT", f"/v1/users/{_part(user_id)}", answers.Described, {}, body)


def export_user(user_id: Id) -> Call[bytes]:
    """Ask for all that is kept of a user."""
    return Call("GET", f"/v1/users/{_part(user_id)}/export", None)


def merge_users(anonymous: Id, user_id: Id) -> Call[answers.Merged]:
    """Make the events of one id another's."""
    body = _json({"anonymous_id": anonymous})
    return Call("POST", f"/v1/users/{_part(user_id)}/merge", answers.Merged, {}, body)


def erase_user(user_id: Id) -> Call[answers.Erased]:
    """Erase a user."""
    return Call("DELETE", f"/v1/users/{_part(user_id)}", answers.Erased)


# --- the service ---------------------------------------------------------------------------------


def models() -> Call[answers.Models]:
    """Ask for the models."""
    return Call("GET", "/v1/models", answers.Models)


def promote(version: str) -> Call[Json]:
    """Put a model to work."""
    return Call("POST", f"/v1/models/{_part(version)}/promote", dict, again=False)


def rollback() -> Call[Json]:
    """Put the model before to work again."""
    return Call("POST", "/v1/models/rollback", dict, again=False)


def status() -> Call[Json]:
    """Ask how the service stands."""
    return Call("GET", "/v1/status", dict)


def ready() -> Call[answers.Ready]:
    """Ask whether the service takes events."""
    return Call("GET", "/ready", answers.Ready, again=False)


def name_of(recommended: answers.Recommended | str) -> str:
    """Give the name of a list.

    Raises:
        ConfigError: the service gave it none.
    """
    name = recommended if isinstance(recommended, str) else recommended.recommendation_id
    if not name:
        raise ConfigError("expected a list with a recommendation_id, found one without.")
    return name


def taken(answer: answers.EventsAnswer) -> int:
    """Give the place in the log of an event sent alone.

    Raises:
        RejectedError: it was rejected.
    """
    (outcome,) = answer.results
    if outcome.status == "rejected" or outcome.seq is None:
        raise RejectedError(200, "rejected", outcome.error or "the event was rejected.")
    return outcome.seq


def accepted(answer: answers.ItemsAnswer) -> None:
    """Check that an item described alone was taken.

    Raises:
        RejectedError: it was rejected.
    """
    for outcome in answer.results:
        if outcome.status == "rejected":
            raise RejectedError(200, "rejected", outcome.error or "the item was rejected.")


def lines(body: bytes) -> list[Json]:
    """Read one JSON object a line."""
    return [msgspec.json.decode(line) for line in body.splitlines() if line.strip()]


def _paged(limit: int, cursor: str | None) -> Json:
    return {"limit": limit} | ({} if cursor is None else {"cursor": cursor})


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _part(one: Id) -> str:
    """Write an id as one part of a path."""
    return quote(str(one), safe="")


def _plain(value: object) -> object:
    """Turn instants into text; the rest stays."""
    if isinstance(value, datetime | date):
        return format_instant(parse_instant(value))
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return value
