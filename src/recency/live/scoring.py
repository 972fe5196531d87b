"""Scoring: what one model answers after histories, from its states and with its experts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Histories, Ints
from recency.data.timelines import Timelines
from recency.errors import ConfigError
from recency.live.book import Book
from recency.live.shortlists import Found, Shortlists, Wanted
from recency.live.states import States, outputs_at
from recency.live.tempo import Tempo
from recency.nn.memories import Memories
from recency.nn.model import SequenceModel
from recency.nn.scored_items import left_out
from recency.nn.time_head import TimeHead
from recency.nn.voices import context_from, context_of, voices_of

Floats = npt.NDArray[np.float32]
_KEPT_STATES = 64  # more users at once are read in bulk instead of through their states


class Scoring:
    """Score items by one model, and keep what it remembers of users.

    Args:
        model: Trained, in evaluation mode.
    """

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.states, self.shortlists = States(model), Shortlists(model)
        self._book: Book | None = None
        self._tempo: Tempo | None = None

    def book(self, base: Histories) -> Book:
        """Give the book of events that heads count, over flat arrays of all."""
        if self._book is None or self._book.base is not base:
            self._book = Book(base)
        return self._book

    def tempo(self, head: TimeHead) -> Tempo:
        """Give how fast users come back, beside what the model's time head expects."""
        if self._tempo is None:
            self._tempo = Tempo(self.model, head)
        return self._tempo

    def forget(self, users: dict[int, int]) -> None:
        """Drop states as `States.forget` does, and count anew who came back."""
        self.states.forget(users)
        self._tempo = None

    def outputs(self, users: Ints, histories: Histories, stops: Ints) -> Tensor:
        """Give outputs [n, dim] after each user's newest event before the question.

        Args:
            users: [n] user rows, each once.
            histories: Theirs, whole, in the same order.
            stops: [n] absolute position behind that event.
        """
        if len(users) > _KEPT_STATES:
            return outputs_at(self.model, histories, np.arange(len(users)), stops)
        newest = np.flatnonzero(stops == histories.offsets[1:])
        earlier = np.flatnonzero(stops < histories.offsets[1:])
        outputs = torch.zeros(len(users), self.model.dim, device=self.model.bias.device)
        if len(newest):
            chosen = histories if not len(earlier) else histories.select(newest)
            outputs[newest] = self.states.outputs(users[newest], chosen)
        if len(earlier):
            outputs[earlier] = outputs_at(self.model, histories, earlier, stops[earlier])
        return outputs

    def read(self, users: Ints, timelines: Timelines) -> None:
        """Bring users' states up to date: read the events that came since they were last asked."""
        missing = self.states.missing(users, timelines.counts(users))
        if len(one := users[missing == 1]):
            self.states.step(one, timelines.newest_events(one))
        if len(more := users[missing > 1]):
            self.states.outputs(more, timelines.histories(more))

    @torch.no_grad()
    def best(
        self,
        users: Ints,
        newest: Sequence[Ints],
        at: int,
        wanted: Wanted,
        timelines: Timelines,
        memories: Memories | None,
    ) -> Found:
        """List the best for users with events before an instant.

        Args:
            users: [n] user rows, each once.
            newest: Their newest events before it, as of `Timelines.newest_before`.
            at: Microseconds.
            wanted: What is to be listed.
            timelines: Of all users.
            memories: The experts' as of the instant; None where there are no experts.
        """
        items, times, counts = newest
        last = torch.from_numpy(times[:, 0].copy())
        outputs = self._newest_outputs(users, counts, timelines)
        queries = self.model.ask(outputs, last, torch.full_like(last, at))
        experts = self.model.experts
        if experts is None or memories is None:
            return self.shortlists.of_model(queries, wanted)
        context = context_from(items, times, at if self.model.request_time == "known" else None)
        voices = voices_of(experts, queries, context, repeats=wanted.seen is None)
        return self.shortlists.of_experts(memories, voices, queries, wanted)

    @torch.no_grad()
    def scores(
        self,
        outputs: Tensor,
        histories: Histories,
        rows: Ints,
        stops: Ints,
        at: int,
        n_items: int,
        memories: Memories | None,
        repeats: bool,
    ) -> Floats:
        """Score all items as of an instant: [n, n_items], -inf for what cannot be recommended.

        Args:
            outputs: [n, dim] after the histories ``rows``.
            histories: Of many.
            rows: [n] which of them are asked about; none is empty.
            stops: [n] absolute position behind each one's newest event before the instant.
            at: Microseconds.
            n_items: Items known.
            memories: As in `best`.
            repeats: Whether own past items may be given.
        """
        last = torch.from_numpy(histories.times[stops - 1]).to(outputs.device)
        queries = self.model.ask(outputs, last, torch.full_like(last, at))
        found, model = self.model.scores(queries), self.model
        if model.experts is None or memories is None:
            scores = np.full((len(rows), n_items), -np.inf, dtype=np.float32)
            scores[:, : model.n_items] = found.cpu().numpy()
            return scores
        known = np.full(len(rows), at) if model.request_time == "known" else None
        context = context_of(histories, histories.offsets[rows], stops, known)
        voices = voices_of(model.experts, queries, context, repeats)
        chances = np.zeros((len(rows), n_items))
        chances[:, : model.n_items] = torch.softmax(found.double(), dim=1).cpu().numpy()
        return np.stack([memories.mix(voices, row, one) for row, one in enumerate(chances)])

    @torch.no_grad()
    def vectors(self, items: Ints) -> Floats:
        """Give the vectors of items at length 1: [n, dim]; zeros for items without weights."""
        known = (items >= 0) & (items < self.model.n_items)
        found = np.zeros((len(items), self.model.dim), np.float32)
        chosen = self.model.vectors[torch.from_numpy(items[known])]
        found[known] = torch.nn.functional.normalize(chosen, dim=1).cpu().numpy()
        return found

    @torch.no_grad()
    def cosines(self, item: int, n_items: int) -> Floats:
        """Compare one item's vector with all others': [1, n_items], -inf for itself."""
        vectors = torch.nn.functional.normalize(self.model.vectors, dim=1)
        scores = np.full((1, n_items), -np.inf, dtype=np.float32)
        found = (vectors @ vectors[item]).masked_fill(left_out(self.model), -torch.inf)
        scores[0, : self.model.n_items] = found.cpu().numpy()
        scores[0, item] = -np.inf
        return scores

    @torch.no_grad()
    def voices(self, histories: Histories, at: int) -> tuple[list[str], Floats]:
        """Name the experts, and tell how loud each is after n histories: shares [n, experts].

        A row is NaN where there is no event before the instant.

        Raises:
            ConfigError: the model has no experts.
        """
        experts = self.model.experts
        if experts is None:
            raise ConfigError("the model has no experts; fit one with experts=ExpertConfig().")
        places = np.arange(histories.n_users)
        stops = histories.stops_before(places, np.full(len(places), at))
        outputs = outputs_at(self.model, histories, places, stops)
        last = torch.from_numpy(histories.times[np.maximum(stops - 1, 0)]).to(outputs.device)
        queries = self.model.ask(outputs, last, torch.full_like(last, at))
        shares = torch.softmax(experts.loudness(queries, repeats=True), dim=1).cpu().numpy()
        shares[stops == histories.offsets[:-1]] = np.nan
        return experts.names, shares

    def _newest_outputs(self, users: Ints, counts: Ints, timelines: Timelines) -> Tensor:
        """Give the outputs [n, dim] after the first ``counts`` events of users."""
        known = timelines.counts(users)
        if len(users) > _KEPT_STATES or (known > counts).any():
            histories = timelines.histories(users)
            return self.outputs(users, histories, histories.offsets[:-1] + counts)
        self.read(users, timelines)
        return self.states.kept(users)
