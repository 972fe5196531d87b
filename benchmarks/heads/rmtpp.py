"""The form of RMTPP behind our own encoder: what its law of waiting is worth beside the mixture.

    rate(t) = exp(a + w t),   log f(t) = a + w t - (e^(a + w t) - e^a) / w,   log S = the last term

with a from the memory and the counts that `recency.TimeHead` reads, w one number for all and
t in units of the mean gap. The density of log-time is f(t) t. Only the law differs; encoder,
counts, censoring and training are those of ours.

Source:
    Du et al., Recurrent Marked Temporal Point Processes, KDD 2016, equations 11 and 12.
"""

import torch
from torch import Tensor, nn

import recency as rc
from recency.nn.time_head import ZERO

_LEAST = 1e-4  # of w, in size: at 0 the law is exponential


class RmtppHead(rc.TimeHead):
    """Tell when a user's next event comes, by a rate that rises or falls exponentially."""

    def build(self, dim: int) -> None:
        """Make fresh weights."""
        super().build(dim)
        self.last = nn.Linear(64, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.slope = nn.Parameter(torch.tensor(-0.1))

    def nats(
        self, outputs: Tensor, facts: Tensor, labels: Tensor, tempo: Tensor | None = None
    ) -> Tensor:
        """Give what each of ``labels`` [n, 2] (wait in seconds, whether it ended) costs: [n]."""
        waits, came = labels.unbind(1)
        start, slope = self._start(outputs, facts), self._slope()
        t = self._stretched(waits)
        lasting = self._log_survival(start, slope, t)
        density = start + slope * t + lasting + torch.log(t) - torch.log(self.line[0])
        at_once = torch.log(-torch.expm1(lasting).clamp(max=-1e-12))
        ended = torch.where(waits <= ZERO, at_once, density)
        return -torch.where(came > 0, ended, lasting)

    def survival(
        self, outputs: Tensor, facts: Tensor, waits: Tensor, tempo: Tensor | None = None
    ) -> Tensor:
        """Give the probability [n, m] that a wait lasts longer than ``waits`` [n, m] seconds."""
        start = self._start(outputs, facts).double()[:, None]
        lasting = torch.exp(
            self._log_survival(start, self._slope().double(), self._stretched(waits))
        )
        return torch.where(waits < ZERO, torch.ones_like(lasting), lasting)

    def _start(self, outputs: Tensor, facts: Tensor) -> Tensor:
        read = torch.cat((self.read_output(outputs), facts), dim=1)
        start: Tensor = self.last(nn.functional.gelu(self.hidden(read)))[:, 0]
        return start.clamp(-12, 12)

    def _slope(self) -> Tensor:
        size = self.slope.abs().clamp(min=_LEAST)
        return torch.where(self.slope < 0, -size, size)

    def _stretched(self, waits: Tensor) -> Tensor:
        """Give waits in mean gaps of a log-normal law, their logarithms set right as ours are."""
        stretch, shift = self.line.to(waits.dtype)
        y = (torch.log(waits.clamp(min=ZERO)) - self.mean) / self.deviation
        logs = self.mean + self.deviation * (y - shift) / stretch
        unit = (self.mean + self.deviation.square() / 2).clamp(max=18)
        return torch.exp(logs - unit)

    def _log_survival(self, start: Tensor, slope: Tensor, t: Tensor) -> Tensor:
        return -torch.exp(start) * torch.expm1((slope * t).clamp(max=30)) / slope

    def _settle_pace(self, outputs: Tensor, facts: Tensor, labels: Tensor) -> None:
        """Leave paces as they are: this form has no curve for them."""
