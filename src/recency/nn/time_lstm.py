"""Time-LSTM: an LSTM with gates for how long ago the event before was.

A state is read by matrix products, so this recurrence cannot be run for all steps at once as a
linear one can (`recency.nn.scan`). What does not need the state, the products with the inputs and
the time gates, is computed for the whole history in one product. What is left is a loop with one
product a step and gradients written by hand, which takes about twice the time of ``torch.nn.LSTM``:
no graph is recorded a step, and tanh(x) is taken as 2 sigmoid(2x) - 1, several times faster on a
CPU.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recency.errors import ConfigError, raise_all
from recency.nn.encoder import Clock, Encoder, Setting, check_sizes
from recency.nn.time import LONGEST

VARIANTS = (1, 2, 3)
_MINUTE = 60.0  # seconds; gaps well below count as none, beyond as their logarithm


class TimeLSTM(Encoder):
    """Encode histories with an LSTM whose writing also depends on the gap between events.

    With d = log(1 + gap / 60 s), * elementwise, peephole weights p and g = tanh(W_g x + U_g h + b):

    All variants:
        i = sigmoid(W_i x + U_i h + p_i * c + b_i)
        f = sigmoid(W_f x + U_f h + p_f * c + b_f)
        T = sigmoid(W_T x + sigmoid(V_T d) + b_T), and alike T1 and T2; V_T1 <= 0
        o = sigmoid(W_o x + V_o d + U_o h + p_o * c1 + b_o)
        h' = o * tanh(c1)
    Time-LSTM 1, one gate:
        c' = f * c + i * T * g,               c1 = c'
    Time-LSTM 2, what counts now (T1) apart from what is kept (T2):
        c1 = f * c + i * T1 * g,              c' = f * c + i * T2 * g
    Time-LSTM 3, as 2 without a forget gate:
        c1 = (1 - i * T1) * c + i * T1 * g,   c' = (1 - i) * c + i * T2 * g

    Zhu et al., What to Do Next: Modeling User Behaviors by Time-LSTM, IJCAI 2017. Two things
    differ. There, the gap of an event reaches to the next event, which at the time of a prediction
    has not happened yet; here it reaches back to the event before. And seconds enter as their
    logarithm: gaps run from one second to years, and as raw numbers the long ones would saturate
    each gate. A first event counts as one without a gap.

    Args:
        dim: Width of inputs, outputs, h and c.
        variant: 1, 2 or 3.
        dropout: Share of the outputs dropped in training, in [0, 1); h itself is kept whole.

    Raises:
        ConfigError: a size, the share or the variant is impossible.
    """

    def __init__(self, dim: int = 64, variant: int = 3, dropout: float = 0.0) -> None:
        _check(dim, variant, dropout)
        super().__init__()
        self.dim, self.variant, self.dropout = dim, variant, dropout
        self.state_size = 2 * dim
        self.coupled = variant == 3
        self.n_gates = 3 if self.coupled else 4  # in the order i, (f,) g, o
        self.n_time_gates = 1 if variant == 1 else 2
        n = self.n_gates + self.n_time_gates
        self.inputs = nn.Linear(dim, n * dim)
        self.recurrent = nn.Parameter(torch.empty(self.n_gates * dim, dim))
        self.peepholes = nn.Parameter(torch.zeros(self.n_gates - 1, dim))  # i, (f,) o
        self.gap_gates = nn.Parameter(torch.empty(self.n_time_gates, dim))
        self.gap_output = nn.Parameter(torch.zeros(dim))
        # tanh(z) = 2 sigmoid(2 z) - 1: the rows of g are doubled, so that all gates are sigmoids.
        scale = torch.ones(n, 1)
        scale[self.n_gates - 2] = 2.0
        self.register_buffer("_scale", scale.repeat_interleave(dim, 0), persistent=False)
        self._scale: Tensor
        self._initialise()

    def config(self) -> dict[str, Setting]:
        """Give ``dim``, ``variant`` and ``dropout``."""
        return {"dim": self.dim, "variant": self.variant, "dropout": self.dropout}

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        if state is None:
            state = self.initial_state(len(x))
        with torch.autocast(x.device.type, enabled=False):  # the loop mixes no types
            prepared = self._prepare(x.float().transpose(0, 1), clock.gaps.T)
            recurrent = self.recurrent * self._scale[: len(self.recurrent)]
            outputs, cell = _Loop.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                *prepared, recurrent, self.peepholes, state.float(), self.coupled
            )
        after = torch.cat((outputs[-1], cell), dim=1)
        outputs = nn.functional.dropout(outputs.transpose(0, 1), self.dropout, self.training)
        return outputs, after

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        outputs, after = self(x.unsqueeze(1), clock, state)
        return outputs[:, 0], after

    def time_weights(self) -> Tensor:
        """Give V_T, or V_T1 and V_T2, as [1 or 2, dim]; V_T1 is never above 0.

        So the longer the gap, the less an event counts for the next prediction.
        """
        if self.n_time_gates == 1:
            return self.gap_gates
        return torch.stack((-nn.functional.softplus(self.gap_gates[0]), self.gap_gates[1]))

    def _prepare(self, x: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what needs no state, for [length, batch, dim] events and [length, batch] gaps.

        Returns:
            What i, (f,) g, o hold besides the state's share, [length, batch, gates * dim], with g
            doubled; and the gates T1 and T2 (twice T in variant 1), [length, batch, dim] each.
        """
        width = self.n_gates * self.dim
        weight, bias = self.inputs.weight * self._scale, self.inputs.bias * self._scale[:, 0]
        passed = torch.log1p(gaps.clamp(0.0, LONGEST) / _MINUTE).unsqueeze(-1)
        # Only o reads the gap itself: as one more input, it costs no pass of its own.
        only_output = nn.functional.pad(self.gap_output, (width - self.dim, 0))
        beside = torch.cat((weight[:width], only_output.unsqueeze(1)), dim=1)
        gates = nn.functional.linear(torch.cat((x, passed), dim=-1), beside, bias[:width])
        times = nn.functional.linear(x, weight[width:], bias[width:])
        times = torch.sigmoid(times + torch.sigmoid(passed * self.time_weights().flatten()))
        now, kept = times[..., : self.dim], times[..., -self.dim :]
        return gates, now, kept

    def _initialise(self) -> None:
        """Start as an LSTM that keeps, with recurrent matrices that neither fade nor explode."""
        bound = 1 / math.sqrt(self.dim)
        nn.init.uniform_(self.inputs.weight, -bound, bound)
        nn.init.zeros_(self.inputs.bias)
        for gate in torch.split(self.recurrent.detach(), self.dim):
            nn.init.orthogonal_(gate)
        nn.init.uniform_(self.gap_gates, -0.1, 0.1)
        bias = self.inputs.bias.detach()
        if self.coupled:
            bias[: self.dim] = -1.0  # i nearly shut is f nearly open
        else:
            bias[self.dim : 2 * self.dim] = 1.0  # f
        bias[self.n_gates * self.dim :] = 1.0  # time gates start open
        if self.n_time_gates == 2:
            self.gap_gates.detach()[0] -= 2.0  # softplus(-2) = 0.13


class _Loop(torch.autograd.Function):
    """Run the recurrence over [length, batch, ...] and give all h, and the last c.

    Takes what i, (f,) g, o hold besides the state's share (g doubled), T1, T2, U (rows of g
    doubled), the peepholes [gates - 1, dim] of i, (f,) o, the state [batch, 2 dim], and whether
    1 - i T1 and 1 - i take the place of f.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        now: Tensor,
        kept: Tensor,
        recurrent: Tensor,
        peepholes: Tensor,
        state: Tensor,
        coupled: bool,
    ) -> tuple[Tensor, Tensor]:
        length, batch, dim = now.shape
        hiddens = state.new_empty(length + 1, batch, dim)
        cells = torch.empty_like(hiddens)
        hiddens[0], cells[0] = state[:, :dim], state[:, dim:]
        asked, shown = torch.empty_like(hiddens[1:]), torch.empty_like(hiddens[1:])
        opened = torch.empty_like(gates)
        each = opened.view(length, batch, -1, dim)
        for t in range(length):
            torch.addmm(gates[t], hiddens[t], recurrent.T, out=opened[t])
            times = (now[t], kept[t])
            _write(each[t], times, peepholes, cells[t], (asked[t], cells[t + 1]), coupled)
            # The faster form of tanh.
            torch.mul(asked[t], 2, out=shown[t]).sigmoid_().mul_(2).sub_(1)
            torch.mul(each[t, :, -1], shown[t], out=hiddens[t + 1])
        ctx.coupled = coupled
        ctx.save_for_backward(opened, now, kept, recurrent, peepholes, hiddens, cells, asked, shown)
        return hiddens[1:], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        opened, now, kept, recurrent, peepholes, hiddens, cells, asked, shown = ctx.saved_tensors
        length, batch, dim = now.shape
        found = tuple(torch.empty_like(x) for x in (opened, now, kept))
        to_peepholes = now.new_zeros(batch, *peepholes.shape)
        each, to_each = (x.view(length, batch, -1, dim) for x in (opened, found[0]))
        to_hidden, to_cell = torch.zeros_like(now[0]), grads[1]
        for t in range(length - 1, -1, -1):
            gates, to_gates = each[t], to_each[t]
            to_hidden += grads[0][t]
            torch.mul(to_hidden, shown[t], out=to_gates[:, -1])
            _through_sigmoid(to_gates[:, -1], gates[:, -1])
            to_asked = torch.ops.aten.tanh_backward(to_hidden * gates[:, -1], shown[t])
            to_asked.addcmul_(to_gates[:, -1], peepholes[-1])
            to_peepholes[:, -1].addcmul_(to_gates[:, -1], asked[t])
            to_times, times = (found[1][t], found[2][t]), (now[t], kept[t])
            unwrite = _unwrite_coupled if ctx.coupled else _unwrite
            to_cell = unwrite(gates, times, cells[t], (to_asked, to_cell), to_gates, to_times)
            _through_sigmoid(to_gates[:, :-1], gates[:, :-1])
            for gate in range(len(peepholes) - 1):
                to_cell.addcmul_(to_gates[:, gate], peepholes[gate])
                to_peepholes[:, gate].addcmul_(to_gates[:, gate], cells[t])
            torch.mm(found[0][t], recurrent, out=to_hidden)
        to_recurrent = found[0].flatten(0, 1).T @ hiddens[:-1].flatten(0, 1)
        to_state = torch.cat((to_hidden, to_cell), dim=1)
        return (*found, to_recurrent, to_peepholes.sum(0), to_state, None)


Pair = tuple[Tensor, Tensor]


def _write(
    gates: Tensor, times: Pair, peepholes: Tensor, before: Tensor, after: Pair, coupled: bool
) -> None:
    """Open the gates [batch, gates, dim] in place, and write c1 and c' into ``after``."""
    gates[:, :-2].addcmul_(before.unsqueeze(1), peepholes[:-1])
    gates[:, :-1].sigmoid_()
    i, g = gates[:, 0], gates[:, -2] * 2 - 1
    written = i * g
    if coupled:
        torch.addcmul(before, i * times[0], g - before, out=after[0])
        torch.addcmul(before - i * before, written, times[1], out=after[1])
    else:
        kept = gates[:, 1] * before
        torch.addcmul(kept, written, times[0], out=after[0])
        torch.addcmul(kept, written, times[1], out=after[1])
    gates[:, -1].addcmul_(after[0], peepholes[-1]).sigmoid_()


def _unwrite(
    gates: Tensor, times: Pair, before: Tensor, grads: Pair, to_gates: Tensor, to_times: Pair
) -> Tensor:
    """Turn gradients of c1 and c' into those of the opened i, f, g, of T1, T2 and of c.

    c1 = f c + i T1 g and c' = f c + i T2 g. Writes ``to_gates`` and ``to_times``.
    """
    i, f, g = gates[:, 0], gates[:, 1], gates[:, 2] * 2 - 1
    written, both = i * g, grads[0] + grads[1]
    torch.mul(grads[0], written, out=to_times[0])
    torch.mul(grads[1], written, out=to_times[1])
    to_written = (grads[0] * times[0]).addcmul_(grads[1], times[1])
    torch.mul(to_written, g, out=to_gates[:, 0])
    torch.mul(both, before, out=to_gates[:, 1])
    torch.mul(to_written, i, out=to_gates[:, 2]).mul_(2)
    return both.mul_(f)


def _unwrite_coupled(
    gates: Tensor, times: Pair, before: Tensor, grads: Pair, to_gates: Tensor, to_times: Pair
) -> Tensor:
    """Do the same where c1 = c + i T1 (g - c) and c' = c + i (T2 g - c)."""
    i, g = gates[:, 0], gates[:, 1] * 2 - 1
    torch.mul(grads[0] * i, g - before, out=to_times[0])
    torch.mul(grads[1] * i, g, out=to_times[1])
    forgotten = (grads[0] * times[0]).add_(grads[1])
    to_written = (grads[0] * times[0]).addcmul_(grads[1], times[1])
    torch.mul(to_written, g, out=to_gates[:, 0]).addcmul_(forgotten, before, value=-1)
    torch.mul(to_written, i, out=to_gates[:, 1]).mul_(2)
    return (grads[0] + grads[1]).addcmul_(forgotten, i, value=-1)


def _through_sigmoid(grads: Tensor, opened: Tensor) -> None:
    """Turn gradients of sigmoids into those of what went in, in place."""
    torch.ops.aten.sigmoid_backward.grad_input(grads, opened, grad_input=grads)


def _check(dim: int, variant: int, dropout: float) -> None:
    faults = []
    try:
        check_sizes("TimeLSTM", dim, 1, dropout)
    except ConfigError as fault:
        faults.append(str(fault))
    if isinstance(variant, bool) or variant not in VARIANTS:
        faults.append(f"TimeLSTM(variant={variant!r}): expected 1, 2 or 3, as in the paper.")
    raise_all(faults, ConfigError)
