"""Follower: keeps a recommender in step with the event log.

What is in the log is applied once, in the order of the log: at a start all of it, later each group
as it is committed, or what has gathered since. Every method runs in the thread that owns the
recommender.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import merge
from itertools import groupby, takewhile
from typing import Any

import msgspec
import polars as pl

from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.live.people import describe_as_said
from recency.serving.intake.item_checks import ITEM_COLUMNS
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event, ItemChange, Outcome, UserChange
from recency.serving.log.groups import Group
from recency.serving.models.live_scores import LiveScores
from recency.serving.questions import AsOf, LiveRecommender

logger = logging.getLogger(__name__)
Entry = tuple[int, Event | ItemChange | UserChange]

_READ_AT_ONCE = 8192  # rows of the store
# A model merges many events into all it knows, which takes as long as sorting that: at a start few
# large steps are best, and while others wait many small ones.
_REPLAYED_AT_ONCE = 2**18
_SHOWN_AT_ONCE = 1000
_NONE: frozenset[int] = frozenset()


class Follower:
    """Apply the event log to a recommender.

    Args:
        recommender: As its folder was written, or restored from a snapshot.
        store: What happened since.

    Attributes:
        as_of: The last event applied.
        scores: What the recommender was worth on events judged before they were applied.
        n_replayed: Events applied at the start.
        n_absorbed: Events of the store that the model's folder held already.
        n_refused: Events kept that the model would not take.
        n_erased: Users that the model's folder still held, though they were erased.
        described: Told of the items that were described.
        in_a_hurry: Whether somebody waits for it to be in step, so that nothing is judged.
    """

    def __init__(self, recommender: LiveRecommender, store: EventStore) -> None:
        self._recommender, self._store = recommender, store
        self.as_of = AsOf(0, recommender.recommend([], 1).as_of)
        self.scores = LiveScores()
        self.in_a_hurry = False
        self.described: Callable[[Sequence[Id]], None] | None = None
        self.n_replayed = self.n_absorbed = self.n_refused = self.n_erased = 0
        self._searched = 0  # up to which erasure all users known were looked up

    def replay(
        self, after: int = 0, judged: Collection[int] = _NONE, *, items_after: int = 0
    ) -> None:
        """Apply everything in the store.

        A model may have been fitted anew on a log that holds some of these events already. Those
        are left out: what lay in the store when this model was first served with it, and is in the
        model's own history too. Later events are applied whatever they say.

        Args:
            after: The place in the log up to which the recommender holds all events already; 0
                where that is not known.
            judged: Places of events to judge the recommender on, just before they are applied.
            items_after: The place up to which its catalogue holds all items.
        """
        base = 0 if after else self._base()
        self.as_of = AsOf(after, self.as_of.time)
        self._read_on(judged, items_after, base)

    def catch_up(self, judged: Collection[int] = _NONE) -> None:
        """Apply what was committed since the last entry applied."""
        self._read_on(judged, self.as_of.seq)

    def take(self, group: Group, judged: Collection[int] = _NONE) -> dict[int, str]:
        """Apply a committed group; one that is applied already is passed over.

        Returns:
            By place in the log, why the model would not take an event.
        """
        refused: dict[int, str] = {}
        if group.last_seq <= self.as_of.seq:
            return refused
        for start in range(0, len(group.events), _SHOWN_AT_ONCE):
            refused |= self._show(group.events[start : start + _SHOWN_AT_ONCE], judged)
        self._show_items(group.items)
        self._show_changes([one for _, one in group.changes])
        self.as_of = AsOf(group.last_seq, self.as_of.time)
        return refused

    def _read_on(self, judged: Collection[int], items_after: int, base: int = 0) -> None:
        """Apply the log up to where it ends now."""
        until = self._store.last_seq
        for kind, entries in _runs(self._store, self.as_of.seq, items_after, until):
            if kind is ItemChange:
                self._show_items([one for _, one in entries if isinstance(one, ItemChange)])
                continue
            if kind is UserChange:
                self._show_changes([one for _, one in entries if isinstance(one, UserChange)])
                continue
            events = [(seq, one) for seq, one in entries if isinstance(one, Event)]
            if events[0][0] <= base:
                events = self._without_absorbed(events, base)
            self._show(events, judged)
            self.n_replayed += len(events)
        self.as_of = AsOf(max(until, self.as_of.seq), self.as_of.time)

    def _show(
        self, entries: Sequence[tuple[int, Event]], judged: Collection[int]
    ) -> dict[int, str]:
        """Let the model observe events, and judge it on some of them just before."""
        refused: dict[int, str] = {}
        start = 0
        for place, (seq, event) in enumerate(entries if judged else ()):
            if seq in judged and not self.in_a_hurry:
                refused |= self._observe(entries[start:place])
                start = place
                self._judge(seq, event)
        return refused | self._observe(entries[start:])

    def _judge(self, seq: int, event: Event) -> None:
        """Judge the model on an event, if it has seen nothing as new."""
        if self.as_of.time is not None and event.time <= self.as_of.time:
            return
        try:
            self.scores.judge(self._recommender, seq, event)
        except Exception:  # a figure that is missing must not cost an event
            logger.exception("the model could not be judged on event %r", event.event_id)

    def _observe(self, entries: Sequence[tuple[int, Event]]) -> dict[int, str]:
        """Let the model observe events; tell, by place in the log, which it would not take."""
        if not entries:
            return {}
        try:
            self._recommender.observe([_observed(event) for _, event in entries])
        except RecencyError as error:
            if len(entries) > 1:  # none was taken: go one by one, to leave out the one at fault
                refused: dict[int, str] = {}
                for entry in entries:
                    refused |= self._observe([entry])
                return refused
            seq, event = entries[0]
            logger.error("event %r (seq %d) is kept, not applied: %s", event.event_id, seq, error)
            self.n_refused += 1
            return {seq: f"kept, but the model cannot take it: {error}"}
        for _, event in entries:
            if event.impression is not None:
                shown = msgspec.json.decode(event.impression)
                self._recommender.note_shown(event.user_id, shown, event.time)
        newest = max(event.time for _, event in entries)
        known = self.as_of.time
        self.as_of = AsOf(entries[-1][0], newest if known is None else max(newest, known))
        return {}

    def _show_items(self, changes: Sequence[ItemChange]) -> None:
        """Describe items to the recommender."""
        if not changes:
            return
        kind = self._recommender.items.dtype
        rows = [msgspec.json.decode(one.document) for one in changes]
        frame = pl.DataFrame(rows, {"item_id": kind, **ITEM_COLUMNS})
        self._recommender.describe(frame)
        if self.described is not None:
            self.described([one.item_id for one in changes])

    def _show_changes(self, changes: Sequence[UserChange]) -> None:
        """Let the model know profiles, give a user's events to another, or forget a user.

        An erasure that is read from the log names nobody: then every user known is looked up among
        the erased ones, once.
        """
        unnamed = False
        self._show_profiles(changes)  # first: what is merged or erased after it goes
        for one in changes:
            if one.user_id is None:
                unnamed = True
            elif one.kind == "erase":
                self._recommender.erase_user(one.user_id)
            elif one.anonymous_id is not None:
                self._recommender.merge_users(one.anonymous_id, one.user_id)
        newest = self._store.identities.newest_erasure
        if unnamed and newest > self._searched:  # later ones are of events that are gone
            self._searched = newest
            known = self._recommender.users.ids.to_list()
            for user in self._store.identities.erased_among(known):
                self._recommender.erase_user(user)
                self.n_erased += 1

    def _show_profiles(self, changes: Sequence[UserChange]) -> None:
        """Let a model that reads profiles know the newest of each user."""
        newest = {
            one.user_id: msgspec.json.decode(one.document)
            for one in changes
            if one.kind == "profile" and one.user_id is not None and one.document is not None
        }
        describe_as_said(self._recommender.live.models[0], newest)

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
                    # A log that was fitted anew may have the events of a merged id as the user's.
                    history = pl.concat(
                        self._recommender.history(one)
                        for one in {event.user_id, self._store.identities.of(event.user_id)}
                    )
                    times = history["timestamp"].to_physical().to_list()
                    held[event.user_id] = set(zip(history["item_id"].to_list(), times, strict=True))
                if (event.item_id, event.time) in held[event.user_id]:
                    continue
            kept.append((seq, event))
        self.n_absorbed += len(entries) - len(kept)
        return kept


def _runs(
    store: EventStore, after: int, items_after: int, until: int
) -> Iterator[tuple[type, list[Entry]]]:
    """Read events, items and changes of users in the order of the log, as runs of one kind."""

    def changed(place: int, limit: int) -> Sequence[Entry]:
        return store.read_changed_items(items_after, place, limit)

    entries = merge(
        _pages(store.read, after, until),
        _pages(changed, items_after, until),
        _pages(store.read_changes, after, until),
        key=lambda entry: entry[0],
    )
    for kind, run in groupby(entries, key=lambda entry: type(entry[1])):
        part: list[Entry] = []
        for entry in run:
            part.append(entry)
            if len(part) == _REPLAYED_AT_ONCE:
                yield kind, part
                part = []
        if part:
            yield kind, part


def _pages(read: Callable[[int, int], Sequence[Entry]], after: int, until: int) -> Iterator[Entry]:
    while after < until and (page := read(after, _READ_AT_ONCE)):
        yield from takewhile(lambda entry: entry[0] <= until, page)
        after = page[-1][0]


def _observed(event: Event) -> dict[str, Any]:
    return {
        "user_id": event.user_id,
        "item_id": event.item_id,
        "timestamp": event.time,
        "event_type": event.event_type,
        "value": event.value,
    }


def with_refusal(outcome: Outcome, refused: dict[int, str]) -> Outcome:
    """Tell in an outcome that the model would not take its event."""
    if outcome.status != "accepted" or outcome.seq not in refused:
        return outcome
    return Outcome(outcome.event_id, "rejected", outcome.seq, refused[outcome.seq])
