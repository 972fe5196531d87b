"""The forecasting model: values read by an encoder, and a head that answers for any instant.

A question names an instant. The head sees the encoder's output after the newest value, how far off
the instant is, what hour and day it is, and what simple memories expect
(`recency.sequences.signals`); it mixes their expectations, shifts the mixture, and spreads
quantiles around it. Everything is in a series' own steps from its newest value, so the untrained
model forecasts like the mean of plain methods, and the size of a series does not matter.

A state is one flat row: the encoder's state, then the output after the newest value.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recency.nn.dropout import Dropout
from recency.nn.encoder import Encoder
from recency.nn.time import CalendarEncoding, GapEncoding
from recency.sequences.signals import count_anchors, count_inputs
from recency.sequences.windows import Asked, Reading

DROPOUT = 0.1
_MIDDLE = 0.5


class ForecastModel(nn.Module):
    """Forecast quantiles of the value at an instant.

    Args:
        encoder: Reads the values; taken as it is, weights included.
        n_lags: Cycles that signals look back by.
        quantiles: Ascending, one of them 0.5.
        time_zone: IANA zone of the calendar.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_lags: int,
        quantiles: tuple[float, ...],
        time_zone: str = "UTC",
    ) -> None:
        super().__init__()
        dim, n_anchors = encoder.dim, count_anchors(n_lags)
        self.encoder = encoder
        self.quantiles = quantiles
        self.values = nn.Linear(count_inputs(n_lags), dim)
        self.gap = GapEncoding(dim)
        self.calendar = CalendarEncoding(dim, time_zone)
        self.norm = nn.LayerNorm(dim)
        self.wait = GapEncoding(dim)
        self.hour = CalendarEncoding(dim, time_zone)
        self.asked_norm = nn.LayerNorm(dim)
        self.hidden = nn.Linear(2 * dim + 2 * n_anchors, 2 * dim)
        self.answer = nn.Linear(2 * dim, n_anchors + len(quantiles))
        self.dropout = Dropout(DROPOUT)
        nn.init.zeros_(self.answer.weight)  # an untrained head takes the mean of the anchors
        nn.init.zeros_(self.answer.bias)

    @property
    def state_size(self) -> int:
        """Give the width of a series' state: the encoder's, then one output."""
        return self.encoder.state_size + self.encoder.dim

    def initial_state(self, n: int) -> Tensor:
        """Give the state [n, state_size] of series without values: zeros."""
        return torch.zeros(n, self.state_size, device=self.answer.bias.device)

    def forward(self, reading: Reading, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read values.

        Args:
            reading: [batch, length] values, padded on the right.
            state: [batch, state_size] where the series were left off; None starts afresh.

        Returns:
            Outputs [batch, length, dim], and the states [batch, state_size] after the last column,
            which mean something only for rows without padding.
        """
        before = None if state is None else state[:, : self.encoder.state_size].contiguous()
        outputs, after = self.encoder(self._read(reading), reading.clock, before)
        return outputs, torch.cat((after, outputs[:, -1]), dim=1)

    def step(self, reading: Reading, state: Tensor) -> Tensor:
        """Read one value of each series: ``reading`` is [batch, 1]; give the states after it."""
        before = state[:, : self.encoder.state_size].contiguous()
        output, after = self.encoder.step(self._read(reading)[:, 0], reading.clock, before)
        return torch.cat((after, output), dim=1)

    def advance(self, reading: Reading, lengths: Tensor, state: Tensor) -> Tensor:
        """Read different numbers of values and give each series' state after its own last one.

        Rows are read in stretches that end where a row ends, so that no padding enters a state; a
        row without values keeps its state.
        """
        states, start = state.clone(), 0
        for stop in torch.unique(lengths).tolist():
            if stop == 0:
                continue
            rows = torch.nonzero(lengths >= stop).flatten()
            _, states[rows] = self(reading.part(rows, slice(start, stop)), states[rows])
            start = stop
        return states

    def outputs_of(self, states: Tensor) -> Tensor:
        """Give the outputs [n, dim] after the newest value that states carry."""
        return states[:, self.encoder.state_size :]

    def ask(self, outputs: Tensor, asked: Asked) -> Tensor:
        """Forecast for questions [n], given the outputs [n, dim] after the newest values.

        Returns:
            [n, n_quantiles] ascending, in steps from the newest value.
        """
        missing = torch.isnan(asked.anchors)
        anchors = torch.where(missing, 0.0, asked.anchors)
        when = self.asked_norm(self.wait(asked.waits) + self.hour(asked.at))
        known = torch.cat((outputs, when, torch.asinh(anchors), missing.float()), dim=-1)
        hidden = functional.silu(self.hidden(self.dropout(known)))
        gates, shift, spreads = self.answer(hidden).split_with_sizes(
            [anchors.shape[1], 1, len(self.quantiles) - 1], -1
        )
        shares = torch.softmax(gates.masked_fill(missing, -torch.inf), dim=-1)
        middle = (shares * anchors).sum(-1, keepdim=True) + shift
        quantiles: Tensor = middle + self._around(functional.softplus(spreads))
        return quantiles

    def loss(self, forecast: Tensor, changes: Tensor) -> Tensor:
        """Measure quantiles [n, n_quantiles] against what came [n]: the mean pinball loss.

        For quantile q and error e = came - forecast: max(q e, (q - 1) e), twice, so that 0.5 alone
        is the absolute error. Koenker and Bassett, Regression Quantiles, Econometrica 46, 1978.
        """
        levels = forecast.new_tensor(self.quantiles)
        errors = changes.unsqueeze(-1) - forecast
        return 2 * torch.maximum(levels * errors, (levels - 1) * errors).mean()

    def _read(self, reading: Reading) -> Tensor:
        clock = reading.clock
        x = self.values(reading.inputs) + self.gap(clock.gaps) + self.calendar(clock.times)
        read: Tensor = self.dropout(self.norm(x))
        return read

    def _around(self, spreads: Tensor) -> Tensor:
        """Place quantiles around the median, each beyond the one nearer to it: [n, n_quantiles]."""
        below = self.quantiles.index(_MIDDLE)
        lower = -spreads[:, :below].flip(-1).cumsum(-1).flip(-1)
        upper = spreads[:, below:].cumsum(-1)
        return torch.cat((lower, torch.zeros_like(spreads[:, :1]), upper), dim=-1)
