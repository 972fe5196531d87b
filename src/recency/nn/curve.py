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
        self.knots: Tensor

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits of any shape."""
        x, y = self.knots
        place = torch.searchsorted(x, logits.detach().contiguous()).clamp(1, KNOTS - 1)
        slope = (y[place] - y[place - 1]) / (x[place] - x[place - 1])
        found: Tensor = y[place - 1] + slope * (logits - x[place - 1])
        return found

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
            scale, shift = _fitted_line(x, y, n)
            known = scale * line + shift
        else:
            steps, chances = _rising(x, y, n)
            line = np.linspace(steps[0] - 1e-3, steps[-1] + 1e-3, KNOTS)
            chances = chances.clip(0.5 / n.sum(), 1 - 0.5 / n.sum())
            known = np.interp(line, steps, np.log(chances / (1 - chances)))
        self.knots.copy_(torch.from_numpy(np.stack((line, known))))
        return True


def _fitted_line(x: Doubles, y: Doubles, n: Doubles) -> tuple[float, float]:
    """Fit sigmoid(a x + b) by Newton's method, drawn a little towards a = 1, b = 0."""
    line = np.array([1.0, 0.0])
    columns = np.stack((x, np.ones_like(x)))
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-(line @ columns).clip(-30, 30)))
        slope = columns @ (n * (chances - y)) + (line - [1, 0])
        bend = (columns * (n * chances * (1 - chances))) @ columns.T + np.eye(2)
        line -= np.linalg.solve(bend, slope)
    return float(line[0]), float(line[1])


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
