"""Paces: returns quickened or slowed, so that as many come as came.

    h'(u) = h(u) a_b (F_b / c_b)^l_b       u seconds away, b the span that u lies in        (1)

with h the hazard that a law of waiting has, F_b that hazard summed up over the span, and c_b its
middle. The pace a_b sets right how many come; the lean l_b how far people are told apart: below 0
where what was told is too sure of who comes and who does not, as learned laws are wherever habits
have moved since. It is the slope of a calibration line, on the scale of log-hazards.

a and l maximise the Poisson likelihood of returns given the hazard that people were exposed to
(Holford, The analysis of rates and of survivorship using log-linear models, Biometrics 36, 1980):
waits cut off at either end count for as long as they were watched.
"""

import torch
from torch import Tensor, nn

HOUR, DAY = 3_600.0, 86_400.0
_EDGES = (HOUR, *(n * DAY for n in (1, 3, 7, 14, 30, 60, 120)))  # seconds between spans
_LAST = 240 * DAY  # where the last span, which never ends, is cut to be summed up
_DRAWN = 100.0  # returns that a pace is drawn towards 1 by; chosen on slices of training
_HELD = 30.0  # returns, at one log-hazard from the middle, that a lean is drawn towards 0 by
_WIDE = 3.0  # log-hazards from the middle beyond which nothing leans further
_STEPS = 30


class Paces(nn.Module):
    """Change a hazard span by span; fresh, not at all."""

    def __init__(self) -> None:
        super().__init__()
        n = len(_EDGES) + 1
        self.register_buffer("edges", torch.tensor(_EDGES))
        self.register_buffer("pace", torch.ones(n))
        self.register_buffer("lean", torch.zeros(n))
        self.register_buffer("centre", torch.zeros(n))  # logarithm of the middle
        self.edges: Tensor
        self.pace: Tensor
        self.lean: Tensor
        self.centre: Tensor

    @property
    def even(self) -> bool:
        """Tell whether nothing is changed."""
        return bool((self.pace == 1).all() and (self.lean == 0).all())

    def ends(self) -> Tensor:
        """Give where spans begin and end, seconds [spans + 1]; the last one is cut."""
        return torch.cat((self.edges.new_zeros(1), self.edges, self.edges.new_tensor([_LAST])))

    def spans(self, waits: Tensor) -> Tensor:
        """Give the span of each wait, of any shape."""
        return torch.bucketize(waits, self.edges.to(waits.dtype))

    def speeds(self, sums: Tensor) -> Tensor:
        """Give what hazards [n, spans] are multiplied by, from their sums over whole spans."""
        return self.pace.to(sums) * torch.exp(self.lean.to(sums) * self._off(sums))

    def paced(self, hazards: Tensor, ends: Tensor, waits: Tensor) -> Tensor:
        """Sum hazards up to waits, paced: equation 1.

        Args:
            hazards: [n, m] summed up to waits, not paced.
            ends: [n, spans + 1] summed up to `ends`.
            waits: [n, m] seconds.
        """
        steps = ends.diff(dim=1)
        speeds = self.speeds(steps)
        whole = torch.cat((steps.new_zeros(len(steps), 1), (steps * speeds).cumsum(1)), dim=1)
        span = self.spans(waits)
        rest = hazards - ends.gather(1, span)
        return whole.gather(1, span) + rest * speeds.gather(1, span)

    def settle(self, sums: Tensor, exposed: Tensor, found: Tensor) -> None:
        """Fit paces and leans.

        Args:
            sums: [n, spans] hazards over whole spans.
            exposed: [n, spans] hazards over what was watched of them.
            found: [n, spans] whether somebody came in it.
        """
        sums, exposed, found = sums.double(), exposed.double(), found.double()
        logs = torch.log(sums.clamp(min=1e-6))
        self.centre.copy_((logs * exposed).sum(0) / exposed.sum(0).clamp(min=1e-9))
        x = self._off(sums)
        for span in range(len(self.pace)):
            shift, lean = _line(x[:, span], exposed[:, span], found[:, span])
            self.pace[span], self.lean[span] = shift.exp(), lean

    def _off(self, sums: Tensor) -> Tensor:
        """Give the log-hazards [n, spans] from the middle."""
        logs = torch.log(sums.clamp(min=1e-6)) - self.centre.to(sums)
        return logs.clamp(-_WIDE, _WIDE)


def _line(x: Tensor, exposed: Tensor, found: Tensor) -> Tensor:
    """Fit found ~ Poisson(exposed exp(a + l x)) by Newton's method, drawn to a = l = 0: [2]."""
    line, columns = x.new_zeros(2), torch.stack((torch.ones_like(x), x))
    for _ in range(_STEPS):
        rate = exposed * torch.exp(line @ columns)
        drawn = _DRAWN * line[0].exp()  # as many returns as were expected, at the middle
        slope = columns @ (rate - found) + torch.stack((drawn - _DRAWN, _HELD * line[1]))
        bend = (columns * rate) @ columns.T + torch.diag(torch.stack((drawn, x.new_tensor(_HELD))))
        step = torch.linalg.solve(bend, slope)
        line = line - step.clamp(-1, 1)
        if float(step.abs().max()) < 1e-6:
            break
    return line
