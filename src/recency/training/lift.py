"""Lift: how much louder each expert is to be heard so that targets rank among the first.

The gate's trust makes the newest slice most probable. What counts of a list is its first ten, and
there the most probable mixture is not the best: many small chances, right in sum, push aside the
few items that one expert is right about. So experts are weighed once more, by the NDCG@10 of the
same questions: one at a time, up or down by a step, for as long as what is gained is beyond the
noise between users.

A question's mixture under another lift needs no memories: the share that each expert gives to each
of its likeliest items is kept, and what it gives to the user's own past items and to all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from recency.data.histories import Ints
from recency.training.validation import K

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

LIKELIEST = 64  # items kept of each expert; what is in none is hardly ever among the first ten
_STEPS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)  # in logits of the gate
_ROUNDS = 3
_MOST = 4.0  # a lift goes no further
_BEYOND = 1.5  # standard errors that a step must gain, the best of many steps


@dataclass(frozen=True)
class Vote:
    """Hold what the experts say of a question's likeliest items.

    Attributes:
        items: [m] rows of the items, the target first.
        shares: [experts, m] of these.
        own: [m] whether an item is one of the user's own past ones.
        sums: [experts, 2] of all items: the user's own, and the others.
        again: Probability that an own item comes again.
    """

    items: Ints
    shares: Floats
    own: Flags
    sums: Doubles
    again: float

    @classmethod
    def of(cls, parts: Doubles, own: Flags, again: float, target: int, allowed: Flags) -> "Vote":
        """Keep the likeliest items of each expert.

        Args:
            parts: [experts, n_items] as `Memories.parts` gives it.
            own: [n_items].
            again: See above.
            target: The item that was taken.
            allowed: [n_items] candidates.
        """
        sums = parts @ np.stack((own, ~own), axis=1).astype(np.float64)
        open_to = torch.from_numpy(np.where(allowed, parts, -1.0).astype(np.float32))
        n = min(LIKELIEST, parts.shape[1])
        likeliest = np.unique(open_to.topk(n, dim=1, sorted=False).indices.numpy())
        likeliest = likeliest[allowed[likeliest] & (likeliest != target)]
        kept = np.concatenate(([target], likeliest))
        return cls(kept, parts[:, kept].astype(np.float32), own[kept], sums, again)

    def without(self, items: Ints) -> "Vote":
        """Leave some items out that may not be given; the target must not be one of them."""
        left = ~np.isin(self.items, items)
        return replace(
            self, items=self.items[left], shares=self.shares[:, left], own=self.own[left]
        )


class Votes:
    """Rank the targets of many questions under any lift.

    Args:
        votes: One a question.
        users: [n] whose question each is: what users have in common is no evidence twice.
    """

    def __init__(self, votes: list[Vote], users: Ints) -> None:
        n, most = len(votes), max(one.shares.shape[1] for one in votes)
        self._shares = np.zeros((len(votes[0].shares), n, most), np.float32)
        self._own, self._there = np.zeros((n, most), bool), np.zeros((n, most), bool)
        for row, one in enumerate(votes):
            m = one.shares.shape[1]
            self._shares[:, row, :m], self._own[row, :m] = one.shares, one.own
            self._there[row, :m] = True
        self._sums = np.stack([one.sums for one in votes], axis=1)
        self._again = np.array([one.again for one in votes])
        self._users = np.unique(users, return_inverse=True)[1]

    def gains(self, lift: Doubles) -> Doubles:
        """Give the gain 1 / log2(1 + rank) [n] of each target, 0 beyond rank 10.

        Args:
            lift: [experts] logits.
        """
        return self._gains(*self._mixed(lift))

    def best(self) -> Doubles:
        """Find the lift [experts] under which targets rank best."""
        lift = np.zeros(len(self._shares))
        scores, sums = self._mixed(lift)
        gains = self._gains(scores, sums)
        for _ in range(_ROUNDS):
            before = lift
            for expert, (shares, total) in enumerate(zip(self._shares, self._sums, strict=True)):
                tried = []
                for one in _steps(lift, expert):
                    more = np.exp(one[expert]) - np.exp(lift[expert])
                    found = self._gains(scores + np.float32(more) * shares, sums + more * total)
                    tried.append((one, found))
                one, found = max(tried, key=lambda pair: float(pair[1].mean()))
                if self._is_beyond_noise(found - gains):
                    lift, gains = one, found
                    scores, sums = self._mixed(lift)
            if lift is before:
                break
        return lift

    def _mixed(self, lift: Doubles) -> tuple[Floats, Doubles]:
        """Give what all experts give to the items kept, [n, m], and to all of them, [n, 2]."""
        loud = np.exp(lift)
        scores = np.einsum("e,enm->nm", loud.astype(np.float32), self._shares)
        return scores, np.einsum("e,ens->ns", loud, self._sums)

    def _gains(self, scores: Floats, sums: Doubles) -> Doubles:
        chances = np.stack((self._again, 1 - self._again), axis=1)
        both = (sums > 0).all(axis=1, keepdims=True)
        scales = np.where(both, np.divide(chances, sums, out=np.ones_like(sums), where=sums > 0), 1)
        scales = scales.astype(np.float32)
        scores = scores * np.where(self._own, scales[:, :1], scales[:, 1:])
        target, others = scores[:, :1], self._there[:, 1:]
        better = ((scores[:, 1:] > target) & others).sum(axis=1)
        equal = ((scores[:, 1:] == target) & others).sum(axis=1)
        rank = 1 + better + equal / 2
        heard = target[:, 0] > 0
        return np.where(heard & (rank <= K), 1 / np.log2(1 + rank), 0.0)

    def _is_beyond_noise(self, gained: Doubles) -> bool:
        # Of one user alone there is no telling.
        error = np.sqrt(np.square(np.bincount(self._users, gained)).sum())
        return bool(gained.sum() > _BEYOND * error)


def _steps(lift: Doubles, expert: int) -> Iterator[Doubles]:
    for step in _STEPS:
        moved = lift.copy()
        moved[expert] = np.clip(moved[expert] + step, -_MOST, _MOST)
        yield moved
