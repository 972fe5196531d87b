"""An additive base: what a head says from plain counts alone, a convex fit without steps.

    f(x) = b + sum over facts j of (w_j z_j + sum over k of v_jk hat_k(x_j))
             + sum over pairs i < j of u_ij z_i z_j                                      (1)

with z_j the fact standardised, pairs those of a few facts that tell more together, and hats that
rise to 1 at a quantile of the fact and fall to 0 at its neighbours: Hastie and Tibshirani,
Generalized additive models, Statistical Science 1(3), 1986, with piecewise linear curves. Squares
of u, v and w are held down, u and v more. The fit is Newton's, so the same lessons give the same
base; how much is held down is chosen on the newest of them.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.nn.head import Lessons

KNOTS = 7
Doubles = npt.NDArray[np.float64]
Kind = Literal["chance", "value"]
_FEWEST = 200  # lessons: fewer say nothing that many curves could hold
_STRENGTHS = (10.0, 100.0, 1_000.0)
_NEWEST = 0.2  # of the lessons: the strength is chosen on them
_MOST = 60_000  # lessons
_STEPS = 12
_HALVINGS = 6
_BLOCK = 8_192


class Additive(nn.Module):
    """Give a number for facts; fresh, 0 for all.

    Args:
        n_facts: How many facts.
        kind: Whether it is the logit of a chance or a value.
        together: Facts that tell more together: each pair of them is multiplied.
    """

    def __init__(self, n_facts: int, kind: Kind, together: Sequence[int] = ()) -> None:
        super().__init__()
        self.n_facts, self.kind = n_facts, kind
        pairs = torch.tensor(list(combinations(together, 2)), dtype=torch.long).reshape(-1, 2)
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("products", torch.zeros(len(pairs)))
        self.register_buffer("middle", torch.zeros(n_facts))
        self.register_buffer("spread", torch.ones(n_facts))
        self.register_buffer("ends", torch.tensor([-1e9, 1e9])[:, None].repeat(1, n_facts))
        self.register_buffer("knots", torch.arange(KNOTS).float().repeat(n_facts, 1))
        self.register_buffer("slopes", torch.zeros(n_facts))
        self.register_buffer("heights", torch.zeros(n_facts, KNOTS))
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("fitted", torch.tensor(False))
        self.pairs: Tensor
        self.products: Tensor
        self.middle: Tensor
        self.spread: Tensor
        self.ends: Tensor
        self.knots: Tensor
        self.slopes: Tensor
        self.heights: Tensor
        self.shift: Tensor
        self.fitted: Tensor

    def standard(self, facts: Tensor) -> Tensor:
        """Give facts [n, n_facts] of mean 0 and deviation 1, never beyond what was fitted to."""
        inside = torch.minimum(torch.maximum(facts, self.ends[0]), self.ends[1])
        return ((inside - self.middle) / self.spread).clamp(-4, 4)

    def forward(self, facts: Tensor) -> Tensor:
        """Give numbers [n] for facts [n, n_facts]."""
        place, part = self._places(facts)
        rows = torch.arange(self.n_facts, device=facts.device)
        low, high = self.heights[rows, place], self.heights[rows, place + 1]
        hats = ((1 - part) * low + part * high).sum(1)
        standard = self.standard(facts)
        found: Tensor = self.shift + standard @ self.slopes + hats
        return found + self._multiplied(standard) @ self.products

    def _multiplied(self, standard: Tensor) -> Tensor:
        """Give the products [n, pairs] of standardised facts."""
        return standard[:, self.pairs[:, 0]] * standard[:, self.pairs[:, 1]]

    def learn(self, lessons: Lessons) -> None:
        """Fit to the first label of lessons."""
        facts, labels = torch.from_numpy(lessons.facts), torch.from_numpy(lessons.labels[:, 0])
        self.fit(facts.to(self.shift.device), labels, lessons.at)

    @torch.no_grad()
    def fit(
        self,
        facts: Tensor,
        labels: Tensor,
        at: npt.NDArray[np.int64],
        beside: Doubles | None = None,
    ) -> bool:
        """Fit to lessons, in any order.

        Args:
            facts: [n, n_facts].
            labels: [n] 0 or 1, or values.
            at: [n] instants; the newest choose how much is held down.
            beside: [n] what stands beside the number in the lessons alone, such as what a draw of
                them adds to their logits; None: nothing.

        Returns:
            Whether there were enough to fit to; else nothing has changed.
        """
        chosen = _even(np.argsort(at, kind="stable"), _MOST)
        y = labels.double().cpu().numpy()[chosen]
        more = np.zeros(len(y)) if beside is None else beside[chosen]
        if len(y) < _FEWEST or (self.kind == "chance" and not 20 <= y.sum() <= len(y) - 20):
            return False
        told = facts[torch.from_numpy(chosen).to(facts.device)]
        self._measure(told)
        columns = self._columns(told)
        stop = round((1 - _NEWEST) * len(y))
        costs, weights = [], self._guess(columns, y, more)
        for strength in _STRENGTHS:
            older = (columns[:stop], y[:stop], more[:stop])
            weights = self._solved(*older, strength, weights)
            costs.append(self._cost(columns[stop:] @ weights + more[stop:], y[stop:]))
        best = _STRENGTHS[int(np.argmin(costs))]
        self._take(self._solved(columns, y, more, best, weights))
        return True

    def _measure(self, facts: Tensor) -> None:
        self.middle.copy_(facts.mean(0))
        self.spread.copy_(facts.std(0).clamp(min=1e-3))
        self.ends.copy_(torch.stack((facts.amin(0), facts.amax(0))))
        table = facts.double().cpu().numpy()
        shares = np.linspace(0, 1, 4 * KNOTS)
        for j in range(self.n_facts):
            # Counts repeat: of many quantiles, as many are kept as differ.
            values = np.unique(np.quantile(table[:, j], shares))
            values = values[_even(np.arange(len(values)), KNOTS)]
            above = values[-1] + 1.0 + np.arange(KNOTS - len(values))
            line = torch.from_numpy(np.concatenate((values, above)))
            self.knots[j].copy_(line)

    def _places(self, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Give the knot below each fact, and how far it is on to the next: [n, n_facts] each."""
        x = facts.T.contiguous()
        place = (torch.searchsorted(self.knots, x, right=True) - 1).clamp(0, KNOTS - 2)
        low = torch.gather(self.knots, 1, place)
        wide = torch.gather(self.knots, 1, place + 1) - low
        part = ((x - low) / wide.clamp(min=1e-6)).clamp(0, 1)
        return place.T, part.T

    def _columns(self, facts: Tensor) -> Doubles:
        """Give a one, standardised facts, hats, and products: [n, 1 + n_facts (1 + KNOTS) + …]."""
        place, part = self._places(facts)
        hats = torch.zeros(len(facts), self.n_facts, KNOTS, device=facts.device)
        hats.scatter_(2, place[..., None], (1 - part)[..., None])
        hats.scatter_(2, place[..., None] + 1, part[..., None])
        ones = torch.ones(len(facts), 1, device=facts.device)
        standard = self.standard(facts)
        table = torch.cat((ones, standard, hats.flatten(1), self._multiplied(standard)), dim=1)
        found: Doubles = table.cpu().numpy()  # float32: half the room, and precise enough
        return found

    def _solved(
        self, columns: Doubles, y: Doubles, beside: Doubles, strength: float, start: Doubles
    ) -> Doubles:
        """Minimise the cost and the squares held down, by Newton's method."""
        held = np.full(columns.shape[1], strength)
        held[0] = 1e-6
        held[1 : 1 + self.n_facts] = strength / 3
        weights: Doubles = start.copy()
        for _ in range(_STEPS if self.kind == "chance" else 1):
            slope, bend = held * weights, np.diag(held)
            for begin in range(0, len(y), _BLOCK):
                part = columns[begin : begin + _BLOCK]
                said = part @ weights + beside[begin : begin + _BLOCK]
                chance = 1 / (1 + np.exp(-said.clip(-30, 30)))
                value = self.kind == "value"
                wrong = (said if value else chance) - y[begin : begin + _BLOCK]
                bent = np.ones_like(said) if value else np.maximum(chance * (1 - chance), 1e-5)
                slope = slope + part.T @ wrong.astype(np.float32)
                root = np.sqrt(bent).astype(np.float32)[:, None] * part
                bend = bend + root.T @ root
            step = np.asarray(np.linalg.solve(bend, slope), np.float64)
            weights -= self._shortened(columns, y, beside, held, weights, step)
            if np.abs(step).max() < 1e-3:
                break
        return weights

    def _guess(self, columns: Doubles, y: Doubles, beside: Doubles) -> Doubles:
        """Give weights to start from: zeros, or those that take back what stands beside.

        Where that is large, all chances are near 0 or 1, and Newton's method goes astray.
        """
        weights = np.zeros(columns.shape[1])
        if not beside.any():
            return weights
        share = y.mean()
        level = np.log(share / (1 - share)) - beside
        bend = columns.T.astype(np.float64) @ columns + _STRENGTHS[0] * np.eye(len(weights))
        found: Doubles = np.linalg.solve(bend, columns.T @ level)
        return found

    def _shortened(
        self,
        columns: Doubles,
        y: Doubles,
        beside: Doubles,
        held: Doubles,
        weights: Doubles,
        step: Doubles,
    ) -> Doubles:
        """Halve a step until it costs less than none; of values, one step is right as it is."""
        if self.kind == "value" or not beside.any():
            return step

        def cost(where: Doubles) -> float:
            return self._cost(columns @ where + beside, y) + float(held @ where**2) / 2

        now = cost(weights)
        for _ in range(_HALVINGS):
            if cost(weights - step) <= now:
                break
            step = step / 2.0
        return step

    def _cost(self, said: Doubles, y: Doubles) -> float:
        if self.kind == "value":
            return float(((said - y) ** 2).sum())
        return float((np.logaddexp(0, said) - y * said).sum())

    def _take(self, weights: Doubles) -> None:
        found = torch.from_numpy(weights).to(self.shift)
        self.shift.copy_(found[0])
        self.slopes.copy_(found[1 : 1 + self.n_facts])
        rest = found[1 + self.n_facts :]
        n_heights = self.n_facts * KNOTS
        self.heights.copy_(rest[:n_heights].view(self.n_facts, KNOTS))
        self.products.copy_(rest[n_heights:])
        self.fitted.fill_(True)


def _even(rows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Keep at most so many rows, evenly drawn, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
