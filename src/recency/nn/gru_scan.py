"""A layer of gated recurrent units over whole histories, with its gradients by hand.

Torch runs such a layer on a CPU as some ten small operations a step, and as many again for the
gradients, each with an entry in the graph. Here a step is five operations forward and four
backward. All that does not depend on the step before is done for all steps at once: the products
with the inputs, the slopes of the gates, and the gradients of the weights.

With r, z, n as in `recency.nn.recurrent.GRU`, u = U_n h + b'_n and g the gradient of h':

    dn = g (1 - z)(1 - n^2),  dz = g (h - n) z (1 - z),  dr = dn u r (1 - r),  du = dn r

are those before the gates' curves, and h gets g z + (dr, dz, du) U.
"""

from typing import Any

import torch
from torch import Tensor, nn

from recency.nn.products import plain_products

SMALL = 64  # rows below which oneDNN takes longer to begin than to multiply


def gru_layer(x: Tensor, weights: tuple[Tensor, Tensor, Tensor, Tensor], start: Tensor) -> Tensor:
    """Run a layer over histories.

    Args:
        x: [batch, length, width] float32.
        weights: Input [3 dim, width] and recurrent ones [3 dim, dim], then biases [3 dim] of both,
            gate by gate in the order r, z, n.
        start: [batch, dim] memories before the first step.

    Returns:
        [batch, length, dim] all memories.
    """
    w_ih, w_hh, b_ih, b_hh = weights
    gates = 2 * w_hh.shape[1]
    bias = torch.cat((b_ih[:gates] + b_hh[:gates], b_ih[gates:]))
    given = nn.functional.linear(x.transpose(0, 1), w_ih, bias)
    with plain_products(len(x) < SMALL):
        found: Tensor = _Layer.apply(given, w_hh, b_hh[gates:], start)  # type: ignore[no-untyped-call] # torch's
    return found.transpose(0, 1)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, w: Tensor, bias: Tensor, start: Tensor) -> Tensor:
        """Give all memories [length, batch, dim] from what inputs say [length, batch, 3 dim]."""
        length, batch, dim = *given.shape[:2], w.shape[1]
        states = given.new_empty(length + 1, batch, dim)
        states[0] = start
        gates = given.clone()  # becomes r, z, u
        gates[..., 2 * dim :] = bias
        news = given.new_empty(length, batch, dim)
        turned = w.t()
        steps = zip(
            states[:-1].unbind(0), states[1:].unbind(0), given[..., 2 * dim :].unbind(0),
            gates.unbind(0), gates[..., : 2 * dim].unbind(0), gates[..., :dim].unbind(0),
            gates[..., dim : 2 * dim].unbind(0), gates[..., 2 * dim :].unbind(0), news.unbind(0),
            strict=True,
        )  # fmt: skip
        for before, after, read, whole, both, r, z, u, n in steps:
            torch.addmm(whole, before, turned, out=whole)
            both.sigmoid_()
            torch.addcmul(read, r, u, out=n).tanh_()
            torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(w, states, gates, news)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        w, states, gates, news = ctx.saved_tensors
        before = states[:-1]
        dim = w.shape[1]
        r, z, u = torch.split(gates, dim, dim=-1)
        closed = 1 - z
        # What g is multiplied by to give dn, the part that h keeps, dz; and dn to give dr, du.
        slopes = torch.cat((closed * (1 - news * news), z, (before - news) * z * closed), dim=-1)
        onward = torch.cat((u * r * (1 - r), r), dim=-1)
        found = torch.empty(*news.shape[:2], 5 * dim, dtype=w.dtype, device=w.device)
        with plain_products(news.shape[1] < SMALL):
            to_start = _backwards(grads[0], w, slopes, onward, found)
        new, _, update, reset, inner = torch.split(found, dim, dim=-1)
        to_given = torch.cat((reset, update, new), dim=-1)
        to_gates = torch.cat((reset, update, inner), dim=-1).flatten(0, 1)
        to_w = to_gates.t() @ before.reshape(-1, dim)
        return to_given, to_w, to_gates[:, 2 * dim :].sum(0), to_start


def _backwards(grads: Tensor, w: Tensor, slopes: Tensor, onward: Tensor, found: Tensor) -> Tensor:
    """Write dn, what h keeps, dz, dr, du [length, batch, 5 dim]; give the start's gradient."""
    length, batch, dim = grads.shape
    reset, update, new = torch.split(w, dim)
    weights = torch.cat((update, reset, new))
    carried, total = grads.new_zeros(batch, dim), grads.new_empty(batch, 1, dim)
    flat = total.view(batch, dim)
    parts = (
        grads, slopes.view(length, batch, 3, dim), onward.view(length, batch, 2, dim),
        torch.unflatten(found[..., : 3 * dim], -1, (3, dim)), found[..., :dim].unsqueeze(2),
        found[..., dim : 2 * dim], torch.unflatten(found[..., 3 * dim :], -1, (2, dim)),
        found[..., 2 * dim :],
    )  # fmt: skip
    steps = list(zip(*(part.unbind(0) for part in parts), strict=True))
    for grad, slope, on, first, new, kept, second, gates in reversed(steps):
        torch.add(grad, carried, out=flat)
        torch.mul(total, slope, out=first)
        torch.mul(new, on, out=second)
        torch.addmm(kept, gates, weights, out=carried)
    return carried
