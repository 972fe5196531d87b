"""Ranks: where each target stands among all candidates, ties included.

Decisions: a tie is kept as the span of ranks it covers (`Ranks.first` to `Ranks.last`), not as one
number, so that metrics can take the exact mean over all orders of the tied items. A rank in the
middle of a tie would not do: it gives a constant score a recall of 0, where chance gives k / n.
A target that the recommender does not recommend (score -inf, or no candidate) has rank `MISS`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from recency.errors import ConfigError

Ties = Literal["mean", "worst", "best"]
TIES: tuple[Ties, ...] = ("mean", "worst", "best")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]

MISS = 2**62  # beyond every k and every catalogue

_CELLS = 2**18  # scores compared at once: they stay in the cache of a core


@dataclass(frozen=True)
class Ranks:
    """Hold the ranks of t targets of n questions; 1 is best.

    Attributes:
        question: [t] question of each target, ascending.
        first: [t] rank at best: one more than the number of candidates with a higher score.
        last: [t] rank at worst; equal to ``first`` without a tie.
        n_questions: Questions, those without a target included.
    """

    question: Ints
    first: Ints
    last: Ints
    n_questions: int

    @classmethod
    def from_counts(
        cls, greater: Ints, at_least: Ints, question: Ints, n_questions: int, ties: Ties = "mean"
    ) -> "Ranks":
        """Turn the counts of `count_above` into ranks under a tie policy.

        Targets of one question that tie with each other hold different ranks: among ``n`` tied
        items, ``m`` of them targets, the targets take the last ``m`` ranks of the tie under
        ``"worst"``, the first ``m`` under ``"best"``, and any under ``"mean"``.

        Args:
            greater: [t] candidates with a higher score.
            at_least: [t] candidates with the same score or a higher one, the target included; 0 for
                a target that is not recommended.
            question: [t] ascending.
            n_questions: Questions asked.
            ties: ``"mean"`` lets metrics average over all orders of the tied items.

        Raises:
            ConfigError: an unknown tie policy.
        """
        if ties not in TIES:
            raise ConfigError(f"expected ties as one of {', '.join(TIES)}, found {ties!r}.")
        missed = at_least == 0
        first, last = greater + 1, at_least
        if ties != "mean":
            # A missed target stands in no tie, not even in one whose count of 0 it seems to share.
            place, size = _places(question, np.where(missed, MISS, greater))
            first = last = greater + 1 + place if ties == "best" else at_least - size + 1 + place
        return cls(
            question=question,
            first=np.where(missed, MISS, first),
            last=np.where(missed, MISS, last),
            n_questions=n_questions,
        )

    def __len__(self) -> int:
        return len(self.question)

    @cached_property
    def n_targets(self) -> Ints:
        """Count the targets of each question, [n_questions]."""
        return np.bincount(self.question, minlength=self.n_questions)

    @cached_property
    def mean(self) -> Floats:
        """Give each target's mean rank over the orders of its tie, [t]; inf where it is missed."""
        middle = (self.first + self.last) / 2
        return np.where(self.first == MISS, np.inf, middle)

    @cached_property
    def tied_share(self) -> float:
        """Give the share of targets, in [0, 1], whose rank depends on the order of a tie."""
        return float((self.last > self.first).mean()) if len(self) else 0.0


def count_above(scores: Scores, rows: Ints, items: Ints) -> tuple[Ints, Ints]:
    """Count the candidates that stand above each target, and those that stand level with it.

    Args:
        scores: [m, n_items] without NaN; -inf marks what is no candidate.
        rows: [t] row of ``scores`` of each target.
        items: [t] item of each target.

    Returns:
        [t] items with a higher score, and [t] items with at least the same score, the target
        included: 0 where the target itself is at -inf.
    """
    own = scores[rows, items]
    greater = np.empty(len(rows), np.int64)
    at_least = np.empty(len(rows), np.int64)
    step = max(1, _CELLS // max(1, scores.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        block, threshold = _rows(scores, rows[part]), own[part, None]
        greater[part] = _count(block > threshold)
        at_least[part] = _count(block >= threshold)
    at_least[own == -np.inf] = 0
    return greater, at_least


def _rows(scores: Scores, rows: Ints) -> Scores:
    """Take rows, without a copy where they follow each other."""
    if rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return scores[rows[0] : rows[-1] + 1]
    return scores[rows]


def _count(flags: npt.NDArray[np.bool_]) -> Ints:
    """Count the true cells of each row: eight cells a byte, several times faster than a sum."""
    counts: Ints = np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)
    return counts


def _places(question: Ints, greater: Ints) -> tuple[Ints, Ints]:
    """Number the targets of each tie 0, 1, …, and give each the number of targets in its tie."""
    order = np.lexsort((greater, question))
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(question[order]) != 0) | (np.diff(greater[order]) != 0)
    group = np.cumsum(starts) - 1
    place, size = np.empty_like(order), np.empty_like(order)
    place[order] = np.arange(len(order)) - np.flatnonzero(starts)[group]
    size[order] = np.bincount(group)[group]
    return place, size
