"""Key-value memory: a few slots a user, each found by a learned key, erased and added to.

What an event writes, and where, follows from the event alone, not from the memory. So the memory is
a linear recurrence, number by number, and only the loop over time is left of it: no matrix product
of the state. Its history would be slots times as large as any other encoder's, so the backward pass
keeps every sixteenth memory only and runs the steps between once more.

The package is about time: a slot also forgets while nothing happens, with a half-life of its own.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recency.errors import ConfigError, raise_all
from recency.nn.encoder import Clock, Encoder, Setting, check_sizes
from recency.nn.scan import scan
from recency.nn.time import LONGEST

_SHORTEST_LIFE, _LONGEST_LIFE = 3_600.0, 365.25 * 86_400.0  # seconds: half-lives at the start
_LARGEST_LOSS = 30.0  # exp(-30) is nothing, and far from numbers that slow a processor down
_STRETCH = 16  # steps between two memories kept for the backward pass


class MemoryNetwork(Encoder):
    """Encode histories with a gated controller and an external memory of slots with keys.

    A controller follows the order of events, linear in its state:
        z = sigmoid(W_z x + b_z),  h' = (1 - z) * h + z * tanh(W_n x + b_n)
    Each event is written to the slots s whose keys it resembles, erase before add:
        w = softmax(K W_w x / sqrt(dim)),  e = sigmoid(W_e x + b_e),  a = tanh(W_a x + b_a)
        M'_s = 2^(-gap / life_s) M_s * (1 - w_s e) + w_s a
    and the controller reads: p = softmax(K W_p h' / sqrt(dim)), y = C [h'; sum_s p_s M'_s]

    Keys and values apart: Miller et al., Key-Value Memory Networks for Directly Reading Documents,
    EMNLP 2016. Learned keys, erase and add: Zhang et al., Dynamic Key-Value Memory Networks for
    Knowledge Tracing, WWW 2017. The half-lives, from an hour to a year at the start, are ours. C
    starts as the sum of both halves.

    Args:
        dim: Width of inputs, outputs, keys and slots.
        slots: Slots of each user, at least 2.
        dropout: Share of the outputs dropped in training, in [0, 1).

    Raises:
        ConfigError: a size or the share is impossible.
    """

    def __init__(self, dim: int = 64, slots: int = 16, dropout: float = 0.0) -> None:
        _check(dim, slots, dropout)
        super().__init__()
        self.dim, self.slots, self.dropout = dim, slots, dropout
        self.state_size = (1 + slots) * dim
        self.keys = nn.Parameter(torch.randn(slots, dim))
        self.lives = nn.Parameter(  # logarithms of seconds
            torch.linspace(math.log(_SHORTEST_LIFE), math.log(_LONGEST_LIFE), slots)
        )
        self.inputs = nn.Linear(dim, 5 * dim)  # z, n, where to write, erase, add
        self.question = nn.Linear(dim, dim)
        self.combine = nn.Linear(2 * dim, dim, bias=False)
        with torch.no_grad():
            self.combine.weight.copy_(torch.eye(dim).repeat(1, 2))

    def config(self) -> dict[str, Setting]:
        """Give ``dim``, ``slots`` and ``dropout``."""
        return {"dim": self.dim, "slots": self.slots, "dropout": self.dropout}

    def half_lives(self) -> Tensor:
        """Give the time [slots] in seconds after which a slot left alone holds half of itself."""
        return self.lives.detach().exp()

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        if state is None:
            state = self.initial_state(len(x))
        with torch.autocast(x.device.type, enabled=False):
            outputs, after = self._read(x.float().transpose(0, 1), clock.gaps.T, state.float())
        outputs = nn.functional.dropout(outputs.transpose(0, 1), self.dropout, self.training)
        return outputs, after

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        outputs, after = self(x.unsqueeze(1), clock, state)
        return outputs[:, 0], after

    def _read(self, x: Tensor, gaps: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read [length, batch, dim] events: outputs alike, and the states after."""
        update, new, where, erase, add = self.inputs(x).chunk(5, dim=-1)
        update = torch.sigmoid(update)
        hidden = scan(1 - update, update * torch.tanh(new), state[:, : self.dim])
        memory = state[:, self.dim :].reshape(-1, self.slots, self.dim)
        found, memory = _Memory.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._retention(gaps),
            self._address(where),
            torch.sigmoid(erase),
            torch.tanh(add),
            self._address(self.question(hidden)),
            memory,
        )
        outputs = self.combine(torch.cat((hidden, found), dim=-1))
        return outputs, torch.cat((hidden[-1], memory.flatten(1)), dim=1)

    def _address(self, vectors: Tensor) -> Tensor:
        """Share [..., dim] out over the slots [..., slots] by their keys."""
        return torch.softmax(vectors @ self.keys.T / math.sqrt(self.dim), dim=-1)

    def _retention(self, gaps: Tensor) -> Tensor:
        """Give what [..., slots] a gap [...] in seconds leaves of each slot."""
        waited = gaps.clamp(0.0, LONGEST).unsqueeze(-1)
        return torch.exp(-(math.log(2) * waited * torch.exp(-self.lives)).clamp(max=_LARGEST_LOSS))


class _Memory(torch.autograd.Function):
    """Run M'_s = r_s M_s * (1 - w_s e) + w_s a over time and read sum_s p_s M'_s at each step.

    Takes r and w [length, batch, slots], e and a [length, batch, dim], p [length, batch, slots] and
    the memory [batch, slots, dim] before; gives the sums [length, batch, dim] and the memory after.
    """

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> tuple[Tensor, Tensor]:
        *_, add, asked, memory = parts
        found, kept = torch.empty_like(add), []
        for at in range(len(add)):
            if at % _STRETCH == 0:
                kept.append(memory)
            memory = _write(parts, at, memory)
            torch.bmm(asked[at].unsqueeze(1), memory, out=found[at].unsqueeze(1))
        ctx.save_for_backward(*parts[:-1], torch.stack(kept))
        return found, memory

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        parts = ctx.saved_tensors
        found = tuple(torch.empty_like(part) for part in parts[:-1])
        to_memory = grads[1].clone()
        for place in range(len(parts[-1]) - 1, -1, -1):
            start = place * _STRETCH
            memories = [parts[-1][place]]
            for at in range(start, min(start + _STRETCH, len(grads[0]))):
                memories.append(_write(parts, at, memories[-1]))
            while len(memories) > 1:
                after, at = memories.pop(), start + len(memories) - 1
                to_memory = _unwrite(
                    parts, at, (memories[-1], after), (to_memory, grads[0][at]), found
                )
        return (*found, to_memory)


def _write(parts: tuple[Tensor, ...], at: int, memory: Tensor) -> Tensor:
    """Give the memory [batch, slots, dim] after one step."""
    retention, where, erase, add = (part[at] for part in parts[:4])
    left = memory * retention.unsqueeze(2)
    change = torch.addcmul(-add.unsqueeze(1), erase.unsqueeze(1), left)
    return left.addcmul_(where.unsqueeze(2), change, value=-1)


def _unwrite(
    parts: tuple[Tensor, ...],
    at: int,
    memories: tuple[Tensor, Tensor],
    grads: tuple[Tensor, Tensor],
    found: tuple[Tensor, ...],
) -> Tensor:
    """Turn gradients of the memory after a step and of what was read into those of what went in.

    Args:
        parts: As `_Memory` takes them.
        at: The step.
        memories: Before and after it.
        grads: Of the memory after it, changed in place, and of the sum read.
        found: Where the gradients of ``parts`` go.

    Returns:
        The gradient of the memory before.
    """
    retention, where, erase, add, asked = (part[at] for part in parts[:5])
    grad = grads[0].addcmul_(asked.unsqueeze(2), grads[1].unsqueeze(1))
    torch.bmm(memories[1], grads[1].unsqueeze(2), out=found[4][at].unsqueeze(2))
    left = memories[0] * retention.unsqueeze(2)
    change = torch.addcmul(add.unsqueeze(1), erase.unsqueeze(1), left, value=-1)
    torch.sum(grad * change, dim=2, out=found[1][at])
    written = grad * where.unsqueeze(2)
    torch.sum(written, dim=1, out=found[3][at])
    torch.sum(written * left, dim=1, out=found[2][at]).neg_()
    to_left = grad.addcmul_(written, erase.unsqueeze(1), value=-1)
    torch.sum(to_left * memories[0], dim=2, out=found[0][at])
    return to_left.mul_(retention.unsqueeze(2))


def _check(dim: int, slots: int, dropout: float) -> None:
    faults = []
    try:
        check_sizes("MemoryNetwork", dim, 1, dropout)
    except ConfigError as fault:
        faults.append(str(fault))
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 2:
        faults.append(f"MemoryNetwork(slots={slots!r}): expected a whole number of at least 2.")
    raise_all(faults, ConfigError)
