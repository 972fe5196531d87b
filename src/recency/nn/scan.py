"""The linear recurrence h_t = a_t h_(t-1) + b_t over a whole history at once, with its gradients.

Nothing but products and sums of neighbouring steps happens inside the loop over time; all matrix
products are done before and after it, for all steps together. So on a CPU a plain loop over rows of
[batch, width] is the fastest form known, many times faster than a GRU of the same width, as long as
the rows lie next to each other in memory and no graph is recorded a step. This is why everything
here is time-major, [length, batch, width], and why gradients are written by hand: with adjoint g_t
of h_t,

    g_t = dL/dh_t + conj(a_(t+1)) g_(t+1),   dL/db_t = g_t,   dL/da_t = g_t conj(h_(t-1)),

which is the same recurrence backwards. On a GPU the loop would launch one kernel a step, and a form
with log2(length) rounds takes its place. Martin and Cundy, Parallelizing Linear Recurrent Neural
Nets Over Sequence Length, ICLR 2018; Hillis and Steele, Data Parallel Algorithms, 1986.
"""

from typing import Any

import torch
from torch import Tensor


def scan(decays: Tensor, inputs: Tensor, start: Tensor | None = None) -> Tensor:
    """Run h_t = a_t h_(t-1) + b_t over time, the same in all numbers of a row.

    Args:
        decays: [length, batch, width] a, real or complex; ``abs(a) <= 1`` keeps h finite.
        inputs: [length, batch, width] b, of the same type.
        start: [batch, width] h before the first step; None for zeros.

    Returns:
        [length, batch, width] all h, from the first step on.
    """
    if start is None:
        start = torch.zeros_like(inputs[0])
    found: Tensor = _Scan.apply(decays, inputs, start)  # type: ignore[no-untyped-call] # torch's
    return found


def loop(decays: Tensor, inputs: Tensor, start: Tensor) -> Tensor:
    """Run the recurrence step by step: the least work, best on a CPU."""
    states = inputs.clone(memory_format=torch.contiguous_format)
    last = start
    for decay, state in zip(decays.unbind(0), states.unbind(0), strict=True):
        last = state.addcmul_(decay, last)
    return states


def doubling(decays: Tensor, inputs: Tensor, start: Tensor) -> Tensor:
    """Run the recurrence in log2(length) rounds over all steps at once: best on a GPU.

    Two stretches of steps compose to one, (a, b) then (a', b') to (a' a, a' b + b'). After round k
    each step holds the composition of the 2^k stretches that end in it.
    """
    states = torch.cat(((inputs[0] + decays[0] * start).unsqueeze(0), inputs[1:]))
    products = decays
    reach = 1
    while reach < len(states):
        more = states[reach:] + products[reach:] * states[:-reach]
        states = torch.cat((states[:reach], more))
        products = torch.cat((products[:reach], products[reach:] * products[:-reach]))
        reach *= 2
    return states


def adjoint(decays: Tensor, grads: Tensor) -> Tensor:
    """Run the recurrence of the gradients backwards: g_t = dL/dh_t + conj(a_(t+1)) g_(t+1)."""
    decays = decays.conj().resolve_conj()
    if _steps_are_cheap(grads):
        found = grads.clone(memory_format=torch.contiguous_format)
        rows, factors = found.unbind(0), decays.unbind(0)
        for at in range(len(rows) - 2, -1, -1):
            rows[at].addcmul_(factors[at + 1], rows[at + 1])
        return found
    turned = decays.flip(0).roll(1, 0)
    return doubling(turned, grads.flip(0), torch.zeros_like(grads[0])).flip(0)


def _steps_are_cheap(states: Tensor) -> bool:
    return states.device.type == "cpu"


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decays: Tensor, inputs: Tensor, start: Tensor) -> Tensor:
        states = (loop if _steps_are_cheap(inputs) else doubling)(decays, inputs, start)
        ctx.save_for_backward(decays, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decays, states, start = ctx.saved_tensors
        to_inputs = adjoint(decays, grads[0])
        to_decays = torch.empty_like(to_inputs)
        torch.mul(to_inputs[1:], states[:-1].conj(), out=to_decays[1:])
        torch.mul(to_inputs[0], start.conj(), out=to_decays[0])
        return to_decays, to_inputs, decays[0].conj() * to_inputs[0]
