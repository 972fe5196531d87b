"""Shares: what each voice, and each event through it, brings to the chance of an item; exactly.

The mixture p(item) = sum over voices v of loud_v * p_v(item) is a sum, and so are the own and the
pair experts in it: each is a sum over the user's events. So of these parts it is known, without any
approximation, how much of the chance each event brings. The encoder alone is no such sum.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.nn.memories import Memories
from recency.nn.voices import Voices

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Hold how the chances of m items come about for one question.

    Attributes:
        names: Of the voices, in the order of the gate.
        loud: [voices] how much each is listened to; sums to 1, 0 for one that knows nothing.
        chances: [voices, m] the chance that each gives each item.
        own: [events, m] what each of the newest events brings to the own expert's chances, newest
            first; None without this expert.
        pair: [half-lives, events, m] the same of the pair experts.
        lost: Share of the own expert that lies on events whose item nobody can return to.
    """

    names: list[str]
    loud: Doubles
    chances: Doubles
    own: Doubles | None
    pair: Doubles
    lost: float

    @property
    def mixed(self) -> Doubles:
        """Give the mixture [m], before own items are scaled to the chance of a return."""
        found: Doubles = self.loud @ self.chances
        return found

    def voices(self, item: int) -> Doubles:
        """Give the share [voices] that each brings to the chance of one of the items."""
        parts = self.loud * self.chances[:, item]
        total = parts.sum()
        found: Doubles = parts / total if total > 0 else np.zeros_like(parts)
        return found

    def events(self, item: int) -> tuple[Doubles, Doubles]:
        """Give what each event, newest first, brings to the chance of one of the items, as a share.

        Returns:
            [events] through the own expert, and [fewer events] through the pair experts.
        """
        total = max(float(self.mixed[item]), np.finfo(float).tiny)
        at = int("encoder" in self.names)
        own = np.zeros(0)
        if self.own is not None:
            own = self.loud[at] * self.own[:, item] / total
            at += 1
        loud = self.loud[at : at + len(self.pair)]
        return own, np.einsum("h,he->e", loud, self.pair[:, :, item]) / total


def shares_of(
    memories: Memories, voices: Voices, names: list[str], encoder: Doubles, items: Ints
) -> Shares:
    """Take a mixture apart.

    Args:
        memories: Of the experts, as of the question.
        voices: How loud each is to be for the question; its first row counts.
        names: Of the voices.
        encoder: [m] the encoder's chances of the items.
        items: [m] item rows.
    """
    past = voices.items[0]
    parts, silent = [], []
    if memories.config.encoder:
        parts.append(encoder[None])
        silent.append(False)
    own, lost = None, 0.0
    if voices.own is not None:
        weights = _softmax(voices.own[0])
        own = weights[:, None] * (past[:, None] == items[None])
        lost = float(weights[past < 0].sum())
        parts.append(own.sum(axis=0)[None])
        silent.append(not (past >= 0).any())
    pair, known = _beside(memories, voices, items)
    parts.append(pair.sum(axis=1))
    silent += (~known).tolist()
    parts.append(memories.clock.shares_of(items))
    silent += (memories.clock.table.totals <= 0).tolist()
    loud = _softmax(np.where(silent, -np.inf, voices.gates[0]))
    return Shares(names, loud, np.concatenate(parts), own, pair, lost)


def _beside(
    memories: Memories, voices: Voices, items: Ints
) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Give what stands beside each of the newest events, and which half-lives know anything."""
    n = len(memories.pairs)
    logs = voices.pair
    if not n or logs is None:
        return np.zeros((0, 0, len(items))), np.zeros(0, bool)
    newest = voices.items[0, : logs.shape[1]]
    rows = memories.beside.rows(newest[newest >= 0].tolist())
    found = np.zeros((n, len(newest), len(items)))
    known = np.zeros((n, len(newest)))
    for place, one in enumerate(newest.tolist()):
        if one < 0:
            continue
        others, shares = rows[one].others, rows[one].shares
        known[:, place] = rows[one].known
        for column, item in enumerate(items.tolist()):
            found[:, place, column] = shares[:, others == item].sum(axis=1)
    some = logs[0].max() > -np.inf
    weights = np.exp(logs[0] - logs[0].max()) * known if some else known * 0.0
    sums = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    return weights[:, :, None] * found, sums[:, 0] > 0


def _softmax(logs: Doubles) -> Doubles:
    """Give shares of logarithms; zeros where there is nothing at all."""
    if not len(logs) or logs.max() == -np.inf:
        return np.zeros_like(logs)
    found = np.exp(logs - logs.max())
    shares: Doubles = found / found.sum()
    return shares
