"""Tide: a gated linear memory with short, long and periodic banks that forget by events and time.

The memory moves by h_t = a_t h_(t-1) + b_t, number by number, with decays a_t that follow from the
event and from the time since the one before, never from h itself. So a whole history is read at
once in training (`recency.nn.scan`), and one event at a time, at a fixed cost, in service. This is
the family of linear recurrent units: De et al., Griffin, 2024 (arXiv 2402.19427), whose gates these
are. Decay by real time beside decay by events, and the banks, are in `recency.nn.banks`.

Decisions:

- An input is scaled by the decay of events only. By the whole decay, an event at the same instant
  as the one before, where time leaves everything as it is, would hardly be written.
- The memory is read as it is. Griffin and Mamba (Gu and Dao, 2023, arXiv 2312.00752) let the newest
  event gate what is read, and mix the last four events by a convolution before they are written:
  made for text. On small logs of events both over-fitted, and without them a state is a quarter.
- Values are a tanh, so that no event outweighs the others.
- Outputs are what the blocks add to the inputs, without the inputs. These carry each event's own
  item, so that the newest item would score far above all others until training has undone it.
- Layer norm, not root-mean-square norm: on a CPU, torch has it in one pass and backward in another.
- Gaps only, never instants: shifting all times changes nothing.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recency.errors import ConfigError, raise_all
from recency.nn.banks import BANKS, OPENING, Bank, Forgetting, HalfLives, kept
from recency.nn.dropout import Dropout
from recency.nn.encoder import Clock, Encoder, Setting
from recency.nn.recent import Recent, Sight, look_back
from recency.nn.scan import scan

LEAST = 4  # width below which a bank would be empty
MOST_BLOCKS = 8
FLOOR = 1e-6  # under the root: a closed gate would else have an infinite gradient


class Tide(Encoder):
    """Encode histories with a linear memory that forgets by events and by elapsed time.

    In each block, with x the block's input and D = 2 dim channels of memory:

        n = [norm(x), hints of the gap]
        v, i, r = W n                          (v through a tanh, i and r through a sigmoid)
        e = 2^(-8 r / H_events),  a = e 2^(-gap / H_seconds)
        h = a R(gap) h + sqrt(1 - e^2) i v
        x <- x + W_out norm(h)
        x <- x + feed-forward(norm(x))         (gated, hidden width D)

    and the output is the norm of all that was added to x. H are learned half-lives, one a channel;
    R turns the pairs of the periodic bank once a period and leaves all else. `half_lives` tells
    what was learned. An untrained forget gate r stands at 1/8, so that H_events is then the
    half-life in events.

    Args:
        dim: Width of inputs and outputs, at least 4.
        blocks: Blocks, 1 to 8.
        dropout: Share of what a block adds that is dropped in training, in [0, 1).
        window: Earlier events that one attention head a block looks back at; 0 for no such head.
            They are kept in the state, ``blocks * dim`` numbers an event.
        banks: Memory banks, of ``"short"``, ``"long"`` and ``"periodic"``, parted by commas; those
            named share all channels in the proportion 1 : 2 : 1.
        time: Whether gaps count. Without it Tide is blind to time: it decays by events alone, no
            pair turns, and no gate reads a gap.

    Raises:
        ConfigError: An argument is impossible.
    """

    carries = True

    def __init__(
        self,
        dim: int = 64,
        blocks: int = 2,
        dropout: float = 0.1,
        window: int = 0,
        banks: str = "short,long,periodic",
        time: bool = True,
    ) -> None:
        chosen = _checked(dim, blocks, dropout, window, banks)
        super().__init__()
        self.dim, self.dropout, self.window = dim, dropout, window
        self.forgetting = Forgetting(2 * dim, blocks, chosen, time)
        self.blocks = nn.ModuleList(
            _Block(dim, self.forgetting, dropout, window) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(dim)
        self._memory = (blocks, 2 * dim)
        self._ring = (blocks, window, 2 * (dim // 2))
        self.state_size = math.prod(self._memory) + window + math.prod(self._ring)

    def config(self) -> dict[str, Setting]:
        """Give all arguments."""
        return {
            "dim": self.dim,
            "blocks": len(self.blocks),
            "dropout": self.dropout,
            "window": self.window,
            "banks": ",".join(bank.name for bank in self.forgetting.banks),
            "time": self.forgetting.time,
        }

    def half_lives(self) -> list[HalfLives]:
        """Tell how long each bank of each block remembers, in events and in seconds.

        Returns:
            One `HalfLives` a block and bank: block by block, in each the short bank first.
        """
        return self.forgetting.half_lives()

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        memory, marks, ring = self._unpack(self.initial_state(len(x)) if state is None else state)
        memory = memory.transpose(0, 1)  # one a block
        given = x = x.transpose(0, 1).contiguous()
        elapsed = self.forgetting.elapsed(clock.gaps.transpose(0, 1))
        sight = look_back(marks, elapsed.seconds.squeeze(-1).t()) if self.window else None
        events, seconds = self.forgetting.rates()
        memories, rings = [], []
        for at, block in enumerate(self.blocks):
            left = None if seconds is None else kept(elapsed.seconds, seconds[at])
            passed = _Passed(events[at], left, elapsed.hints, elapsed.turns)
            x, after, recent = block(x, passed, sight, memory[at], ring[:, at])
            memories.append(after)
            rings.append(recent)
        marks = marks if sight is None else sight.marks
        return self.norm(x - given).transpose(0, 1), _packed(memories, marks, rings)

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        memory, marks, ring = self._unpack(state)
        given = x
        elapsed = self.forgetting.elapsed(clock.gaps[:, 0])
        sight = look_back(marks, elapsed.seconds) if self.window else None
        events, seconds = self.forgetting.rates()
        left = None if seconds is None else kept(elapsed.seconds.unsqueeze(-1), seconds)
        memories, rings = [], []
        for at, block in enumerate(cast(Iterable[_Block], self.blocks)):
            remains = None if left is None else left[:, at]
            passed = _Passed(events[at], remains, elapsed.hints, elapsed.turns)
            x, after, recent = block.step(x, passed, sight, memory[:, at], ring[:, at])
            memories.append(after)
            rings.append(recent)
        marks = marks if sight is None else sight.marks
        return self.norm(x - given), _packed(memories, marks, rings)

    def _unpack(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cut states into memories [batch, blocks, 2 dim], marks and rings (see `Recent`)."""
        sizes = [math.prod(self._memory), self.window, math.prod(self._ring)]
        memory, marks, ring = state.split_with_sizes(sizes, 1)
        batch = len(state)
        return memory.reshape(batch, *self._memory), marks, ring.reshape(batch, *self._ring)


class _Passed(NamedTuple):
    """Hold what passed before some events: all that makes one block forget.

    Attributes:
        rates: [modes] logarithm to base 2 of what an event leaves with the forget gate wide open.
        left: [..., modes] what the gaps leave; None without time.
        hints: [..., n] gaps for gates to read.
        turns: [..., pairs] complex, how far pairs turn; None without time.
    """

    rates: Tensor
    left: Tensor | None
    hints: Tensor
    turns: Tensor | None


class _Written(NamedTuple):
    """Hold decays and inputs of the recurrence, of plain channels and of pairs (complex)."""

    decays: Tensor
    inputs: Tensor
    pair_decays: Tensor
    pair_inputs: Tensor


class _Block(nn.Module):
    """One layer: memory, then a gated feed-forward, each added to what came in.

    A state is [2 dim]: the memory h after the last event.
    """

    def __init__(self, dim: int, forgetting: Forgetting, dropout: float, window: int) -> None:
        super().__init__()
        channels = 2 * dim
        wide = dim + forgetting.n_hints
        self.pairs = forgetting.pairs
        self.plain = channels - 2 * self.pairs
        # One matrix for the values, the write gates and the forget gates.
        self.parts = [channels, channels, forgetting.modes]
        self.norm = nn.LayerNorm(dim)
        self.enter = nn.Linear(wide, sum(self.parts))
        self.memory_norm = nn.LayerNorm(channels)
        self.recent = Recent(wide, dim // 2, window, forgetting.time) if window else None
        self.leave = nn.Linear(channels + (dim // 2 if window else 0), dim, bias=False)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_enter = nn.Linear(dim, 4 * dim)
        self.feed_leave = nn.Linear(2 * dim, dim)
        self.dropout = Dropout(dropout)
        with torch.no_grad():
            closed = math.log(OPENING / (1 - OPENING))
            self.enter.bias[-forgetting.modes :] = closed

    def forward(
        self, x: Tensor, passed: _Passed, sight: Sight | None, before: Tensor, ring: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read [length, batch, dim]; give outputs, the state after the last event, and the ring."""
        normed = torch.cat((self.norm(x), passed.hints), dim=-1)
        values, write, forget = (p.float() for p in _products(normed, self.enter, self.parts))
        written = self._written(values, write, forget, passed)
        h = scan(written.decays, written.inputs, before[:, : self.plain])
        if self.pairs:
            start = _as_pairs(before[:, self.plain :])
            turned = scan(written.pair_decays, written.pair_inputs, start)
            h = torch.cat((h, _as_plain(turned)), dim=-1)
        read = self.memory_norm(h)
        if self.recent is not None and sight is not None:
            seen, ring = self.recent(normed, sight, ring)
            read = torch.cat((read, seen), dim=-1)
        return self._answer(x, read), h[-1], ring

    def step(
        self, x: Tensor, passed: _Passed, sight: Sight | None, before: Tensor, ring: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read [batch, dim]; give outputs, the states afterwards, and the ring."""
        normed = torch.cat((self.norm(x), passed.hints), dim=-1)
        values, write, forget = (p.float() for p in _products(normed, self.enter, self.parts))
        written = self._written(values, write, forget, passed)
        h = torch.addcmul(written.inputs, written.decays, before[:, : self.plain])
        if self.pairs:
            start = _as_pairs(before[:, self.plain :])
            turned = torch.addcmul(written.pair_inputs, written.pair_decays, start)
            h = torch.cat((h, _as_plain(turned)), dim=-1)
        read = self.memory_norm(h)
        if self.recent is not None and sight is not None:
            seen, ring = self.recent.step(normed, sight, ring)
            read = torch.cat((read, seen), dim=-1)
        return self._answer(x, read), h, ring

    def _written(self, values: Tensor, write: Tensor, forget: Tensor, passed: _Passed) -> _Written:
        """Turn what the gates say into decays and inputs."""
        # Beside 1, which long half-lives keep almost all of, a float has no digits left for what
        # goes; so that is what is computed, and what stays follows from it.
        gone = torch.expm1(torch.sigmoid(forget) * (passed.rates * math.log(2)))
        # What many events add up to has the size of one of them. Of the events' decay only: by the
        # whole of it, an event at the same instant as the one before would be written hardly.
        scale = torch.sqrt(FLOOR - gone * (gone + 2))
        keep = gone + 1
        inputs = torch.tanh(values) * torch.sigmoid(write)
        if passed.left is not None:
            keep = keep * passed.left
        plain, pairs = keep.split_with_sizes([self.plain, self.pairs], -1)
        turning = pairs + 0j if passed.turns is None else pairs * passed.turns
        plain_scale, pair_scale = scale.split_with_sizes([self.plain, self.pairs], -1)
        return _Written(
            plain,
            inputs[..., : self.plain] * plain_scale,
            turning,
            _as_pairs(inputs[..., self.plain :]) * pair_scale,
        )

    def _answer(self, x: Tensor, read: Tensor) -> Tensor:
        x = x + self.dropout(self.leave(read))
        value, gate = _products(
            self.feed_norm(x), self.feed_enter, [self.feed_leave.in_features] * 2
        )
        answer: Tensor = x + self.dropout(self.feed_leave(value * functional.silu(gate)))
        return answer


def _products(x: Tensor, layer: nn.Linear, parts: list[int]) -> list[Tensor]:
    """Apply a layer and part its outputs.

    Of whole histories part by part: slices of one wide product would lie apart in memory.
    """
    if x.ndim == 2:
        return list(layer(x).split_with_sizes(parts, -1))
    weights, biases = layer.weight.split_with_sizes(parts), layer.bias.split_with_sizes(parts)
    return [functional.linear(x, w, b) for w, b in zip(weights, biases, strict=True)]


def _as_pairs(values: Tensor) -> Tensor:
    return torch.view_as_complex(values.contiguous().view(*values.shape[:-1], -1, 2))


def _as_plain(pairs: Tensor) -> Tensor:
    return torch.view_as_real(pairs).flatten(-2)


def _packed(memories: list[Tensor], marks: Tensor, rings: list[Tensor]) -> Tensor:
    """Join what `Tide._unpack` cuts apart; parts come block by block, each [batch, ...]."""
    parts = [*memories, marks, *rings] if marks.shape[1] else memories
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _checked(dim: int, blocks: int, dropout: float, window: int, banks: str) -> tuple[Bank, ...]:
    """Find the banks, and refuse impossible arguments, all together."""
    names = [name.strip() for name in banks.split(",")] if isinstance(banks, str) else []
    known = [bank.name for bank in BANKS]
    faults = [
        f"Tide({name}={value!r}): expected a whole number from {low} to {high}."
        for name, value, low, high in (
            ("dim", dim, LEAST, 2**16),
            ("blocks", blocks, 1, MOST_BLOCKS),
            ("window", window, 0, 2**16),
        )
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high
    ]
    if not 0 <= dropout < 1:
        faults.append(f"Tide(dropout={dropout!r}): expected a share in [0, 1).")
    if not names or set(names) - set(known) or len(set(names)) < len(names):
        faults.append(
            f"Tide(banks={banks!r}): expected some of {', '.join(map(repr, known))}, parted by "
            "commas, each once."
        )
    raise_all(faults, ConfigError)
    return tuple(bank for bank in BANKS if bank.name in names)
