"""Follower: keeps a recommender in step with the event log.

What is in the log is applied once, in the order of the log: at a start all of it, later each group
as it is committed. Every method runs in the thread that owns the recommender.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Any

import msgspec
import polars as pl

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.event_store import EventStore
from recency.serving.events import Event, ItemChange, Outcome
from recency.serving.groups import Group
from recency.serving.item_checks import ITEM_COLUMNS
from recency.serving.questions import AsOf, LiveRecommender
from recency.serving.refusals import StoppedError

logger = logging.getLogger(__name__)
Watch = Callable[[Group, float], None]
Entry = tuple[int, Event | ItemChange]

_READ_AT_ONCE = 8192  # rows of the store
# A model merges many events into all it knows, which takes as long as sorting that: at a start few
# large steps are best, and while others wait many small ones.
_REPLAYED_AT_ONCE = 2**18
_SHOWN_AT_ONCE = 1000


class Follower:
    """Apply the event log to a recommender.

    Args:
        recommender: As its folder was written.
        store: What happened since.

    Attributes:
        watch: Told of each group applied, with the seconds that took; None for nobody.
        as_of: The last event applied.
        broken: Why nothing can be applied any more; None as long as all is well.
        n_replayed: Events applied at the start.
        n_absorbed: Events of the store that the model's folder held already.
        n_refused: Events kept that the model would not take.
    """

    def __init__(self, recommender: LiveRecommender, store: EventStore) -> None:
        self._recommender, self._store = recommender, store
        self.watch: Watch | None = None
        self.as_of = AsOf(0, recommender.recommend([], 1).as_of)
        self.broken: StoppedError | None = None
        self.n_replayed = self.n_absorbed = self.n_refused = 0

    def replay(self) -> None:
        """Apply everything in the store.

        A model may have been fitted anew on a log that holds some of these events already. Those
        are left out: what lay in the store when this model was first served with it, and is in the
        model's own history too. Later events are applied whatever they say.
        """
        base = self._base()
        for kind, entries in _runs(self._store):
            if kind is ItemChange:
                self._show_items([one for _, one in entries if isinstance(one, ItemChange)])
                continue
            events = [(seq, one) for seq, one in entries if isinstance(one, Event)]
            if events[0][0] <= base:
                events = self._without_absorbed(events, base)
            self._show(events)
            self.n_replayed += len(events)
        self.as_of = AsOf(self._store.last_seq, self.as_of.time)

    def apply(self, group: Group) -> None:
        """Apply a committed group, then acknowledge it."""
        if self.broken is not None:
            group.fail(self.broken)
            return
        started = time.perf_counter()
        try:
            refused: dict[int, str] = {}
            for start in range(0, len(group.events), _SHOWN_AT_ONCE):
                refused |= self._show(group.events[start : start + _SHOWN_AT_ONCE])
            self._show_items(group.items)
        except Exception as error:
            logger.exception("the model failed on committed events")
            self.broken = StoppedError(
                f"the model failed on an event that is kept: {type(error).__name__}: {error}. "
                f"Restart the server: it loads the model anew and applies the event store."
            )
            group.fail(self.broken)
            return
        self.as_of = AsOf(max(self.as_of.seq, group.last_seq), self.as_of.time)
        for append in group.appends if refused else ():
            append.outcomes = [_with_refusal(outcome, refused) for outcome in append.outcomes]
        if self.watch is not None:
            self.watch(group, time.perf_counter() - started)
        group.resolve()

    def _show(self, entries: Sequence[tuple[int, Event]]) -> dict[int, str]:
        """Let the model observe events; tell, by place in the log, which it would not take."""
        if not entries:
            return {}
        try:
            self._recommender.observe([_observed(event) for _, event in entries])
        except RecencyError as error:
            if len(entries) > 1:  # none was taken: go one by one, to leave out the one at fault
                refused: dict[int, str] = {}
                for entry in entries:
                    refused |= self._show([entry])
                return refused
            seq, event = entries[0]
            logger.error("event %r (seq %d) is kept, not applied: %s", event.event_id, seq, error)
            self.n_refused += 1
            return {seq: f"kept, but the model cannot take it: {error}"}
        newest = max(event.time for _, event in entries)
        known = self.as_of.time
        self.as_of = AsOf(entries[-1][0], newest if known is None else max(newest, known))
        return {}

    def _show_items(self, changes: Sequence[ItemChange]) -> None:
        """Bring descriptions of items into the catalogue."""
        if not changes:
            return
        kind = self._recommender.items.dtype
        rows = [msgspec.json.decode(one.document) for one in changes]
        frame = pl.DataFrame(rows, {"item_id": kind, **ITEM_COLUMNS})
        known = self._recommender.catalogue
        if known is None:
            known = Catalogue(frame.clear().select("item_id"))
        self._recommender.catalogue = known.upsert(frame)

    def _base(self) -> int:
        """Give the newest entry that the store had when this very model first met it."""
        name = f"first met {self._recommender.model_version} as of {self.as_of.time}"
        base = self._store.note(name)
        if base is None:
            base = str(self._store.last_seq)
            self._store.write_note(name, base)
        return int(base)

    def _without_absorbed(
        self, entries: list[tuple[int, Event]], base: int
    ) -> list[tuple[int, Event]]:
        held: dict[Id, set[tuple[Id, int]]] = {}
        kept = []
        for seq, event in entries:
            if seq <= base:
                if event.user_id not in held:
                    history = self._recommender.history(event.user_id)
                    times = history["timestamp"].to_physical().to_list()
                    held[event.user_id] = set(zip(history["item_id"].to_list(), times, strict=True))
                if (event.item_id, event.time) in held[event.user_id]:
                    continue
            kept.append((seq, event))
        self.n_absorbed += len(entries) - len(kept)
        return kept


def _runs(store: EventStore) -> Iterator[tuple[type, list[Entry]]]:
    """Read events and items in the order of the log, as runs of one kind."""
    entries = merge(_pages(store.read), _pages(store.read_items), key=lambda entry: entry[0])
    for kind, run in groupby(entries, key=lambda entry: type(entry[1])):
        part: list[Entry] = []
        for entry in run:
            part.append(entry)
            if len(part) == _REPLAYED_AT_ONCE:
                yield kind, part
                part = []
        if part:
            yield kind, part


def _pages(read: Callable[[int, int], Sequence[Entry]]) -> Iterator[Entry]:
    after = 0
    while page := read(after, _READ_AT_ONCE):
        yield from page
        after = page[-1][0]


def _observed(event: Event) -> dict[str, Any]:
    return {
        "user_id": event.user_id,
        "item_id": event.item_id,
        "timestamp": event.time,
        "event_type": event.event_type,
        "value": event.value,
    }


def _with_refusal(outcome: Outcome, refused: dict[int, str]) -> Outcome:
    if outcome.status != "accepted" or outcome.seq not in refused:
        return outcome
    return Outcome(outcome.event_id, "rejected", outcome.seq, refused[outcome.seq])
