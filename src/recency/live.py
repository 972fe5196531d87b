"""The live model: trained weights joined with everything known about users, event by event.

Weights stay as they are here. What moves are timelines (what each user did), states (what the
encoder remembers of it), the experts' memories, and decayed counts (what is popular now, the
fallback for users without a history). An event is visible to the next question.

Several models may stand on the same events, as an ensemble's members do: they share vocabularies,
timelines and, where their experts count alike, memories; an event told to one is known to all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from recency.data.counts import DecayedCounts
from recency.data.histories import UNKNOWN, Histories, Ints
from recency.data.intake import EventRow, Vocabs, events_of
from recency.data.log import TIME, Log
from recency.data.timelines import Timelines
from recency.data.vocab import Vocab
from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL
from recency.nn.memories import context_of, voices_of
from recency.nn.model import SequenceModel
from recency.recall import Recall
from recency.states import States, outputs_at

Floats = npt.NDArray[np.float32]
_KEPT_STATES = 64  # more users at once are read in bulk instead of through their states


@dataclass(frozen=True)
class Observed:
    """Count what `observe` took in.

    Attributes:
        n_events: Events.
        n_new_users: Users seen for the first time.
        n_new_items: Items seen for the first time; recommendable by popularity, and by the model
            after `partial_fit` or `fit`.
        n_late_users: Users of whom an event came later than a newer one.
    """

    n_events: int
    n_new_users: int
    n_new_items: int
    n_late_users: int


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
        self._states = States(model)
        self._all: list[LiveModel] = [] if beside is None else beside._all
        self.recall = self._own_recall()
        self._all.append(self)

    @property
    def now(self) -> int:
        """Give the instant just after the newest event known, in microseconds."""
        return 0 if self.timelines.newest is None else self.timelines.newest + 1

    @property
    def n_learned(self) -> int:
        """Count the items with weights: the first rows of the vocabulary."""
        return self.model.n_items

    def observe(self, source: Log | Sequence[EventRow]) -> Observed:
        """Take events in; states follow when they are asked for.

        Raises:
            DataError: an event cannot be read; then none is taken.
        """
        n_users, n_items = len(self.vocabs.users), len(self.vocabs.items)
        events = events_of(source, self.vocabs)
        intact = self.timelines.add(events)
        for one in self._all:
            one._states.forget(intact)
            one.popularity.add(events.items, events.times)
        for recall in dict.fromkeys(one.recall for one in self._all):
            if recall is not None:
                recall.take(events)
        return Observed(
            n_events=len(events),
            n_new_users=len(self.vocabs.users) - n_users,
            n_new_items=len(self.vocabs.items) - n_items,
            n_late_users=len(intact),
        )

    def scores(self, users: Ints, at: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Score every item for users as of an instant.

        Args:
            users: [n] user rows, `UNKNOWN` for strangers.
            at: Microseconds; events at or after it are not seen.

        Returns:
            Scores [n, items known], -inf for what cannot be recommended, and [n] whether the user
            had no event before ``at`` and was answered with what is popular.
        """
        known, place = np.unique(users[users >= 0], return_inverse=True)
        histories = self.timelines.histories(known)
        stops = histories.stops_before(np.arange(len(known)), np.full(len(known), at))
        outputs = self._outputs(known, histories, stops)
        rows = np.full(len(users), -1, np.int64)
        rows[users >= 0] = np.where((stops > histories.offsets[:-1])[place], place, -1)
        return self._scores(rows, outputs, histories, stops, at)

    def scores_after(self, histories: Histories, at: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Score every item after histories of people without a name; see `scores`."""
        users = np.arange(histories.n_users)
        stops = histories.stops_before(users, np.full(len(users), at))
        outputs = outputs_at(self.model, histories, users, stops)
        rows = np.where(stops > histories.offsets[:-1], users, -1)
        return self._scores(rows, outputs, histories, stops, at)

    @torch.no_grad()
    def cosines(self, item: int) -> Floats:
        """Compare one item's vector with all others': [1, items known], -inf for itself."""
        vectors = torch.nn.functional.normalize(self.model.items[SPECIAL:], dim=1)
        scores = np.full((1, len(self.vocabs.items)), -np.inf, dtype=np.float32)
        scores[0, : self.model.n_items] = (vectors @ vectors[item]).cpu().numpy()
        scores[0, item] = -np.inf
        return scores

    @torch.no_grad()
    def voices(self, users: Ints, at: int) -> tuple[list[str], Floats]:
        """Name the experts, and tell how much users [n] listen to each: [n, experts].

        A row is NaN where there is no event before ``at``.

        Raises:
            ConfigError: the model has no experts.
        """
        experts = self.model.experts
        if experts is None:
            raise ConfigError("the model has no experts; fit one with experts=ExpertConfig().")
        histories = self.timelines.histories(users)
        places = np.arange(len(users))
        stops = histories.stops_before(places, np.full(len(users), at))
        outputs = outputs_at(self.model, histories, places, stops)
        last = torch.from_numpy(histories.times[np.maximum(stops - 1, 0)]).to(outputs.device)
        queries = self.model.ask(outputs, last, torch.full_like(last, at))
        shares = torch.softmax(experts.gates(queries), dim=1).cpu().numpy()
        shares[stops == histories.offsets[:-1]] = np.nan
        return experts.names, shares

    def seen(self, users: Ints, at: int) -> Histories:
        """Give what users did before an instant, one history a row, empty for strangers."""
        histories = self.timelines.histories(np.maximum(users, 0))
        stops = histories.stops_before(np.arange(len(users)), np.full(len(users), at))
        starts = histories.offsets[:-1]
        return histories.cut(np.where(users < 0, starts, stops))

    def events_of(self, user: int, at: int) -> pl.DataFrame:
        """List one user's events before an instant with outside ids, oldest first."""
        histories = self.seen(np.array([user]), at)
        items, types = self.vocabs.items, self.vocabs.types
        columns = {
            "item_id": pl.Series(items.take(histories.items), dtype=items.dtype),
            "timestamp": pl.Series(histories.times).cast(TIME),
        }
        if histories.types is not None:
            kinds = [None if kind < 0 else types.id_of(kind) for kind in histories.types]
            columns["event_type"] = pl.Series(kinds, dtype=pl.String)
        return pl.DataFrame(columns)

    def histories_of(self, history: Sequence[EventRow]) -> Histories:
        """Turn the events of somebody without a name into one history; vocabularies stay."""
        vocabs = Vocabs(Vocab(pl.String), self.vocabs.items, self.vocabs.types)
        rows = [{**event, "user_id": ""} for event in history]
        events = events_of(rows, vocabs, grow=False)
        order = np.argsort(events.times, kind="stable")
        return Histories(
            offsets=np.array([0, len(order)]),
            items=events.items[order].astype(np.int32),
            times=events.times[order],
            types=events.types[order].astype(np.int16),
            values=events.values[order],
        )

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

    def _outputs(self, users: Ints, histories: Histories, stops: Ints) -> Tensor:
        """Give outputs after each user's newest event before the question."""
        if len(users) > _KEPT_STATES:
            return outputs_at(self.model, histories, np.arange(len(users)), stops)
        newest = np.flatnonzero(stops == histories.offsets[1:])
        earlier = np.flatnonzero(stops < histories.offsets[1:])
        outputs = torch.zeros(len(users), self.model.dim, device=self.model.bias.device)
        if len(newest):
            chosen = histories if not len(earlier) else histories.select(newest)
            outputs[newest] = self._states.outputs(users[newest], chosen)
        if len(earlier):
            outputs[earlier] = outputs_at(self.model, histories, earlier, stops[earlier])
        return outputs

    @torch.no_grad()
    def _scores(
        self, rows: Ints, outputs: Tensor, histories: Histories, stops: Ints, at: int
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Score all items for ``rows`` of the outputs; -1 asks for what is popular."""
        fallback = rows < 0
        scores = np.full((len(rows), len(self.vocabs.items)), -np.inf, dtype=np.float32)
        asked = rows[~fallback]
        if len(asked):
            last = torch.from_numpy(histories.times[stops[asked] - 1])
            device = outputs.device
            instants = torch.full_like(last, at)
            queries = self.model.ask(outputs[asked], last.to(device), instants.to(device))
            scores[~fallback] = self._answers(queries, histories, asked, stops[asked], at)
        if fallback.any():
            scores[fallback] = self.popular(at)
        return scores, fallback

    def _answers(
        self, queries: Tensor, histories: Histories, rows: Ints, stops: Ints, at: int
    ) -> Floats:
        """Score all items for queries of the histories ``rows``, each known up to its stop."""
        model, n_items = self.model, len(self.vocabs.items)
        found = model.scores(queries)
        if model.experts is None or self.recall is None:
            scores = np.full((len(rows), n_items), -np.inf, dtype=np.float32)
            scores[:, : model.n_items] = found.cpu().numpy()
            return scores
        known = np.full(len(rows), at) if model.request_time == "known" else None
        context = context_of(histories, histories.offsets[rows], stops, known)
        voices, memories = voices_of(model.experts, queries, context), self.recall.at(at)
        chances = np.zeros((len(rows), n_items))
        chances[:, : model.n_items] = torch.softmax(found.double(), dim=1).cpu().numpy()
        return np.stack([memories.mix(voices, row, one) for row, one in enumerate(chances)])


def remapped(histories: Histories, items: Ints, types: Ints | None) -> Histories:
    """Translate histories from one vocabulary's rows to another's.

    Args:
        histories: Rows of the one.
        items: [n] row in the other of each item of the one, `UNKNOWN` where it has none.
        types: The same of event types; None leaves types out.
    """
    kinds = None
    if types is not None and histories.types is not None:
        kinds = _looked_up(types, histories.types).astype(np.int16)
    return Histories(
        offsets=histories.offsets,
        items=_looked_up(items, histories.items).astype(np.int32),
        times=histories.times,
        types=kinds,
        values=histories.values,
    )


def _looked_up(table: Ints, rows: npt.NDArray[np.integer]) -> Ints:
    found: Ints = np.append(table, UNKNOWN)[rows]  # row -1 takes the last entry: UNKNOWN
    return found
