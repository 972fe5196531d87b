"""Fusion: members' scores become chances of items, and chances are mixed.

    p(item) = sum over members m of w_m * p_m(item)

Weights are not negative, sum to 1, and are those that make held-out targets most likely. Mixing
chances, not scores, needs no scale of scores, keeps a score a log-probability, and its best
weights are found exactly: the likelihood is concave in them, and expectation maximisation (EM)
climbs it without a step size (Dempster, Laird and Rubin, Maximum Likelihood from Incomplete Data
via the EM Algorithm, JRSS B 1977, section 4.3).

How a member's scores become chances is its `Voice`. A model with experts gives log-probabilities,
an encoder alone logits. A baseline's scores promise no scale, so its ranking speaks: the item at
rank r has a chance in proportion to r ** -s, where s is the one that makes the held-out targets
most likely. Fusion of ranks lets every member speak so. It is reciprocal rank fusion (Cormack,
Clarke and Büttcher, SIGIR 2009) with all its constants learned: there, every member has the same
weight and gives 1 / (60 + r).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Kind = Literal["scores", "ranks"]

LEAST_WEIGHT = 1e-3  # a member with less says nothing and costs as much as any: it falls silent
_STEEPEST = 10.0
_SWEEPS = 2_000
_SETTLED = 1e-12  # gain of log-likelihood a target at which weights have settled
_CELLS = 2**20  # scores mixed at once


@dataclass(frozen=True)
class Voice:
    """Say how a member's scores become chances.

    Attributes:
        scores: What they are: ``"chances"`` are log-probabilities, ``"logits"`` take a softmax,
            of ``"ranks"`` only the order counts.
        exponent: s of ranks: the item at rank r has a chance in proportion to r ** -s. Tied items
            share the mean of their ranks.
    """

    scores: Literal["chances", "logits", "ranks"]
    exponent: float = 1.0

    def chances(self, scores: Scores, known: Flags) -> Floats:
        """Turn scores into chances.

        Args:
            scores: [n, n_items]; -inf for what is not to be recommended.
            known: [n_items] items that the member has learned; ranks are given among them only.

        Returns:
            [n, n_items], each row summing to 1 or less.
        """
        if self.scores == "chances":
            return np.exp(scores.astype(np.float64))
        if self.scores == "logits":
            logits = scores.astype(np.float64)
            loud = np.exp(logits - logits.max(axis=1, keepdims=True))
            return np.asarray(loud / loud.sum(axis=1, keepdims=True))
        spoken = np.zeros(scores.shape)
        own = scores[:, known]
        spoken[:, known] = np.where(
            np.isfinite(own), self.of_ranks(mean_ranks(own), own.shape[1]), 0.0
        )
        return spoken

    def of_targets(self, scores: Scores, rows: Ints, items: Ints) -> Floats:
        """Give chances [t] of targets: ``items`` [t] in ``rows`` [t] of scores; NaN of ranks."""
        own = scores[rows, items].astype(np.float64)
        if self.scores == "ranks":
            return np.full(len(own), np.nan)
        if self.scores == "logits":
            highest = scores.max(axis=1, keepdims=True)
            masses = np.exp(scores - highest).sum(axis=1, dtype=np.float64)
            own -= (highest[:, 0] + np.log(masses))[rows]
        return np.exp(own)

    def of_ranks(self, ranks: Floats, n_items: int) -> Floats:
        """Give the chances of ranks, of any shape, among ``n_items`` items."""
        shares = np.arange(1.0, n_items + 1) ** -self.exponent
        return np.asarray(ranks**-self.exponent / shares.sum())


@dataclass(frozen=True)
class Fusion:
    """Mix members.

    Attributes:
        voices: [m] how each member's scores become chances.
        weights: [m] not negative, summing to 1; a member of weight 0 is silent.
    """

    voices: tuple[Voice, ...]
    weights: tuple[float, ...]

    @classmethod
    def even(cls, voices: Sequence[Voice]) -> Self:
        """Let all members count the same."""
        return cls(tuple(voices), (1 / len(voices),) * len(voices))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        return cls(tuple(Voice(**one) for one in content["voices"]), tuple(content["weights"]))

    def to_dict(self) -> dict[str, Any]:
        """Give all as JSON."""
        return asdict(self)

    def mixed(self, scores: Sequence[Scores | None], known: Sequence[Flags]) -> Scores:
        """Mix the members' answers to the same questions.

        Args:
            scores: [m] blocks [n, n_items]; a silent member's is not looked at.
            known: [m] items that each has learned, [n_items].

        Returns:
            [n, n_items] log-chances, -inf for items that nobody knows. They are rounded to 1e-6, so
            that sums taken in another order still rank the same.
        """
        loud = [
            (weight, voice, block, mask)
            for weight, voice, block, mask in zip(
                self.weights, self.voices, scores, known, strict=True
            )
            if weight > 0 and block is not None
        ]
        n, n_items = loud[0][2].shape
        found = np.empty((n, n_items), np.float32)
        step = max(1, _CELLS // max(1, n_items))
        for start in range(0, n, step):
            part = slice(start, start + step)
            total = sum(
                weight * voice.chances(block[part], mask) for weight, voice, block, mask in loud
            )
            with np.errstate(divide="ignore"):
                found[part] = np.round(np.log(total), 6)
        return found


def learned(voices: Sequence[Voice], chances: Floats, ranks: Floats, n_items: int) -> Fusion:
    """Learn a fusion from what members said of targets.

    Args:
        voices: [m]; the exponents of those that speak by ranks are fitted here.
        chances: [t, m] chance that each member gave each target; NaN where its ranking speaks.
        ranks: [t, m] mean rank that it gave it.
        n_items: Items ranked.
    """
    fitted, columns = [], []
    for place, voice in enumerate(voices):
        if voice.scores != "ranks":
            columns.append(chances[:, place])
        else:
            voice = replace(voice, exponent=steepness(ranks[:, place], n_items))
            columns.append(voice.of_ranks(ranks[:, place], n_items))
        fitted.append(voice)
    weights = mixture_weights(np.stack(columns, axis=1))
    weights[weights < LEAST_WEIGHT] = 0.0
    return Fusion(tuple(fitted), tuple((weights / weights.sum()).tolist()))


def mixture_weights(chances: Floats) -> Floats:
    """Find the weights [m] of a mixture under which targets are most likely, by EM.

    Each sweep gives a member the mean share that it has in the mixture's chances of the targets;
    the likelihood never falls.

    Args:
        chances: [t, m] of each target under each member; a target that no member gave a chance
            says nothing.
    """
    n_members = chances.shape[1]
    weights = np.full(n_members, 1 / n_members)
    said = chances[chances.max(axis=1) > 0]
    before = -np.inf
    for _ in range(_SWEEPS if len(said) else 0):
        mixed = said @ weights
        now = float(np.log(mixed).mean())
        if now - before < _SETTLED:
            break
        before = now
        weights = weights * (said / mixed[:, None]).mean(axis=0)
    return weights


def steepness(ranks: Floats, n_items: int) -> float:
    """Find the exponent s for which chances in proportion to r ** -s make ranks most likely.

    At the maximum, the mean log-rank that the chances expect is the one that was seen; it falls as
    s grows, so s is found by bisection.

    Args:
        ranks: [t] ranks of the targets, at least 1; inf, of a target that is not ranked, is passed
            over.
        n_items: Items ranked.
    """
    ranks = ranks[np.isfinite(ranks)]
    logs, seen = np.log(np.arange(1, n_items + 1)), float(np.log(ranks).mean())
    low, high = 0.0, _STEEPEST
    for _ in range(60):
        middle = (low + high) / 2
        shares = np.exp(-middle * logs)
        if shares @ logs / shares.sum() > seen:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def mean_ranks(scores: Scores) -> Floats:
    """Rank the items of each row, 1 is best; items of equal score share the mean of their ranks."""
    n_items = scores.shape[1]
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    opens = np.ones(scores.shape, bool)
    opens[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    closes = np.ones(scores.shape, bool)
    closes[:, :-1] = opens[:, 1:]
    places = np.arange(n_items)
    first = np.maximum.accumulate(np.where(opens, places, 0), axis=1)
    last = np.where(closes, places, n_items)[:, ::-1]
    last = np.minimum.accumulate(last, axis=1)[:, ::-1]
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    return ranks
