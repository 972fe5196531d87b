"""The live model: trained weights joined with everything known about users, event by event.

Weights stay as they are here. What moves are timelines (what each user did), states (what the
encoder remembers of it), the experts' memories, and decayed counts (what is popular now, the
fallback for users without a history). An event is visible to the next question.

Several models may stand on the same events, as an ensemble's members do: they share vocabularies,
timelines and, where their experts count alike, memories; an event told to one is known to all.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from recency.data.appearances import Appearances
from recency.data.counts import DecayedCounts
from recency.data.histories import Histories, Ints
from recency.data.intake import EventRow, Vocabs, events_of
from recency.data.log import Log
from recency.data.outside import frame_of, history_of
from recency.data.profiles import forget_person
from recency.data.timelines import Timelines
from recency.data.vocab import Id
from recency.live.observed import Observed
from recency.live.recall import Recall
from recency.live.scoring import Scoring
from recency.live.segments import Segments, recounted
from recency.live.shortlists import Wanted, seen_by
from recency.live.states import States, outputs_at
from recency.nn.fading import OWN_WINDOW
from recency.nn.memories import Memories
from recency.nn.mixing import masked
from recency.nn.model import SequenceModel
from recency.ranking.topk import top_k

Floats = npt.NDArray[np.float32]
Scored = tuple[Floats, npt.NDArray[np.bool_]]


class LiveModel:
    """Answer questions about users while their events arrive.

    Args:
        model: Trained.
        vocabs: Rows of users, items and event types; grow with what is observed.
        histories: The events known so far.
        half_life: Of the fallback's counts, seconds.
        beside: Stands on the same vocabularies and events already; shares them from now on.
    """

    def __init__(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        histories: Histories,
        half_life: float,
        beside: "LiveModel | None" = None,
    ) -> None:
        self.model = model.eval()
        self.vocabs = vocabs
        self.timelines: Timelines = Timelines(histories) if beside is None else beside.timelines
        self.popularity = DecayedCounts(half_life, len(vocabs.items))
        self.popularity.add(histories.items, histories.times)
        self.scoring = Scoring(model)
        self._appeared: tuple[Timelines, Appearances] | None = None
        if beside is None:
            self._appeared = (self.timelines, Appearances.of(histories))
        self._all: list[LiveModel] = [] if beside is None else beside._all
        self.segments: Segments | None = None  # what is popular with whom; see `know_people`
        self.recall = self._own_recall()
        self._all.append(self)

    @property
    def now(self) -> int:
        """Give the instant just after the newest event known, in microseconds."""
        return 0 if self.timelines.newest is None else self.timelines.newest + 1

    @property
    def models(self) -> "tuple[LiveModel, ...]":
        """Give this model and those beside it, the one that came first before the others."""
        return tuple(self._all)

    @property
    def states(self) -> States:
        """Give the states of users."""
        return self.scoring.states

    def know(self, vocabs: Vocabs, histories: Histories) -> None:
        """Know other users, items and events from now on, and so do the models beside.

        Popular counts stay; states are forgotten, memories counted anew, unless restored later.

        Args:
            vocabs: The first rows of items and event types are those that have weights.
            histories: Rows of these.
        """
        people, timelines = self.timelines.people, Timelines(histories)
        timelines.people = None if people is None else people.over(vocabs.users)
        for one in self._all:
            one.vocabs, one.timelines, one.scoring = vocabs, timelines, Scoring(one.model)
            one.segments = recounted(one.segments, lambda: histories, timelines.people)
        for recall in dict.fromkeys(one.recall for one in self._all):
            if recall is not None:
                recall.know(timelines)

    @property
    def n_learned(self) -> int:
        """Count the items with weights that were learned: the first rows of the vocabulary."""
        return self.model.n_items if self.model.n_learned is None else self.model.n_learned

    def observe(self, source: Log | Sequence[EventRow]) -> Observed:
        """Take events in; states follow when they are asked for.

        Raises:
            DataError: an event cannot be read; then none is taken.
        """
        n_users, n_items = len(self.vocabs.users), len(self.vocabs.items)
        events = events_of(source, self.vocabs)
        intact = self.timelines.add(events)
        if (appeared := self._all[0]._appeared) is not None:
            appeared[1].add(events.items, events.times)
        for one in self._all:
            one.states.forget(intact)
            one.popularity.add(events.items, events.times)
            if one.segments is not None:
                one.segments.add(events.users, events.items, events.times)
        for recall in dict.fromkeys(one.recall for one in self._all):
            if recall is not None:
                recall.take(events)
        return Observed(
            n_events=len(events),
            n_new_users=len(self.vocabs.users) - n_users,
            n_new_items=len(self.vocabs.items) - n_items,
            n_late_users=len(intact),
        )

    def merge_users(self, anonymous: Id, user: Id) -> None:
        """Give all events of one id to another: answers are as if they had been its from the start.

        Events of one instant: those of ``anonymous`` come behind. Its profile is forgotten.
        """
        source = self.vocabs.users.row(anonymous)
        forget_person(self.timelines.people, anonymous, source)
        if source < 0 or not self.timelines.count(source):
            return
        target = int(self.vocabs.users.extend([user])[0])
        moved, intact = self.timelines.move(source, target)
        for one in self._all:
            one.scoring.forget({source: 0, **intact})
            one.segments = recounted(one.segments, self.timelines.histories)
        for recall in dict.fromkeys(one.recall for one in self._all):
            if recall is not None:
                recall.move(source, target, moved)

    def erase_user(self, user: Id) -> None:
        """Know nothing of a user any more: answers are as if the user had never been.

        What the user had a part in is counted anew, because what a sum has lost cannot be taken
        from it exactly once its other parts have faded. The row of the vocabulary stays, without
        the id.
        """
        row = self.vocabs.users.row(user)
        if row < 0:
            return
        gone = self.timelines.drop(row)
        forget_person(self.timelines.people, user, row)
        self.vocabs.users.retire(row)
        if not gone.n_events:
            return
        known = self.timelines.histories()
        for one in self._all:
            one.scoring.forget({row: 0})
            one._appeared = None
            one.popularity = DecayedCounts(one.popularity.half_life, len(self.vocabs.items))
            one.popularity.add(known.items, known.times)
            one.segments = recounted(one.segments, lambda: known)
        for recall in dict.fromkeys(one.recall for one in self._all):
            if recall is not None:
                recall.drop(row, gone, known)

    def scores(self, users: Ints, at: int, repeats: bool = True) -> Scored:
        """Score every item for users as of an instant.

        Args:
            users: [n] user rows, `UNKNOWN` for strangers.
            at: Microseconds; events at or after it are not seen.
            repeats: Whether items of the history may be given; they are scored all the same.

        Returns:
            Scores [n, items known], -inf for what cannot be recommended, and [n] whether the user
            had no event before ``at`` and was answered with what is popular.
        """
        known, place = np.unique(users[users >= 0], return_inverse=True)
        histories = self.timelines.histories(known)
        stops = histories.stops_before(np.arange(len(known)), np.full(len(known), at))
        outputs = self.scoring.outputs(known, histories, stops)
        rows = np.full(len(users), -1, np.int64)
        rows[users >= 0] = np.where((stops > histories.offsets[:-1])[place], place, -1)
        scores, fallback = self._scores(rows, outputs, histories, stops, at, repeats)
        if self.segments is not None and fallback.any():
            scores[fallback] = self.popular_with(users[fallback], at)
        return scores, fallback

    @torch.no_grad()
    def shortlist(
        self,
        users: Ints,
        at: int,
        m: int,
        allowed: npt.NDArray[np.bool_] | None = None,
        seen: Histories | None = None,
    ) -> tuple[Ints, Floats, npt.NDArray[np.bool_]] | None:
        """Give the best items of users as of an instant: those that `scores` would rank first.

        Args:
            users: [n] user rows, `UNKNOWN` for strangers.
            at: Microseconds; events at or after it are not seen.
            m: Most items a user.
            allowed: [items known] what may be given; None for all.
            seen: n histories of these users, whose items may not come again; None lets them.

        Returns:
            Item rows [n, m], best first, -1 where there are no more, their scores, -inf there, and
            [n] who was answered with what is popular. None where everything has to be scored: on
            another device than the CPU.
        """
        if self.model.bias.device.type != "cpu":
            return None
        known = np.unique(users[users >= 0])
        newest = self.timelines.newest_before(known, at, OWN_WINDOW)
        there = newest[2] > 0
        asked, n_items = known[there], len(self.vocabs.items)
        fallback = ~np.isin(users, asked)
        items, scores = np.full((len(users), m), -1), np.full((len(users), m), -np.inf, np.float32)
        if len(asked):
            wanted = Wanted(m, n_items, allowed, seen_by(asked, users, seen))
            parts, memories = [part[there] for part in newest], self._memories(at)
            found = self.scoring.best(asked, parts, at, wanted, self.timelines, memories)
            place = np.searchsorted(asked, users[~fallback])
            items[~fallback], scores[~fallback] = (part[place] for part in found)
        if fallback.any():
            popular = self.popular_with(users[fallback], at)
            masked(popular, Wanted(m, n_items, allowed).refused, None, -np.inf)
            items[fallback], scores[fallback] = top_k(popular, m)
        return items, scores, fallback

    def scores_after(self, histories: Histories, at: int, repeats: bool = True) -> Scored:
        """Score every item after histories of people without a name; see `scores`."""
        users = np.arange(histories.n_users)
        stops = histories.stops_before(users, np.full(len(users), at))
        outputs = outputs_at(self.model, histories, users, stops)
        rows = np.where(stops > histories.offsets[:-1], users, -1)
        return self._scores(rows, outputs, histories, stops, at, repeats)

    @property
    def appearances(self) -> Appearances:
        """Count how often each item was seen."""
        lead = self._all[0]
        if lead._appeared is None or lead._appeared[0] is not self.timelines:
            lead._appeared = (self.timelines, Appearances.of(self.timelines.histories()))
        return lead._appeared[1]

    def vectors(self, items: Ints) -> Floats:
        """Give the vectors of items at length 1: [n, dim]; zeros for items without weights."""
        return self.scoring.vectors(items)

    def cosines(self, item: int) -> Floats:
        """Compare one item's vector with all others': [1, items known], -inf for itself."""
        return self.scoring.cosines(item, len(self.vocabs.items))

    def voices(self, users: Ints, at: int) -> tuple[list[str], Floats]:
        """Name the experts, and tell how much users [n] listen to each: [n, experts].

        A row is NaN where there is no event before ``at``.

        Raises:
            ConfigError: the model has no experts.
        """
        return self.scoring.voices(self.timelines.histories(users), at)

    def seen(self, users: Ints, at: int) -> Histories:
        """Give what users did before an instant, one history a row, empty for strangers."""
        histories = self.timelines.histories(np.maximum(users, 0))
        stops = histories.stops_before(np.arange(len(users)), np.full(len(users), at))
        return histories.cut(np.where(users < 0, histories.offsets[:-1], stops))

    def events_of(self, user: int, at: int) -> pl.DataFrame:
        """List one user's events before an instant with outside ids, oldest first."""
        return frame_of(self.seen(np.array([user]), at), self.vocabs)

    def histories_of(self, history: Sequence[EventRow]) -> Histories:
        """Turn the events of somebody without a name into one history; vocabularies stay."""
        return history_of(history, self.vocabs)

    def popular(self, at: int) -> Floats:
        """Score items by their decayed counts from events before an instant."""
        n_items = len(self.vocabs.items)
        if at >= self.now:
            return self.popularity.log_counts(at, n_items)
        histories = self.timelines.histories()
        before = histories.times < at
        counts = DecayedCounts(self.popularity.half_life, n_items)
        counts.add(histories.items[before].astype(np.int64), histories.times[before])
        return counts.log_counts(at, n_items)

    def popular_with(self, users: Ints, at: int) -> Floats:
        """Score items by what is popular with users like these: [n, items known], or [1, …]."""
        if self.segments is None:
            return self.popular(at)[None]
        segments = self.segments.as_of(at, self.now, self.timelines.histories)
        return segments.scores(users, at, len(self.vocabs.items))

    def _own_recall(self) -> Recall | None:
        """Take part in the memories of a model beside whose experts count alike, or count anew."""
        if self.model.experts is None:
            return None
        config = self.model.experts.config
        alike = (
            one.recall
            for one in self._all
            if one.model.experts is not None and one.model.experts.config == config
        )
        return next(alike, None) or Recall(config, self.timelines)

    def _memories(self, at: int) -> Memories | None:
        return None if self.recall is None else self.recall.at(at)

    def _scores(
        self, rows: Ints, outputs: Tensor, histories: Histories, stops: Ints, at: int, repeats: bool
    ) -> Scored:
        """Score all items for ``rows`` of the outputs; -1 asks for what is popular."""
        fallback = rows < 0
        scores = np.full((len(rows), len(self.vocabs.items)), -np.inf, dtype=np.float32)
        asked = rows[~fallback]
        if len(asked):
            n_items, memories = scores.shape[1], self._memories(at)
            scores[~fallback] = self.scoring.scores(
                outputs[asked], histories, asked, stops[asked], at, n_items, memories, repeats
            )
        if fallback.any():
            scores[fallback] = self.popular(at)
        return scores, fallback
