"""The question: how the instant at which is asked changes what is looked for."""

import torch
from torch import Tensor, nn

from recency.nn.time import CalendarEncoding, GapEncoding


class Question(nn.Module):
    """Let a query depend on when it is asked: how long after the last event, and what time it is.

    In training the gap is stretched or shrunk at random and now and then hidden: in a log the
    question comes at the very instant of the answer, in service some unknown time before. The
    calendar moves with it by `most_moved` at most, since after days of waiting a stretched gap
    would say nothing of the hour.

    Args:
        dim: Width of outputs and queries.
        time_zone: IANA zone of the calendar.
    """

    jitter = 0.3  # standard deviation of the logarithm of the stretch
    hidden = 0.1  # share of the questions whose instant is hidden in training
    most_moved = 1_800_000_000  # microseconds

    def __init__(self, dim: int, time_zone: str) -> None:
        super().__init__()
        self.gap = GapEncoding(dim)
        self.calendar = CalendarEncoding(dim, time_zone)
        self.norm = nn.LayerNorm(dim)
        self.change = nn.Linear(dim, 2 * dim)
        nn.init.zeros_(self.change.weight)  # an untrained question changes nothing
        nn.init.zeros_(self.change.bias)

    def forward(self, outputs: Tensor, last_times: Tensor, at: Tensor) -> Tensor:
        """Scale and shift outputs [n, dim] by the time from ``last_times`` to ``at`` [n]."""
        wait = moved = (at - last_times).clamp(min=0)
        if self.training:
            stretch = torch.exp(self.jitter * torch.randn(wait.shape, device=wait.device))
            moved = (wait.double() * stretch).long()
        instant = last_times + wait + (moved - wait).clamp(-self.most_moved, self.most_moved)
        when = self.gap(moved.double().div(1e6).float()) + self.calendar(instant)
        scale, shift = torch.chunk(self.change(self.norm(when)), 2, dim=-1)
        if self.training:
            shown = torch.rand((len(outputs), 1), device=outputs.device) >= self.hidden
            scale, shift = scale * shown, shift * shown
        return outputs * (1 + scale) + shift
