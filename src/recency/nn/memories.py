"""Memories: the experts' counts as they stand after the newest event, and the mix of all voices.

What `recency.nn.experts` learned to weigh is kept here and moved by every event: the item clock and
the pairs. A user's own past is the user's history, which others keep.
"""

import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import PADDING, Histories, Ints, ragged_positions
from recency.data.pairs import WINDOW, PairCounts, Part, pairs_of
from recency.nn.experts import OWN_WINDOW, Context, ExpertConfig, Experts
from recency.nn.item_clock import ItemClock

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.integer]
Row = tuple[int, int]  # time in microseconds, item row


@dataclass(frozen=True)
class Voices:
    """Hold how loud n questions want to hear each expert; all arrays in log, not normalised.

    Attributes:
        gates: [n, experts].
        own: [n, `OWN_WINDOW`] weights of the own events; None without this expert.
        pair: [n, `WINDOW`] weights of the newest own items; None without this expert.
        again: [n] probability that the next item is one of the own events' items.
        items: [n, `OWN_WINDOW`] the own events' items, newest first, `PADDING` where none.
    """

    gates: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64] | None
    pair: npt.NDArray[np.float64] | None
    again: npt.NDArray[np.float64]
    items: Ints


class Memories:
    """Keep the counts of the crowd and of pairs.

    Args:
        config: Which experts there are.
    """

    def __init__(self, config: ExpertConfig) -> None:
        self.config = config
        self.clock = ItemClock(config.crowd_half_lives)
        self.pairs = [PairCounts(half_life) for half_life in config.pair_half_lives]
        self._recent: dict[int, list[int]] = {}  # each user's newest items, newest first
        self._shares = np.empty((0, 0))

    @classmethod
    def of(cls, config: ExpertConfig, users: Ints, items: Rows, times: Ints) -> Self:
        """Count all events of a log at once: rows and microseconds, ascending for each user."""
        one = cls(config)
        rows: Ints = items.astype(np.int64)
        one.clock.add(rows, times)
        if one.pairs and len(items):
            found = pairs_of(users, rows, times)
            for pairs in one.pairs:
                pairs.add_all(*found)
            order = np.argsort(users, kind="stable")
            heads = np.flatnonzero(np.diff(users[order], prepend=-1))
            ends = np.append(heads[1:], len(order))
            for start, stop in zip(heads.tolist(), ends.tolist(), strict=True):
                newest = order[max(start, stop - WINDOW) : stop][::-1]
                one._recent[int(users[newest[0]])] = rows[newest].tolist()
        return one

    def add(self, users: Ints, items: Rows, times: Ints) -> None:
        """Count events in the order of their arrival: rows and microseconds, [n] each."""
        if not len(items):
            return
        rows: Ints = items.astype(np.int64)
        self._shares = np.empty((0, 0))
        self.clock.add(rows, times)
        if self.pairs:
            for user, item, time in zip(users.tolist(), rows.tolist(), times.tolist(), strict=True):
                recent = self._recent.setdefault(user, [])
                for pairs in self.pairs:
                    pairs.add(item, recent, time)
                recent.insert(0, item)
                del recent[WINDOW:]

    def revise(self, user: int, before: list[Row], now: list[Row], late: list[Row]) -> None:
        """Count late events of one user: those after them now stand beside others.

        Args:
            user: Row.
            before: (time, item) of the user's events as they were counted, in the order of time.
            now: The same with the late events among them.
            late: The late events.
        """
        same = 0
        while same < len(before) and before[same] == now[same]:
            same += 1
        for events, sign in ((before, -1.0), (now, 1.0)):
            items = [item for _, item in events]
            for place in range(same, len(events)):
                newest = items[max(0, place - WINDOW) : place][::-1]
                for pairs in self.pairs:
                    pairs.add(items[place], newest, events[place][0], sign)
        self._recent[user] = [item for _, item in now[-WINDOW:]][::-1]
        times, items = np.array(late, np.int64).T
        self.clock.add(items, times)
        self._shares = np.empty((0, 0))

    def shares(self, n_items: int) -> npt.NDArray[np.float64]:
        """Give the item clock's shares [half-lives, n_items], kept until the next event."""
        if self._shares.shape[1] != n_items:
            self._shares = self.clock.shares(n_items)
        return self._shares

    def mix(self, voices: Voices, row: int, encoder: npt.NDArray[np.float64]) -> Floats:
        """Mix all experts for one question as of now.

        Args:
            voices: How loud each is to be.
            row: Of the question.
            encoder: [n_items] the encoder's probabilities, 0 for items without weights.

        Returns:
            [n_items] log-probabilities; -inf for items that nobody knows. They are rounded to
            1e-6, so that sums taken in another order still rank the same.
        """
        mixed = np.maximum(self.mixture(voices, row, encoder), 0)
        items = voices.items[row]
        own = np.zeros(len(mixed), bool)
        own[items[items >= 0]] = True
        mass, rest = mixed[own].sum(), mixed[~own].sum()
        if mass > 0 and rest > 0:
            again = voices.again[row]
            mixed *= np.where(own, again / mass, (1 - again) / rest)
        with np.errstate(divide="ignore"):
            return np.round(np.log(mixed), 6).astype(np.float32)

    def mixture(
        self, voices: Voices, row: int, encoder: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Give the probabilities [n_items] by the experts' gate alone; see `mix`."""
        n_items, gates = len(encoder), voices.gates[row]
        parts: list[tuple[int, list[Part]]] = []
        kept = gates.copy()
        at = int(self.config.encoder)
        if voices.own is not None:
            parts.append((at, _own(voices, row)))
            at += 1
        for pairs in self.pairs:
            parts.append((at, _beside(voices, row, pairs)))
            at += 1
        crowd = self.shares(n_items)
        silent = [place for place, found in parts if not found]
        silent += [at + int(place) for place in np.flatnonzero(crowd.sum(1) == 0)]
        kept[silent] = -np.inf
        loud = np.exp(kept - kept.max())
        loud /= loud.sum()
        mixed = loud[0] * encoder if self.config.encoder else np.zeros(n_items)
        if len(crowd):
            mixed += loud[at:] @ crowd
        for place, found in parts:
            for columns, shares in found:
                mixed[columns] += loud[place] * shares
        return mixed


class Life:
    """Live through a log: memories as each question finds them, asked in the order of time.

    Args:
        config: Which experts.
        users: [n] user rows of the events, in the order of time.
        items: [n] item rows.
        times: [n] microseconds.
    """

    def __init__(self, config: ExpertConfig, users: Ints, items: Rows, times: Ints) -> None:
        self._config = config
        self._users, self._items, self._times = users, items, times
        self._memories: Memories | None = None
        self._done = 0

    def until(self, stop: int) -> Memories:
        """Give the memories of the events before a place in the log, none smaller than the last."""
        part = slice(self._done, stop)
        events = (self._users[part], self._items[part], self._times[part])
        if self._memories is None:
            self._memories = Memories.of(self._config, *events)
        else:
            self._memories.add(*events)
        self._done = max(stop, self._done)
        return self._memories

    def copy(self) -> "Life":
        """Make a life that goes on on its own from here."""
        twin = Life(self._config, self._users, self._items, self._times)
        twin._memories, twin._done = copy.deepcopy(self._memories), self._done
        return twin


@torch.no_grad()
def voices_of(experts: Experts, queries: Tensor, context: Context) -> Voices:
    """Ask gate and curves of age how loud each expert is to be for queries [n, dim]."""
    newest = Context(context.items[:, :WINDOW], context.ages[:, :WINDOW])
    return Voices(
        gates=experts.gates(queries).double().cpu().numpy(),
        own=None if experts.own is None else experts.own(context).double().cpu().numpy(),
        pair=None if experts.pair is None else experts.pair(newest).double().cpu().numpy(),
        again=torch.sigmoid(experts.repeats(queries, context).double()).cpu().numpy(),
        items=context.items.cpu().numpy(),
    )


def context_of(histories: Histories, starts: Ints, stops: Ints, at: Ints | None) -> Context:
    """Gather the newest own events before questions.

    Args:
        histories: Of all users.
        starts: [n] absolute position of each history's first event.
        stops: [n] absolute position behind the newest event that may be used.
        at: [n] microseconds to which ages are counted; None: to the newest event of each.
    """
    lengths = np.minimum(stops - starts, OWN_WINDOW)
    places = ragged_positions(stops - lengths, lengths)
    rows = np.repeat(np.arange(len(stops)), lengths)
    ago = np.repeat(stops, lengths) - 1 - places
    items = np.full((len(stops), OWN_WINDOW), PADDING, np.int64)
    ages = np.zeros((len(stops), OWN_WINDOW), np.float32)
    if at is None:
        at = histories.times[np.maximum(stops - 1, 0)] if histories.n_events else stops
    items[rows, ago] = histories.items[places]
    ages[rows, ago] = np.maximum(at[rows] - histories.times[places], 0) / 1e6
    return Context(torch.from_numpy(items), torch.from_numpy(ages))


def _own(voices: Voices, row: int) -> list[Part]:
    """Give the user's own items and their shares."""
    assert voices.own is not None
    items, logs = voices.items[row], voices.own[row]
    there = items >= 0
    if not there.any():
        return []
    # An event on an item without a row keeps its share: to it, nobody can return.
    weights = np.exp(logs - logs.max())
    columns, place = np.unique(items[there], return_inverse=True)
    return [(columns, np.bincount(place, weights[there]) / weights.sum())]


def _beside(voices: Voices, row: int, pairs: PairCounts) -> list[Part]:
    """Give the items beside the user's newest ones and their shares."""
    assert voices.pair is not None
    items = voices.items[row, :WINDOW].tolist()
    there = [place for place, item in enumerate(items) if item >= 0]
    rows = pairs.rows([items[place] for place in there])
    known = [place for place, (_, total) in enumerate(rows) if total > 0]
    if not known:
        return []
    logs = voices.pair[row, [there[place] for place in known]]
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return [
        (columns, counts * (weight / rows[place][1]))
        for place, weight in zip(known, weights.tolist(), strict=True)
        for columns, counts in rows[place][0]
    ]
