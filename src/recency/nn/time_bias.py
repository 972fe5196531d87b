"""Biases of attention by how long ago: one learned number a head for each age of an event.

An attention score is raised or lowered by a curve over the logarithm of the age, the time from the
event looked at to the event that looks. The curve is a straight line between neighbouring knots, so
the rounding of a clock never moves an age into another bucket, and near ages have near biases. Two
ways to learn it: each knot by itself, or a function of few numbers that the knots are read from.
Both cost the same, since either is evaluated at the knots only, not at each pair of events.

Ages are exact differences of int64 times inside what is read at once. Beyond it, they are sums of
the gaps that a state holds, which are shrunk to log(1 + seconds): half precision ends at 18 hours.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recency.nn.encoder import Clock
from recency.nn.time import LONGEST

KNOTS = 32  # equally spaced over log(1 + seconds): 0 s, 0.8 s, 2.4 s, … 2.7 years, 5 years
_STEP = math.log1p(LONGEST) / (KNOTS - 1)
_MICROSECONDS = 1e6
_HOUR, _MONTH = 3_600.0, 30 * 86_400.0


def shrunk(gaps: Tensor) -> Tensor:
    """Turn gaps [...] in seconds into log(1 + seconds), 0 (none) to 19 (5 years)."""
    return torch.log1p(gaps.clamp(0, LONGEST))


def seconds_passed(past: Tensor, clock: Clock) -> Tensor:
    """Place past and present events on one axis of time.

    Args:
        past: [batch, past] shrunk gaps of the events before those of the clock, oldest first.
        clock: [batch, length].

    Returns:
        [batch, past + length] float64 seconds since the clock's first event; negative in the past.
    """
    present = (clock.times - clock.times[:, :1]).double() / _MICROSECONDS
    if not past.shape[1]:
        return present
    gaps = torch.cat((torch.expm1(past.double()), clock.gaps[:, :1].clamp(min=0).double()), dim=1)
    waits = gaps[:, 1:]  # from each past event to the next one
    before = -waits.flip(1).cumsum(1).flip(1)
    return torch.cat((before, present), dim=1)


@dataclass(frozen=True)
class Ages:
    """Hold where ages lie on a curve: ``share`` of the way from knot ``knot`` to the next one."""

    knot: Tensor
    share: Tensor

    @classmethod
    def between(cls, looking: Tensor, looked_at: Tensor) -> "Ages":
        """Measure the ages of events.

        Args:
            looking: [batch, rows] float64 seconds.
            looked_at: [batch, keys] float64 seconds on the same axis.

        Returns:
            Ages [batch, rows, keys]; later events count as 0 s old, ages beyond 5 years as 5 years.
        """
        age = (looking.unsqueeze(-1) - looked_at.unsqueeze(-2)).float()
        place = torch.log1p(age.clamp_(0, LONGEST)) / _STEP
        knot = place.long().clamp_(max=KNOTS - 2)
        return cls(knot, place - knot)

    def read(self, curves: Tensor) -> Tensor:
        """Read curves [heads, KNOTS] at the ages: [batch, heads, rows, keys].

        One-dimensional look-ups, because these and their gradients are by far the fastest.
        """
        knot = self.knot.flatten()
        parts = []
        for curve in curves:
            start = curve[:-1].index_select(0, knot).view_as(self.share)
            rise = curve.diff().index_select(0, knot).view_as(self.share)
            parts.append(torch.addcmul(start, rise, self.share))
        return torch.stack(parts, dim=1)


class BucketBias(nn.Module):
    """Learn one number a head and knot, nothing at the start.

    The time half of the relative attention bias of Zhai et al., Actions Speak Louder than Words:
    Trillion-Parameter Sequential Transducers for Generative Recommendations, ICML 2024 (HSTU),
    with lines between the buckets' centres instead of steps.

    Args:
        heads: Heads of the attention.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, KNOTS))

    def forward(self, ages: Ages) -> Tensor:
        """Give the biases [batch, heads, rows, keys] of ages [batch, rows, keys]."""
        return ages.read(self.table)


class FunctionalBias(nn.Module):
    """Learn a power function of the age a head: height * (1 + age / scale) ** -power.

    Three numbers a head instead of a table, so few events teach it, and ages seldom seen follow
    from the others: a function in the place of buckets, as in FuXi-beta (Ye et al., 2025). Scales
    start between an hour and a month, from head to head.

    Args:
        heads: Heads of the attention.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.height = nn.Parameter(torch.ones(heads))
        scales = torch.logspace(math.log10(_HOUR), math.log10(_MONTH), heads + 2)[1:-1]
        self.log_scale = nn.Parameter(scales.log())
        self.log_power = nn.Parameter(torch.full((heads,), -math.log(2)))
        seconds = torch.expm1(_STEP * torch.arange(KNOTS, dtype=torch.float64)).float()
        self.register_buffer("_seconds", seconds, persistent=False)
        self._seconds: Tensor

    def forward(self, ages: Ages) -> Tensor:
        """Give the biases [batch, heads, rows, keys] of ages [batch, rows, keys]."""
        return ages.read(self.curves())

    def curves(self) -> Tensor:
        """Give the biases [heads, KNOTS] at the knots."""
        scale, power = self.log_scale.exp()[:, None], self.log_power.exp()[:, None]
        return self.height[:, None] * torch.exp(-power * torch.log1p(self._seconds / scale))
