"""Lift: how much louder each kind of expert is to be heard so that targets rank among the first.

The gate's trust makes the newest slice most probable. What counts of a list is its first ten, and
there the most probable mixture is not the best: many small chances, right in sum, push aside the
few items that one expert is right about. So kinds of experts are weighed once more, by the NDCG@10
of the same questions: a kind at a time, up or down by a step, for as long as what is gained is
beyond the noise between users.

A question's mixture under another lift needs no memories: the share that each kind gives to each of
its likeliest items is kept, and what it gives to the user's own past items and to all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Ints
from recency.nn.experts import KINDS
from recency.training.validation import K

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LIKELIEST = 64  # items kept of each kind; what is in none is hardly ever among the first ten
_STEPS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)  # in logits of the gate
_ROUNDS = 3
_MOST = 4.0  # a lift goes no further
_BEYOND = 1.0  # standard errors that a step must gain


@dataclass(frozen=True)
class Vote:
    """Hold what a question's kinds of experts say of its likeliest items.

    Attributes:
        shares: [kinds, m] of the items, the target first.
        own: [m] whether an item is one of the user's own past ones.
        sums: [kinds, 2] of all items: the user's own, and the others.
        again: Probability that an own item comes again.
    """

    shares: Doubles
    own: Flags
    sums: Doubles
    again: float

    @classmethod
    def of(cls, by_kind: Doubles, own: Flags, again: float, target: int, allowed: Flags) -> "Vote":
        """Keep the likeliest items of each kind.

        Args:
            by_kind: [kinds, n_items] as `Memories.by_kind` gives it.
            own: [n_items].
            again: See above.
            target: The item that was taken.
            allowed: [n_items] candidates.
        """
        sums = np.stack((by_kind[:, own].sum(axis=1), by_kind[:, ~own].sum(axis=1)), axis=1)
        open_to = np.where(allowed, by_kind, -1.0)
        n = min(LIKELIEST, by_kind.shape[1])
        likeliest = np.unique(np.argpartition(-open_to, n - 1, axis=1)[:, :n])
        likeliest = likeliest[allowed[likeliest] & (likeliest != target)]
        kept = np.concatenate(([target], likeliest))
        return cls(by_kind[:, kept], own[kept], sums, again)


class Votes:
    """Rank the targets of many questions under any lift.

    Args:
        votes: One a question.
        users: [n] whose question each is: what users have in common is no evidence twice.
    """

    def __init__(self, votes: list[Vote], users: Ints) -> None:
        n, most = len(votes), max(one.shares.shape[1] for one in votes)
        self._shares = np.zeros((n, len(KINDS), most))
        self._own, self._there = np.zeros((n, most), bool), np.zeros((n, most), bool)
        for row, one in enumerate(votes):
            m = one.shares.shape[1]
            self._shares[row, :, :m], self._own[row, :m] = one.shares, one.own
            self._there[row, :m] = True
        self._sums = np.stack([one.sums for one in votes])
        self._again = np.array([one.again for one in votes])
        self._users = np.unique(users, return_inverse=True)[1]

    def gains(self, lift: Doubles) -> Doubles:
        """Give the gain 1 / log2(1 + rank) [n] of each target, 0 beyond rank 10.

        Args:
            lift: [kinds] logits.
        """
        loud = np.exp(lift)
        scores = np.einsum("k,nkm->nm", loud, self._shares)
        sums = np.einsum("k,nks->ns", loud, self._sums)
        chances = np.stack((self._again, 1 - self._again), axis=1)
        both = (sums > 0).all(axis=1, keepdims=True)
        scales = np.where(both, np.divide(chances, sums, out=np.ones_like(sums), where=sums > 0), 1)
        scores *= np.where(self._own, scales[:, :1], scales[:, 1:])
        target, others = scores[:, :1], self._there[:, 1:]
        better = ((scores[:, 1:] > target) & others).sum(axis=1)
        equal = ((scores[:, 1:] == target) & others).sum(axis=1)
        rank = 1 + better + equal / 2
        heard = target[:, 0] > 0
        return np.where(heard & (rank <= K), 1 / np.log2(1 + rank), 0.0)

    def best(self, kinds: list[int]) -> Doubles:
        """Find the lift [kinds] under which targets rank best.

        Args:
            kinds: Those that are searched; the last of them stays, since only ratios count.
        """
        lift = np.zeros(len(KINDS))
        gains = self.gains(lift)
        for _ in range(_ROUNDS):
            before = lift
            for kind in kinds[:-1]:
                tried = [(one, self.gains(one)) for one in _steps(lift, kind)]
                one, found = max(tried, key=lambda pair: float(pair[1].mean()))
                if self._is_beyond_noise(found - gains):
                    lift, gains = one, found
            if lift is before:
                break
        return lift

    def _is_beyond_noise(self, gained: Doubles) -> bool:
        # Of one user alone there is no telling.
        error = np.sqrt(np.square(np.bincount(self._users, gained)).sum())
        return bool(gained.sum() > _BEYOND * error)


def _steps(lift: Doubles, kind: int) -> Iterator[Doubles]:
    for step in _STEPS:
        moved = lift.copy()
        moved[kind] = np.clip(moved[kind] + step, -_MOST, _MOST)
        yield moved


def of_experts(lift: Doubles, kinds: list[int]) -> Tensor:
    """Give each expert [experts] the lift of its kind."""
    return torch.from_numpy(lift[kinds]).float()
