"""Attention to the last few events, with a bias by how long ago and how many events ago they were.

A linear memory sums what it has seen; the last few events themselves it cannot tell apart. One head
over a ring of fixed size can, at a fixed cost an event. In training a history is cut into chunks of
the window's length, and each chunk reads itself and the one before: the work grows with the length,
not with its square.

A ring of zeros is an empty one: each slot has a mark that is 0 only where nothing was written.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

MINUTE = 60.0
FADE = 0.1  # an untrained score falls by this a factor of e in time
_HIDDEN = -1e9  # finite, so that a row of padding without anything to see stays finite


class Sight(NamedTuple):
    """Tell what is in sight of some events: those of the ring, then the events themselves.

    Attributes:
        ages: [batch, chunks, queries, keys] log(1 + minutes) from key to query.
        hidden: The same shape, or less: True where there is nothing, or not yet.
        marks: [batch, window] marks after the last event.
    """

    ages: Tensor
    hidden: Tensor
    marks: Tensor


def look_back(marks: Tensor, seconds: Tensor) -> Sight:
    """Measure how long ago everything in sight was.

    Args:
        marks: [batch, window] of the ring, oldest first: 0 for an empty slot, else
            1 + log(1 + minutes) of the gap before the slot's event.
        seconds: [batch, length] gaps before the events.
    """
    window, length = marks.shape[1], seconds.shape[1]
    chunk = min(window, length)
    known = torch.expm1((marks - 1).clamp(min=0)) * MINUTE
    all_marks = torch.cat((marks, 1 + torch.log1p(seconds / MINUTE)), dim=1)
    spare = -length % chunk
    passed = functional.pad(torch.cat((known, seconds), dim=1).double(), (0, spare)).cumsum(1)
    keys = passed.unfold(1, window + chunk, chunk).unsqueeze(2)
    queries = torch.unflatten(passed[:, window:], 1, (-1, chunk)).unsqueeze(-1)
    ages = torch.log1p((queries - keys).clamp(min=0).float() / MINUTE)
    empty = functional.pad(all_marks == 0, (0, spare)).unfold(1, window + chunk, chunk)
    ahead = distances(window, chunk, marks.device)
    hidden = empty.unsqueeze(2) | (ahead < 0) | (ahead > window)
    return Sight(ages, hidden, all_marks[:, -window:])


def distances(window: int, chunk: int, device: torch.device) -> Tensor:
    """Count events [chunk, window + chunk] from each key to each query; negative: yet to come."""
    queries = torch.arange(window, window + chunk, device=device)
    return queries.unsqueeze(1) - torch.arange(window + chunk, device=device)


class Recent(nn.Module):
    """Attend to an event and the ``window`` before it, with one head.

    score = q k / sqrt(size) + order[events between] - softplus(fade) log(1 + minutes between)

    Press, Smith and Lewis, Train Short, Test Long, ICLR 2022, with time in place of positions. The
    ring [batch, window, 2 size] holds keys and values of the last events, oldest first.

    Args:
        wide: Width of inputs.
        size: Width of queries, keys, values and outputs.
        window: Events before the newest.
        time: Whether scores read how long ago; without it, only how many events ago.
    """

    def __init__(self, wide: int, size: int, window: int, time: bool) -> None:
        super().__init__()
        self.size, self.window = size, window
        self.read = nn.Linear(wide, 3 * size)
        self.order = nn.Parameter(torch.zeros(window + 1))
        self.fade = nn.Parameter(torch.tensor(math.log(math.expm1(FADE)))) if time else None

    def forward(self, x: Tensor, sight: Sight, ring: Tensor) -> tuple[Tensor, Tensor]:
        """Read [length, batch, wide]; give [length, batch, size] and the ring afterwards."""
        length = len(x)
        chunk = sight.ages.shape[2]
        both = self.read(x).float().transpose(0, 1)
        queries, recent = torch.split(both, [self.size, 2 * self.size], dim=-1)
        recent = torch.cat((ring, recent), dim=1)
        spare = -length % chunk
        queries = torch.unflatten(functional.pad(queries, (0, 0, 0, spare)), 1, (-1, chunk))
        seen = functional.pad(recent, (0, 0, 0, spare)).unfold(1, self.window + chunk, chunk)
        keys, values = torch.split(seen, self.size, dim=2)  # [batch, chunks, size, keys]
        scores = queries @ keys / math.sqrt(self.size) + self._bias(sight)
        found = torch.softmax(scores, dim=-1) @ values.transpose(2, 3)
        return found.flatten(1, 2)[:, :length].transpose(0, 1), recent[:, -self.window :]

    def step(self, x: Tensor, sight: Sight, ring: Tensor) -> tuple[Tensor, Tensor]:
        """Read [batch, wide]; give [batch, size] and the ring afterwards."""
        found, ring = self(x.unsqueeze(0), sight, ring)
        return found[0], ring

    def _bias(self, sight: Sight) -> Tensor:
        apart = distances(self.window, sight.ages.shape[2], sight.ages.device)
        bias = self.order[apart.clamp(0, self.window)]
        if self.fade is not None:
            bias = bias - functional.softplus(self.fade) * sight.ages
        return torch.where(sight.hidden, _HIDDEN, bias)
