"""Fading: how much past events weigh, as learned curves of how many events and how long ago.

A curve is straight lines between knots over log(1 + x). Reading it is a look at two knots an event,
and its gradient two counts, so neither holds more than the events themselves.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.histories import PADDING

OWN_WINDOW = 100  # newest own events that may come again
_KNOTS = 16
_PLACES = np.arange(_KNOTS)
_LONGEST = 365.25 * 86_400.0  # seconds; what is older fades no further


@dataclass(frozen=True)
class Context:
    """Hold the own events before n questions, newest first.

    Attributes:
        items: [n, window] item rows, `PADDING` where there is no event.
        ages: [n, window] float32 seconds.
    """

    items: Tensor
    ages: Tensor


class Fading(nn.Module):
    """Weigh past events by how many events and how long ago they were, as learned curves."""

    def __init__(self) -> None:
        super().__init__()
        start = torch.linspace(0, -0.5 * math.log(1 + OWN_WINDOW), _KNOTS)
        self.by_events = nn.Parameter(start)  # at first as one over the root of the events ago
        self.by_time = nn.Parameter(torch.zeros(_KNOTS))

    def forward(self, context: Context) -> Tensor:
        """Give log-weights [n, window], not normalised; -inf where there is no event."""
        ago = torch.arange(context.items.shape[1], device=context.ages.device)
        logs: Tensor = _curve(self.by_events, ago.float(), float(OWN_WINDOW))
        logs = logs + _curve(self.by_time, context.ages, _LONGEST)
        return logs.masked_fill(context.items == PADDING, -math.inf)

    def logs(
        self, items: npt.NDArray[np.integer], ages: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float64]:
        """Give what `forward` gives, for arrays: a service asks about few events at a time.

        Args:
            items: [n, window] item rows, newest first, `PADDING` where there is no event.
            ages: [n, window or more] seconds.
        """
        window = items.shape[1]
        by_events = _read(self.by_events, np.arange(window), float(OWN_WINDOW))
        by_time = _read(self.by_time, ages[:, :window], _LONGEST)
        return np.where(items == PADDING, -np.inf, by_events + by_time)


class _Lines(torch.autograd.Function):
    """Read straight lines between the values [knots] of a table, at places in [0, knots - 1].

    Places have no gradient: they are ages, which nothing learns.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, places: Tensor) -> Tensor:
        left = places.to(torch.int32).clamp_(max=len(table) - 2)
        share = places - left
        ctx.save_for_backward(left, share)
        ctx.n_knots = len(table)
        return torch.addcmul(table[left], share, torch.diff(table)[left])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        left, share = ctx.saved_tensors
        (slope,) = slopes
        right = slope * share
        by_knot = [
            torch.bincount(left.flatten(), part.flatten(), ctx.n_knots)
            for part in (slope - right, right)
        ]
        return (by_knot[0] + by_knot[1].roll(1)).to(slope.dtype), None


def _curve(table: Tensor, x: Tensor, longest: float) -> Tensor:
    """Read a curve of straight lines between knots over log(1 + x), x in [0, longest]."""
    places = torch.log1p(x.clamp(0, longest)) * ((_KNOTS - 1) / math.log1p(longest))
    found: Tensor = _Lines.apply(table, places)  # type: ignore[no-untyped-call] # torch's
    return found


def _read(
    table: Tensor, x: npt.NDArray[np.integer | np.floating], longest: float
) -> npt.NDArray[np.float64]:
    """Read a curve as `_curve` does, in float64."""
    place = np.log1p(np.clip(x, 0, longest)) * ((_KNOTS - 1) / math.log1p(longest))
    found: npt.NDArray[np.float64]
    found = np.interp(place, _PLACES, table.detach().cpu().numpy())
    return found
