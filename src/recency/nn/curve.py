"""A curve that maps logits to better logits: piecewise linear, and a line beyond its ends."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

KNOTS = 32
Doubles = npt.NDArray[np.float64]
_FEWEST = 20  # of either answer: fewer draw a curve by luck
_STEPS = 30
_WIDE = 12.0  # logits beyond which nothing is told apart


class Curve(nn.Module):
    """Map logits; fresh, to themselves."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.linspace(-_WIDE, _WIDE, KNOTS)
        self.register_buffer("knots", torch.stack((line, line)))
        self.register_buffer("heard", torch.ones(()))  # how much of what the memory adds counts
        self.knots: Tensor
        self.heard: Tensor

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits of any shape."""
        x, y = self.knots
        place = torch.searchsorted(x, logits.detach().contiguous()).clamp(1, KNOTS - 1)
        slope = (y[place] - y[place - 1]) / (x[place] - x[place - 1])
        found: Tensor = y[place - 1] + slope * (logits - x[place - 1])
        return found

    def settle(
        self,
        kind: str,
        base: Tensor,
        more: Tensor,
        labels: Tensor,
        counts: Tensor | None = None,
    ) -> bool:
        """Learn how much of what the memory adds to a base is true, and then the curve.

        What a memory adds may be worse than nothing where it has learned for too long; here it is
        found out, in place of stopping by it.

        Args:
            kind: See `fit`; with ``"none"`` the curve stays as it is.
            base: [n] logits.
            more: [n] what the memory adds.
            labels: [n] 0 or 1.
            counts: As of `fit`.

        Returns:
            Whether there was enough to learn from, as of `fit`.
        """
        x = [part.detach().double().cpu().numpy() for part in (base, more)]
        y = labels.detach().double().cpu().numpy()
        if min(y.sum(), len(y) - y.sum()) < _FEWEST:
            return False
        n = np.ones_like(y) if counts is None else counts.double().cpu().numpy()
        columns = np.stack((*x, np.ones_like(y)))
        scale, heard, _ = _fitted_line(columns, y, n, np.array([1.0, 1.0, 0.0]))
        self.heard.fill_(float(np.clip(heard / max(scale, 0.1), 0, 2)))
        return kind == "none" or self.fit(kind, base + self.heard * more, labels, counts)

    def fit(self, kind: str, logits: Tensor, labels: Tensor, counts: Tensor | None = None) -> bool:
        """Learn the curve from what was not learned by what gives the logits.

        Args:
            kind: ``"temperature"``, a line; or ``"isotonic"``, any rising curve.
            logits: [n].
            labels: [n] 0 or 1.
            counts: [n] how many each stands for; None: one.

        Returns:
            Whether there was enough to learn from: at least 20 of either label.
        """
        x, y = (part.detach().double().cpu().numpy() for part in (logits, labels))
        n = np.ones(len(x)) if counts is None else counts.double().cpu().numpy()
        if min(y.sum(), len(y) - y.sum()) < _FEWEST:
            return False
        line = np.linspace(-_WIDE, _WIDE, KNOTS)
        if kind == "temperature":
            columns = np.stack((x, np.ones_like(x)))
            scale, shift = _fitted_line(columns, y, n, np.array([1.0, 0.0]))
            known = scale * line + shift
        else:
            steps, chances = _rising(x, y, n)
            line = np.linspace(steps[0] - 1e-3, steps[-1] + 1e-3, KNOTS)
            chances = chances.clip(0.5 / n.sum(), 1 - 0.5 / n.sum())
            known = np.interp(line, steps, np.log(chances / (1 - chances)))
        self.knots.copy_(torch.from_numpy(np.stack((line, known))))
        return True


def _fitted_line(columns: Doubles, y: Doubles, n: Doubles, guess: Doubles) -> Doubles:
    """Fit sigmoid(weights @ columns) by Newton's method, drawn a little towards a guess."""
    line = guess.copy()
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-(line @ columns).clip(-30, 30)))
        slope = columns @ (n * (chances - y)) + (line - guess)
        bend = (columns * (n * chances * (1 - chances))) @ columns.T + np.eye(len(guess))
        line -= np.linalg.solve(bend, slope)
    return line


def _rising(x: Doubles, y: Doubles, n: Doubles) -> tuple[Doubles, Doubles]:
    """Fit a rising step curve by pooling adjacent violators; give its steps' middles and heights.

    Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability
    estimates, KDD 2002, section 3.
    """
    order = np.argsort(x, kind="stable")
    pools: list[list[float]] = []  # weight, sum of labels, sum of x
    for w, label, place in zip(n[order], y[order], x[order], strict=True):
        pools.append([w, w * label, w * place])
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    weights, yes, places = np.array(pools).T
    return places / weights, yes / weights
