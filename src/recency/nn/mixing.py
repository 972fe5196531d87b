"""Mixing: the best items of many questions at once, by encoder and experts together.

The mixture of every item is found in float32, the crowd's and the encoder's by two products of
matrices, the rest by sparse additions. It ranks as its logarithm does, so nothing is taken the
logarithm of but the few items that may be among the best; these are scored anew in float64, as
`Memories.mix` scores them, so that equal items stay equal and ties go to the smaller row.

Where the encoder scores roughly, its chances are a little off, each by no more than a known share.
That widens the choice of those to be scored anew. The sum of all, to which chances are scaled, is
corrected by the exact chances of the own items and of the `_EXACT` best, which hold what mass there
is in few places; the errors of the many others cancel.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Ints, ragged_positions
from recency.data.pairs import WINDOW
from recency.nn.item_table import ItemTable
from recency.nn.memories import Memories
from recency.nn.voices import Voices
from recency.nn.workspace import Workspace
from recency.ranking.leaders import leaders

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Part = tuple[Ints, Doubles]  # items, each maybe more than once, and their shares

SLACK = 1e-5  # what float32 may be wrong by, as a share of a mixture
LEAST = 1e-30  # mixtures below are not told apart in float32
_THIN = 1e-12
_EXACT = 64  # best chances of a question that are made exact where the encoder scores roughly


class Mixing:
    """Mix all experts for a block of questions as of now.

    Args:
        memories: Of the experts.
        voices: How loud each is to be, n questions.
        table: The encoder's items.
        queries: [n, dim].
        n_items: Items known; those beyond the table's have no weights.
        workspace: Where to work, whatever is in it; None takes new pages.
    """

    def __init__(
        self,
        memories: Memories,
        voices: Voices,
        table: ItemTable,
        queries: Tensor,
        n_items: int,
        workspace: Workspace | None = None,
    ) -> None:
        self._memories, self._voices, self._table = memories, voices, table
        self._asked = table.asked(queries)
        self._shape = (len(voices.gates), n_items)
        self._near, self._near_shares = self._beside()
        self._own_keys, self._own_shares = self._own()
        self._loud = self._loudness()
        self._off = np.zeros(len(voices))  # of the encoder's scores
        self._workspace = Workspace() if workspace is None else workspace
        self.mixed = self._dense(self._workspace.cells(*self._shape))
        self._beside_own: list[Part | None] = [None] * len(voices)
        self._add_sparse()
        self.sound = np.ones(len(voices), bool)  # whether float32 ranks well, but for `shares`
        self._own_factor, self._rest_factor = self._scale_own()

    @property
    def shares(self) -> Doubles:
        """Give the share [n] of the k-th best mixture that may belong to one of the best k."""
        return (1 - SLACK) * np.exp(-2 * self._off)

    def scores(self, rows: Ints, items: Ints) -> Floats:
        """Give the log-probabilities of items [m] for questions ``rows`` [m]; see `Memories.mix`.

        They are rounded to 1e-6, so that sums taken in another order still rank the same.
        """
        crowd = self._memories.clock.shares_of(items)
        first = self._loud.shape[1] - len(crowd)
        mixed = np.einsum("mh,hm->m", self._loud[rows, first:], crowd)
        if self._memories.config.encoder:
            known = items < len(self._table)
            of, what = rows[known], items[known]
            logits = self._table.scores_of(self._asked, of, what)
            mixed[known] += np.exp(logits - self._zero[of]) * self._encoder[of]
        own, place = _found(self._own_keys, rows * self._shape[1] + items)
        if self._voices.own is not None:
            at = int(self._memories.config.encoder)
            mixed[own] += self._own_shares[place[own]] * self._loud[rows[own], at]
        self._add_beside(mixed, rows, items)
        mixed *= np.where(own, self._own_factor[rows], self._rest_factor[rows])
        with np.errstate(divide="ignore"):
            scores: Floats = np.round(np.log(np.maximum(mixed, 0)), 6).astype(np.float32)
        return scores

    def _own(self) -> tuple[Ints, Doubles]:
        """Give the own items of all questions, as ``row * n_items + item``, and their shares."""
        items, logs = self._voices.items, self._voices.own
        rows, place = np.nonzero(items >= 0)
        keys = rows * self._shape[1] + items[rows, place]
        if logs is None:
            return np.unique(keys), np.empty(0)
        # An event on an item without a row keeps its share: to it, nobody can return.
        weights: Doubles = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        known, inverse = np.unique(keys, return_inverse=True)
        shares = np.zeros(len(known))
        np.add.at(shares, inverse, weights[rows, place])
        return known.astype(np.int64), shares

    def _beside(self) -> tuple[list[list[int]], Doubles]:
        """Give each question's newest items, and the share [n, half-lives, `WINDOW`] of each."""
        newest = self._voices.items[:, :WINDOW]
        lists = newest.tolist()
        n_half_lives = len(self._memories.pairs)
        logs = self._voices.pair
        if not n_half_lives or logs is None:
            return lists, np.empty((len(lists), 0, WINDOW))
        self._rows = self._memories.beside.rows(newest[newest >= 0].tolist())
        nothing = np.zeros(n_half_lives)
        self._scales = np.array(
            [[self._rows[one].scale if one >= 0 else nothing for one in row] for row in lists]
        ).transpose(0, 2, 1)
        known = self._scales > 0
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))[:, None, :] * known
        sums = weights.sum(axis=2, keepdims=True)
        return lists, np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)

    def _loudness(self) -> Doubles:
        """Give each expert's weight [n, experts]; who knows nothing is not asked."""
        memories, voices = self._memories, self._voices
        parts: list[npt.NDArray[np.bool_]]
        parts = [np.ones((self._shape[0], int(memories.config.encoder)), bool)]
        if voices.own is not None:
            parts.append(voices.items.max(axis=1, keepdims=True) >= 0)
        if memories.pairs:
            parts.append(self._near_shares.max(axis=2) > 0)
        totals = memories.clock.table.totals
        parts.append(np.broadcast_to(totals > 0, (self._shape[0], len(totals))))
        kept = np.where(np.concatenate(parts, axis=1), voices.gates, -np.inf)
        loud: Doubles = np.exp(kept - kept.max(axis=1, keepdims=True))
        loud /= loud.sum(axis=1, keepdims=True)
        return loud

    def _dense(self, mixed: Tensor) -> Floats:
        """Mix encoder and crowd into [n, n_items]."""
        n_items, known = self._shape[1], len(self._table)
        if self._memories.config.encoder:
            left = mixed if known == n_items else torch.empty(len(mixed), known)
            self._off, variance = self._table.scores(self._asked, left)
            highest = left.amax(dim=1)
            torch.softmax(left, dim=1, out=left)
            # The score that stands for a chance of 1.
            self._zero = (highest.double() - left.amax(dim=1).double().log()).numpy()
            self._encoder: Doubles = self._loud[:, 0].copy()
            excess = np.exp(variance / 2)  # of the exponential of a rough score, in the mean
            if self._table.rough:
                self._encoder /= self._corrected(left.numpy(), excess)
            factors = (self._encoder / excess).astype(np.float32)
            left.mul_(torch.from_numpy(factors)[:, None])
            if left is not mixed:
                mixed[:, :known] = left
                mixed[:, known:] = 0
        else:
            mixed.zero_()
        crowd, scales = self._memories.clock.rough(n_items)
        if len(crowd):
            loud = (self._loud[:, -len(crowd) :] * scales).astype(np.float32)
            mixed.addmm_(torch.from_numpy(loud), torch.from_numpy(crowd))
        return mixed.numpy()

    def _corrected(self, chances: Floats, excess: Doubles) -> Doubles:
        """Write the exact chances of own and best items; give what then is the sum of all, [n].

        The others stay too large by their mean excess [n]; so are, therefore, those written.
        """
        known = chances.shape[1]
        rows, items = leaders(chances, _EXACT)
        own_rows, own_items = np.divmod(self._own_keys, self._shape[1])
        own = own_items < known
        rows, items = np.append(rows, own_rows[own]), np.append(items, own_items[own])
        keys = np.unique(rows * known + items)
        rows, items = np.divmod(keys, known)
        exact = np.exp(self._table.scores_of(self._asked, rows, items) - self._zero[rows])
        cells, n = chances.reshape(-1), len(chances)
        others = (1 - np.bincount(rows, cells[keys], minlength=n)) / excess
        cells[keys] = exact * excess[rows]
        sums: Doubles = others + np.bincount(rows, exact, minlength=n)
        return sums

    def _add_sparse(self) -> None:
        """Add the own items and those beside the newest ones."""
        at = int(self._memories.config.encoder)
        if self._voices.own is not None:
            shares = self._own_shares * self._loud[self._own_keys // self._shape[1], at]
            self.mixed.reshape(-1)[self._own_keys] += shares.astype(np.float32)
            at += 1
        n_half_lives = len(self._memories.pairs)
        if not n_half_lives:
            return
        weights = self._near_shares * self._scales * self._loud[:, at : at + n_half_lives, None]
        weights = np.ascontiguousarray(weights.transpose(0, 2, 1))
        lengths = {one: len(row.others) for one, row in self._rows.items()}
        sizes = [sum(lengths[item] if item >= 0 else 0 for item in items) for items in self._near]
        every, exact, rough = self._workspace.parts(sum(sizes))
        stop = 0
        for row, items in enumerate(self._near):
            begin = stop
            for item, weight in zip(items, weights[row], strict=True):
                if item >= 0:
                    others, counts, _ = self._rows[item]
                    start, stop = stop, stop + len(others)
                    every[start:stop] = others
                    np.dot(weight, counts, out=exact[start:stop])
            part = slice(begin, stop)
            rough[part] = exact[part]
            np.add.at(self.mixed[row], every[part], rough[part])
            self._beside_own[row] = (every[part], exact[part])

    def _add_beside(self, mixed: Doubles, rows: Ints, items: Ints) -> None:
        """Add to mixtures [m] what own items bring: of items [m] for questions [m], ascending."""
        wanted = np.zeros(self._shape[1], bool)
        edges = np.searchsorted(rows, np.arange(self._shape[0] + 1)).tolist()
        for row, part in enumerate(self._beside_own):
            start, stop = edges[row], edges[row + 1]
            if part is None or start == stop:
                continue
            some = items[start:stop]
            wanted[some] = True
            hit = np.flatnonzero(wanted[part[0]])
            wanted[some] = False
            order = np.argsort(some)
            place = order[np.searchsorted(some, part[0][hit], sorter=order)]
            mixed[start:stop] += np.bincount(place, part[1][hit], minlength=stop - start)

    def _scale_own(self) -> tuple[Doubles, Doubles]:
        """Scale the own items to the chance that one comes again, against all others.

        Gives the factors [n] of own items and of the others; here, the own are scaled as if the
        others stayed as they are, which ranks the same.
        """
        cells, keys, n = self.mixed.reshape(-1), self._own_keys, self._shape[0]
        rows = keys // self._shape[1]
        own = cells[keys]
        mass = np.bincount(rows, np.maximum(own, 0), minlength=n)
        cells[keys] = 0
        rest = torch.from_numpy(self.mixed).sum(dim=1).numpy().astype(np.float64)
        again = self._voices.again
        both = np.bincount(rows, minlength=n) > 0
        # Sums so small, or of nothing, may be wrong by any share of theirs.
        self.sound = ~both | (
            (np.minimum(mass, rest) > _THIN) & (np.abs(again - 0.5) < 0.5 - _THIN)
        )
        both &= self.sound
        own_factor, rest_factor = np.ones(n), np.ones(n)
        own_factor[both] = again[both] / mass[both]
        rest_factor[both] = (1 - again[both]) / rest[both]
        cells[keys] = own * (own_factor / rest_factor).astype(np.float32)[rows]
        return own_factor, rest_factor


def _found(known: Ints, asked: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Tell which numbers are among known ones, which ascend, and where."""
    if not len(known):
        return np.zeros(len(asked), bool), np.zeros(len(asked), np.int64)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return known[place] == asked, place


def masked(
    mixed: Floats, refused: Ints, seen: tuple[Ints, Ints, Ints] | None, value: float
) -> None:
    """Write a value where an item may not be given.

    Args:
        mixed: [n, n_items], written to.
        refused: Items that nobody may get.
        seen: Items of n histories, and where each starts and stops, that may not come again.
        value: Below all that counts.
    """
    if len(refused):
        mixed[:, refused] = value
    if seen is not None:
        items, starts, stops = seen
        lengths = stops - starts
        cells = items[ragged_positions(starts, lengths)]
        rows = np.repeat(np.arange(len(mixed)), lengths)
        known = (cells >= 0) & (cells < mixed.shape[1])
        mixed[rows[known], cells[known]] = value
