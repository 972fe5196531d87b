"""Intake: events as they come from outside, turned into rows of growing vocabularies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recency.data.arrivals import Events
from recency.data.histories import UNKNOWN
from recency.data.log import Log
from recency.data.vocab import Id, Vocab
from recency.errors import DataError, RecencyError, raise_all
from recency.units import parse_instant

EventRow = Mapping[str, Any]
Ids = pl.Series | Sequence[Id]
_FAULTS_SHOWN = 10


@dataclass(frozen=True)
class Vocabs:
    """Hold the three vocabularies of a log; all of them only grow.

    Attributes:
        users: User ids.
        items: Item ids.
        types: Event types; empty where the log has none.
    """

    users: Vocab
    items: Vocab
    types: Vocab

    @classmethod
    def of(cls, log: Log) -> "Vocabs":
        """Give rows to everything in a log, in the order of first appearance."""
        types = Vocab(pl.String)
        if log.has("event_type"):
            types = Vocab.from_ids(log.events["event_type"].drop_nulls())
        return cls(
            Vocab.from_ids(log.events["user_id"]), Vocab.from_ids(log.events["item_id"]), types
        )

    def extend(self, users: Ids, items: Ids, types: Ids) -> None:
        """Add what is new."""
        self.users.extend(users)
        self.items.extend(items)
        self.types.extend(types)


def events_of(source: Log | Sequence[EventRow], vocabs: Vocabs, grow: bool = True) -> Events:
    """Turn events into rows, adding new users, items and types to the vocabularies.

    Args:
        source: A log, or dictionaries with ``user_id``, ``item_id``, ``timestamp`` (ISO 8601 text,
            datetime, or integer microseconds), and ``event_type`` and ``value`` if there are any.
        vocabs: Grow where something is new; untouched if there is a fault.
        grow: False leaves the vocabularies alone; what is new becomes `UNKNOWN`.

    Raises:
        DataError: an event cannot be read; all faults together.
    """
    if isinstance(source, Log):
        return _of_log(source, vocabs, grow)
    rows, faults = [], []
    for n, event in enumerate(source):
        try:
            rows.append(_row(event, vocabs))
        except RecencyError as fault:
            faults.append(f"event {n}: {fault}")
    if len(faults) > _FAULTS_SHOWN:
        faults = [*faults[:_FAULTS_SHOWN], f"… and {len(faults) - _FAULTS_SHOWN:,} more."]
    raise_all(faults, DataError)
    users, items, times, types, values = zip(*rows, strict=True) if rows else ((),) * 5
    kinds = np.full(len(types), UNKNOWN, np.int64)
    if named := [place for place, kind in enumerate(types) if kind is not None]:
        told = [types[place] for place in named]
        kinds[named] = vocabs.types.extend(told) if grow else vocabs.types.rows(told)
    return Events(
        users=vocabs.users.extend(users) if grow else vocabs.users.rows(users),
        items=vocabs.items.extend(items) if grow else vocabs.items.rows(items),
        times=np.array(times, np.int64),
        types=kinds,
        values=np.array(values, np.float32),
    )


def _of_log(log: Log, vocabs: Vocabs, grow: bool) -> Events:
    n = len(log)
    types = np.full(n, UNKNOWN, np.int64)
    values = np.full(n, np.nan, np.float32)
    if grow:
        known: Ids = log.events["event_type"].drop_nulls() if log.has("event_type") else []
        vocabs.extend(log.events["user_id"], log.events["item_id"], known)
    if log.has("event_type"):
        types = vocabs.types.rows(log.events["event_type"])
    if log.has("value"):
        values = log.events["value"].fill_null(float("nan")).to_numpy().astype(np.float32)
    return Events(
        users=vocabs.users.rows(log.events["user_id"]),
        items=vocabs.items.rows(log.events["item_id"]),
        times=log.times,
        types=types,
        values=values,
    )


def _row(event: EventRow, vocabs: Vocabs) -> tuple[int | str, int | str, int, str | None, float]:
    get = event.get
    user, item, when = get("user_id"), get("item_id"), get("timestamp")
    if user is None or item is None or when is None:
        missing = [name for name in ("user_id", "item_id", "timestamp") if event.get(name) is None]
        raise DataError(f"{' and '.join(missing)} missing; found {sorted(event)}.")
    value, kind = get("value"), get("event_type")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DataError(f"expected value as a number, found {value!r}.")
    if kind is not None and not isinstance(kind, str):
        raise DataError(f"expected event_type as text, found {kind!r}.")
    return (
        vocabs.users.coerce(user),
        vocabs.items.coerce(item),
        parse_instant(when),
        kind,
        float("nan") if value is None else float(value),
    )
