"""The memory banks of Tide: which half-lives its channels have, and what a gap leaves of them.

A channel forgets in two ways at once: by what happens (events) and by what passes (seconds). Both
are half-lives on a logarithmic ladder, short ones and long ones, and learning may move each by a
factor of e^2 at most: were they free, all channels would drift to one timescale, and nobody could
say afterwards which memory is which.

A periodic channel is a pair of numbers that also turns with time, once a period: what was written
a whole number of periods ago points the same way again. Phases come from gaps, in float64 and
modulo the period, so that only differences of times count and no precision is lost.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.nn.time import LONGEST

Range = tuple[float, float]
Floats = npt.NDArray[np.float64]

HOUR, DAY, YEAR = 3_600, 86_400, 31_557_600  # seconds
REACH = 2.0  # a learned half-life stays within e^-2 to e^2 times the one it started with
OPENING = 1 / 8  # of an untrained forget gate; half-lives in events are told for it
PERIODS = (DAY, 7 * DAY, YEAR, *(HOUR * 4**k for k in range(7)))  # the ladder ends at half a year
_HINTS = (1.0, 10.0, 120.0, 1_200.0, 4.0 * HOUR, 2.0 * DAY, 30.0 * DAY, 1.0 * YEAR)
_MOST = 43.0  # halvings a gap: e^-30 is nothing, and still far from numbers that slow a CPU down


@dataclass(frozen=True)
class Bank:
    """Describe one bank: its share of the channels and where its half-lives start.

    Attributes:
        name: How it is called in ``banks=``.
        share: Of the channels, relative to the other banks.
        events: Shortest and longest half-life in events.
        seconds: Shortest and longest half-life in seconds.
        turns: Whether channels are pairs that turn with time.
    """

    name: str
    share: int
    events: Range
    seconds: Range
    turns: bool = False


BANKS = (
    Bank("short", 1, (2, 20), (HOUR / 6, 2 * DAY)),
    Bank("long", 2, (50, 1_000), (7 * DAY, 3 * YEAR)),
    Bank("periodic", 1, (50, 1_000), (7 * DAY, 3 * YEAR), turns=True),
)


@dataclass(frozen=True)
class HalfLives:
    """Tell how long one bank of one block remembers, a number a channel (or a pair of channels).

    Attributes:
        block: 0 for the first.
        bank: Its name.
        events: Half-lives in events, while the forget gate is as open as it starts (1/8). The gate
            moves them, event by event, between an eighth of this and for ever.
        seconds: Half-lives in elapsed seconds; infinite without time.
        periods: Seconds of a turn; None where channels do not turn.
    """

    block: int
    bank: str
    events: Floats
    seconds: Floats
    periods: Floats | None


@dataclass(frozen=True)
class Elapsed:
    """Hold what all blocks need to know of the gaps before some events.

    Attributes:
        seconds: [..., 1] gaps, 0 where there is none.
        hints: [..., n] gaps as numbers in [0, 1] for gates to read; all 0 where there is none.
        turns: [..., pairs] complex, how far each pair turns; None without time.
    """

    seconds: Tensor
    hints: Tensor
    turns: Tensor | None


class Forgetting(nn.Module):
    """Hold the half-lives of all blocks, and apply gaps to them.

    Channels lie bank by bank; pairs come last and forget as one.

    Args:
        channels: Numbers of one block's memory.
        blocks: Blocks.
        banks: Banks to share the channels among.
        time: Whether time counts; without it, every gap is read as 0.
    """

    def __init__(self, channels: int, blocks: int, banks: tuple[Bank, ...], time: bool) -> None:
        super().__init__()
        self.banks, self.blocks, self.time = banks, blocks, time
        self.sizes = bank_sizes(channels, banks)
        self.pairs = sum(n for n, bank in zip(self.sizes, banks, strict=True) if bank.turns)
        self.modes = sum(self.sizes)
        self.n_hints = len(_HINTS) if time else 0
        measures = 2 if time else 1  # events, seconds
        self.shift = nn.Parameter(torch.zeros(measures * blocks * self.modes))
        ladders = [
            np.stack((ladder(bank.events, n) * OPENING, mixed(ladder(bank.seconds, n))))
            for bank, n in zip(banks, self.sizes, strict=True)
        ]
        periods = np.array([PERIODS[k % len(PERIODS)] for k in range(self.pairs)])
        # All this follows from the configuration and is not saved.
        start = np.concatenate(ladders, axis=1)[:measures, np.newaxis]
        self.register_buffer("start", torch.tensor(-1 / start).float(), persistent=False)
        self.register_buffer("hints", -1 / torch.tensor(_HINTS), persistent=False)
        self.register_buffer("periods", torch.tensor(periods), persistent=False)
        self.register_buffer("speeds", torch.tensor(2 * np.pi / periods).float(), persistent=False)
        self.start: Tensor
        self.hints: Tensor
        self.periods: Tensor
        self.speeds: Tensor

    def elapsed(self, gaps: Tensor) -> Elapsed:
        """Prepare gaps [...] in seconds, negative where there is none."""
        seconds = gaps.clamp(0.0, LONGEST).unsqueeze(-1)
        if not self.time:
            return Elapsed(torch.zeros_like(seconds), seconds[..., :0], None)
        hints = torch.exp2(seconds * self.hints) * (gaps >= 0).unsqueeze(-1)
        phases = torch.remainder(seconds.double(), self.periods).to(seconds.dtype) * self.speeds
        return Elapsed(seconds, hints, torch.complex(phases.cos(), phases.sin()))

    def rates(self) -> tuple[Tensor, Tensor | None]:
        """Give the logarithms to base 2 [blocks, modes] of what is left, none above 0.

        First after one event that opens the forget gate wide, then after one second, None without
        time.
        """
        learned = torch.exp(REACH * torch.tanh(self.shift))
        found = self.start * learned.view(-1, self.blocks, self.modes)
        return found[0], found[1] if self.time else None

    def half_lives(self) -> list[HalfLives]:
        """Tell all half-lives, block by block and bank by bank."""
        events, seconds = self.rates()
        by_event = _inverse(events) / OPENING
        by_time = np.full_like(by_event, np.inf) if seconds is None else _inverse(seconds)
        periods = self.periods.cpu().numpy().astype(np.float64)
        edges = np.cumsum([0, *self.sizes])
        return [
            HalfLives(
                block,
                bank.name,
                by_event[block, low:high],
                by_time[block, low:high],
                periods if bank.turns and self.time else None,
            )
            for block in range(self.blocks)
            for bank, low, high in zip(self.banks, edges[:-1], edges[1:], strict=True)
        ]


def kept(seconds: Tensor, rates: Tensor) -> Tensor:
    """Give the share in (0, 1] that is left of each mode [modes] after gaps [..., 1] in seconds."""
    return torch.exp2((seconds * rates).clamp(min=-_MOST))


def _inverse(rates: Tensor) -> Floats:
    found: Floats = -1 / rates.detach().cpu().double().numpy()
    return found


def bank_sizes(channels: int, banks: tuple[Bank, ...]) -> list[int]:
    """Share channels among banks: numbers of modes, that is, of channels or of pairs.

    The last bank that does not turn takes what rounding leaves; at least one mode each.
    """
    total = sum(bank.share for bank in banks)
    rest = channels
    sizes = []
    for bank in banks:
        width = 2 if bank.turns else 1
        sizes.append(max(1, round(channels * bank.share / total / width)))
        rest -= width * sizes[-1]
    plain = [at for at, bank in enumerate(banks) if not bank.turns]
    if plain:
        sizes[plain[-1]] += rest
    return sizes


def ladder(ends: Range, n: int) -> Floats:
    """Space n values evenly in their logarithm; one value takes the middle."""
    low, high = math.log(ends[0]), math.log(ends[1])
    steps = np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2])
    values: Floats = np.exp(steps)
    return values


def mixed(values: Floats) -> Floats:
    """Reorder a ladder so that neighbours lie far apart, by the golden ratio.

    Half-lives in events ascend along a bank; were those in seconds to ascend with them, no channel
    would forget fast by one measure and slowly by the other.
    """
    turns = np.arange(len(values)) * ((math.sqrt(5) - 1) / 2) % 1
    places = np.argsort(np.argsort(turns))
    reordered: Floats = values[places]
    return reordered
