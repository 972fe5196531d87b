"""Shortlists: the best items of each question, without a score for every item.

Answers are those that scoring, masking and ranking everything would give. Where float32 cannot tell
items apart, that is what is done.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Histories, Ints
from recency.nn.item_table import ItemTable
from recency.nn.memories import Memories
from recency.nn.mixing import LEAST, Mixing, masked
from recency.nn.model import SequenceModel
from recency.nn.voices import Voices
from recency.nn.workspace import Workspace
from recency.ranking.leaders import leaders, ranked
from recency.ranking.topk import top_k

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Found = tuple[Ints, Floats]  # item rows [n, m], -1 where there are fewer, and scores, -inf there

_CELLS = 2**22  # cells of questions by items worked on at once, so that memory stays bounded


@dataclass(frozen=True)
class Wanted:
    """Say what is to be listed for n questions.

    Attributes:
        m: Most items a list.
        n_items: Items known.
        allowed: [n_items] what may be given; None for all.
        seen: n histories whose items may not come again; None lets them.
    """

    m: int
    n_items: int
    allowed: Mask | None = None
    seen: Histories | None = None

    @property
    def refused(self) -> Ints:
        """List what may not be given."""
        return np.empty(0, np.int64) if self.allowed is None else np.flatnonzero(~self.allowed)

    def part(self, rows: slice) -> "tuple[Ints, Ints, Ints] | None":
        """Give items, starts and stops of the histories of some questions."""
        if self.seen is None:
            return None
        return (
            self.seen.items.astype(np.int64),
            self.seen.offsets[:-1][rows],
            self.seen.offsets[1:][rows],
        )


class Shortlists:
    """Find the best items of a model, on the CPU.

    Args:
        model: Whose items; may learn on.
    """

    def __init__(self, model: SequenceModel) -> None:
        self._model = model
        self._table = ItemTable(model)
        self._workspace = Workspace()

    @property
    def table(self) -> ItemTable:
        """Give the item vectors as they are now."""
        if not self._table.is_of(self._model):
            self._table = ItemTable(self._model)
        return self._table

    @torch.no_grad()
    def of_model(self, queries: Tensor, wanted: Wanted) -> Found:
        """List the best by the encoder's score for queries [n, dim]."""
        table, refused = self.table, wanted.refused
        refused = refused[refused < len(table)]
        found = []
        for part in _blocks(len(queries), wanted.n_items):
            asked = table.asked(queries[part])
            left = torch.empty(len(asked), len(table))
            off, _ = table.scores(asked, left)
            scores = left.numpy()
            masked(scores, refused, wanted.part(part), -np.inf)
            if not table.rough:
                found.append(top_k(scores, wanted.m))
                continue
            rows, items = leaders(scores, wanted.m, spare=2 * off)
            exact = table.scores_of(asked, rows, items).astype(np.float32)
            found.append(ranked(rows, items, exact, (len(asked), wanted.m)))
        return _joined(found)

    @torch.no_grad()
    def of_experts(
        self, memories: Memories, voices: Voices, queries: Tensor, wanted: Wanted
    ) -> Found:
        """List the best by encoder and experts for queries [n, dim]."""
        table, refused = self.table, wanted.refused
        found = []
        for part in _blocks(len(queries), wanted.n_items):
            some = voices.part(part)
            mixing = Mixing(memories, some, table, queries[part], wanted.n_items, self._workspace)
            seen = wanted.part(part)
            masked(mixing.mixed, refused, seen, -1.0)
            rows, items = leaders(mixing.mixed, wanted.m, mixing.shares, LEAST)
            scores = mixing.scores(rows, items)
            best = ranked(rows, items, scores, (len(some), wanted.m))
            full = mixing.sound & (best[0] >= 0).all(axis=1)
            for row in np.flatnonzero(~full):
                whole = self._whole(memories, some, queries[part], int(row), wanted)
                one = None if seen is None else (seen[0], seen[1][[row]], seen[2][[row]])
                masked(whole, refused, one, -np.inf)
                best[0][[row]], best[1][[row]] = top_k(whole, wanted.m)
            found.append(best)
        return _joined(found)

    def _whole(
        self, memories: Memories, voices: Voices, queries: Tensor, row: int, wanted: Wanted
    ) -> Floats:
        """Score every item for one question, in float64: [1, n_items]."""
        logits = self._model.scores(queries[[row]]).double()
        chances = np.zeros(wanted.n_items)
        chances[: logits.shape[1]] = torch.softmax(logits, dim=1).numpy()[0]
        return memories.mix(voices, row, chances)[None]


def seen_by(asked: Ints, users: Ints, seen: Histories | None) -> Histories | None:
    """Give the histories of some users, ascending, out of those of users [n] in any order."""
    if seen is None or np.array_equal(asked, users):
        return seen
    order = np.argsort(users, kind="stable")
    return seen.select(order[np.searchsorted(users, asked, sorter=order)])


def _blocks(n: int, n_items: int) -> list[slice]:
    step = max(1, _CELLS // max(1, n_items))
    return [slice(start, start + step) for start in range(0, n, step)]


def _joined(found: list[Found]) -> Found:
    if len(found) == 1:
        return found[0]
    return np.concatenate([items for items, _ in found]), np.concatenate([s for _, s in found])
