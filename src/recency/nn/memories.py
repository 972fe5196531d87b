"""Memories: the experts' counts as they stand after the newest event, and the mix of all voices.

What `recency.nn.experts` learned to weigh is kept here and moved by every event: the item clock and
the pairs. A user's own past is the user's history, which others keep.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recency.data.histories import PADDING, Histories, Ints, stable_order
from recency.data.pair_arrays import COLUMN_BITS, SortedPairs
from recency.data.pairs import WINDOW, PairCounts, Part, pairs_among, pairs_of
from recency.nn.experts import ExpertConfig
from recency.nn.frozen import FrozenMemories, newest_items, part_of
from recency.nn.item_clock import ItemClock
from recency.nn.pair_shares import PairShares
from recency.nn.voices import Voices

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.integer]
Row = tuple[int, int]  # time in microseconds, item row
_MANY = 32  # events from which on one pass is cheaper than one addition each
_COUNTED_AT_ONCE = 2**20  # events whose pairs are held at once


class Memories:
    """Keep the counts of the crowd and of pairs.

    Args:
        config: Which experts there are.
    """

    def __init__(self, config: ExpertConfig) -> None:
        self.config = config
        self.clock = ItemClock(config.crowd_half_lives)
        self.pairs = [PairCounts(half_life) for half_life in config.pair_half_lives]
        # By user, the newest items, newest first; `PADDING` where there are fewer.
        self._recent = np.full((0, WINDOW), PADDING, np.int32)
        self._shares = np.empty((0, 0))
        self.beside = PairShares(self.pairs)

    @classmethod
    def of(cls, config: ExpertConfig, users: Ints, items: Rows, times: Ints) -> Self:
        """Count all events of a log at once: rows and microseconds, ascending for each user."""
        one = cls(config)
        rows: Ints = items.astype(np.int64)
        one.clock.add(rows, times)
        if one.pairs and len(items):
            order = stable_order(users)
            users, rows, times = users[order], rows[order], times[order]
            offsets = np.searchsorted(users, np.arange(int(users[-1]) + 2))
            one._count_pairs(users, rows, times, offsets)
            one._recent = newest_items(offsets, rows)
        return one

    def _count_pairs(self, users: Ints, rows: Ints, times: Ints, offsets: Ints) -> None:
        """Count the pairs of events grouped by user, some users at a time."""
        first = 0
        while first < len(offsets) - 1:
            reach = int(offsets[first]) + _COUNTED_AT_ONCE
            last = max(first + 1, int(np.searchsorted(offsets, reach, side="right")) - 1)
            part = slice(int(offsets[first]), int(offsets[last]))
            found = SortedPairs.of(*pairs_of(users[part], rows[part], times[part]))
            for pairs in self.pairs:
                pairs.add_sorted(found)
            first = last

    def freeze(self) -> FrozenMemories:
        """Hand out what is counted, as of now; only the crowd's counts are copied."""
        return FrozenMemories(self.clock.table.arrays(), [one.freeze() for one in self.pairs])

    def fold(self, frozen: FrozenMemories, merged: FrozenMemories) -> None:
        """Take over the pairs that were merged of an earlier copy."""
        for pairs, old, new in zip(self.pairs, frozen.pairs, merged.pairs, strict=True):
            pairs.fold(old, new)

    @classmethod
    def restored(
        cls, config: ExpertConfig, arrays: Mapping[str, npt.NDArray[Any]], histories: Histories
    ) -> Self:
        """Count on from what `FrozenMemories.arrays` gave.

        Args:
            config: As it was.
            arrays: The counts.
            histories: The events that were counted.

        Raises:
            KeyError: the counts are those of another configuration.
        """
        one = cls(config)
        one.clock.table.restore(part_of(arrays, 0))
        for place, pairs in enumerate(one.pairs, start=1):
            pairs.restore(part_of(arrays, place))
        one._recent = newest_items(histories.offsets, histories.items)
        return one

    def add(self, users: Ints, items: Rows, times: Ints) -> None:
        """Count events in the order of their arrival: rows and microseconds, [n] each."""
        if not len(items):
            return
        rows: Ints = items.astype(np.int64)
        self._shares = np.empty((0, 0))
        self.clock.add(rows, times)
        if not self.pairs:
            return
        self._know(int(users.max()))
        if len(rows) >= _MANY:
            self._add_many(users, rows, times)
            return
        for user, item, time in zip(users.tolist(), rows.tolist(), times.tolist(), strict=True):
            recent = self._recent[user]
            before = recent.tolist()
            for pairs in self.pairs:
                pairs.add(item, before, time)
            self.beside.add(item, before, time)
            recent[0], recent[1:] = item, before[:-1]

    def _add_many(self, users: Ints, rows: Ints, times: Ints) -> None:
        """Count the pairs of many events in one pass, each user's newest items before them."""
        known = np.unique(users)
        places = np.searchsorted(known, users)
        before = self._recent[known][:, ::-1].ravel().astype(np.int64)
        owners = np.concatenate((np.repeat(np.arange(len(known)), WINDOW), places))
        order = stable_order(owners)
        joint = np.concatenate((before, rows))[order]
        fresh = (np.arange(len(owners)) >= len(before))[order]
        instants = np.concatenate((np.zeros(len(before), np.int64), times))[order]
        found = SortedPairs.of(*pairs_of(owners[order], joint, instants, fresh))
        for pairs in self.pairs:
            pairs.add_sorted(found)
        self.beside.forget(np.unique(found.keys >> COLUMN_BITS).tolist())
        offsets = np.searchsorted(owners[order], np.arange(len(known) + 1))
        self._recent[known] = newest_items(offsets, joint)

    def _know(self, user: int) -> None:
        """Have a row for each user up to this one."""
        if (short := user + 1 - len(self._recent)) > 0:
            more = np.full((max(short, len(self._recent) // 4), WINDOW), PADDING, np.int32)
            self._recent = np.concatenate((self._recent, more))

    def revise(self, user: int, before: list[Row], now: list[Row], late: list[Row]) -> None:
        """Count late events of one user: those after them now stand beside others.

        Events that only change hands stand in ``now`` and not in ``late``: the crowd has counted
        them.

        Args:
            user: Row.
            before: (time, item) of the user's events as they were counted, in the order of time.
            now: The same with the late events among them.
            late: The late events.
        """
        same = _alike(before, now)
        # What lies a window behind the last change stands beside the same events as before.
        later = max(0, _alike(before[same:][::-1], now[same:][::-1]) - WINDOW)
        for events, sign in ((before, -1.0), (now, 1.0)):
            items, stop = [item for _, item in events], len(events) - later
            for place in range(same, stop):
                newest = items[max(0, place - WINDOW) : place][::-1]
                for pairs in self.pairs:
                    pairs.add(items[place], newest, events[place][0], sign)
            self.beside.forget(set(items[max(0, same - WINDOW) : stop]))
        newest = [item for _, item in now[-WINDOW:]][::-1]
        self._know(user)
        self._recent[user] = newest + [PADDING] * (WINDOW - len(newest))
        if late:
            times, items = np.array(late, np.int64).T
            self.clock.add(items, times)
            self._shares = np.empty((0, 0))

    def drop(self, user: int, gone: Histories, known: Histories) -> None:
        """Count as if a user had never been; what the user had no part in stays as it is.

        Args:
            user: Row.
            gone: The user's events.
            known: Those of all others that are to be counted.
        """
        self.clock = ItemClock(self.config.crowd_half_lives)
        self.clock.add(known.items.astype(np.int64), known.times)
        self._shares = np.empty((0, 0))
        if not self.pairs:
            return
        self.beside.clear()
        if user < len(self._recent):
            self._recent[user] = PADDING
        items = np.unique(gone.items[gone.items >= 0]).astype(np.int64)
        rows = known.items.astype(np.int64)
        for pairs in self.pairs:
            keys = pairs.between(items)
            pairs.replace(keys, pairs_among(known.offsets, rows, known.times, keys))

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
        loud, said = self._heard(voices, row, len(encoder))
        crowd = self.shares(len(encoder))
        mixed: npt.NDArray[np.float64] = loud[len(loud) - len(crowd) :] @ crowd
        if self.config.encoder:
            mixed += loud[0] * encoder
        for place, found in said:
            for columns, shares in found:
                mixed[columns] += loud[place] * shares
        return mixed

    def parts(
        self, voices: Voices, row: int, encoder: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Give what each expert adds to the mixture, [experts, n_items]; see `mixture`."""
        loud, said = self._heard(voices, row, len(encoder))
        crowd = self.shares(len(encoder))
        parts = np.zeros((len(loud), len(encoder)))
        if self.config.encoder:
            parts[0] = encoder
        parts[len(loud) - len(crowd) :] = crowd
        for place, found in said:
            for columns, shares in found:
                parts[place][columns] += shares
        parts *= loud[:, None]
        return parts

    def _heard(
        self, voices: Voices, row: int, n_items: int
    ) -> tuple[npt.NDArray[np.float64], list[tuple[int, list[Part]]]]:
        """Give each expert's share of the mixture, and what those say that speak of few items.

        Returns:
            [experts] shares, 0 for those that know nothing; and, for the user's own past and for
            pairs, the place among the experts and items with their shares.
        """
        said: list[tuple[int, list[Part]]] = []
        at = int(self.config.encoder)
        if voices.own is not None:
            said.append((at, _own(voices, row)))
            at += 1
        for pairs in self.pairs:
            said.append((at, _beside(voices, row, pairs)))
            at += 1
        silent = [place for place, found in said if not found]
        silent += [at + int(place) for place in np.flatnonzero(self.shares(n_items).sum(1) == 0)]
        kept = voices.gates[row].copy()
        kept[silent] = -np.inf
        loud = np.exp(kept - kept.max())
        return loud / loud.sum(), said


def _alike(one: Sequence[Row], other: Sequence[Row]) -> int:
    """Count the events at the beginning that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


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
        (columns, counts / rows[place][1] * weight)  # in this order: sums may have all but faded
        for place, weight in zip(known, weights.tolist(), strict=True)
        for columns, counts in rows[place][0]
    ]
