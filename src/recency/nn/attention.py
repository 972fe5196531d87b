"""A causal Transformer that remembers the last events of a user.

An event attends to itself and to the ``window - 1`` events before it, in every block. What is added
to a score is relative, a learned number for the distance in events and one for the age, because a
history may be read in pieces: there is no first position.

**State.** A ring of the last ``window - 1`` events: what each block's attention read of an event
(its normalised input), and the event's gap. Keys and values are two products of that input; kept
themselves, they would double the state. A step does not even make them. It takes its query into the
space of the inputs (q . W_k u = W_k^T q . u), and out of it only the mixture (sum of p W_v u =
W_v times the sum of p u). A ring of the encoder's own inputs would have to be ``blocks`` times
longer for the same answers, so no smaller, and an event would cost a whole `forward`.

**Reading many events** goes by stretches of rows, each with the keys of its band only. With an
explicit softmax this is as fast on a CPU as torch's fused kernel, which knows no gradient of
biases, and cost and memory grow with the length, not with its square. Attention weights are not
dropped out: drawing the masks would take several times as long as the softmax.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from recency.errors import ConfigError, raise_all
from recency.nn.dropout import Dropout
from recency.nn.encoder import Clock, Encoder, Setting
from recency.nn.ring import LARGEST, Ring
from recency.nn.time_bias import Ages, BucketBias, FunctionalBias, seconds_passed, shrunk

Network = Literal["gated", "plain"]
TimeBias = Literal["none", "buckets", "functional"]
STRETCH = 50  # rows; of 25 to 200, the fastest at [128, 200, 64]


class Transformer(Encoder):
    """Encode histories with banded causal self-attention.

    Blocks of attention and feed-forward, each of which reads the normalised sum of all before it
    and adds to that sum; then a last LayerNorm. ``feed_forward="plain"`` is the network of Kang and
    McAuley, Self-Attentive Sequential Recommendation (SASRec), ICDM 2018, Eqs. (2) to (4), with
    norms and positions as said above. ``"gated"`` is the block of Borisyuk et al., From Features to
    Transformers: Redefining Ranking for Scalable Impact (LiGR), 2025, of which eSASRec is made: a
    SwiGLU (Shazeer, GLU Variants Improve Transformer, 2020), and each branch times sigmoid(W x)
    before it is added to x.

    Args:
        dim: Width of inputs and outputs, a multiple of ``heads``.
        blocks: Blocks, one on the other; an event is felt ``blocks * (window - 1)`` events later.
        heads: Attentions side by side in a block, each ``dim / heads`` wide.
        window: Events attended to, the newest included, 2 to 2,049. A state holds
            ``(window - 1) * (blocks * dim + 1) + 1`` numbers.
        feed_forward: ``"gated"`` or ``"plain"``.
        time_bias: What the age of an event adds to its score: ``"none"``, or a curve for each block
            and head, learned knot by knot (``"buckets"``, see `BucketBias`) or as a function of
            three numbers (``"functional"``, see `FunctionalBias`).
        dropout: Share of what a branch adds that is dropped in training, in [0, 1).

    Raises:
        ConfigError: a size is impossible, or a name is unknown.
    """

    def __init__(
        self,
        dim: int = 64,
        blocks: int = 2,
        heads: int = 2,
        window: int = 100,
        feed_forward: Network = "gated",
        time_bias: TimeBias = "buckets",
        dropout: float = 0.1,
    ) -> None:
        settings: dict[str, Setting] = dict(
            dim=dim, blocks=blocks, heads=heads, window=window, feed_forward=feed_forward,
            time_bias=time_bias, dropout=dropout
        )  # fmt: skip
        _check(settings)
        super().__init__()
        self._settings = settings
        self.dim = dim
        self.ring = Ring(window=window - 1, width=blocks * dim + 1)
        self.state_size = self.ring.size
        self.timed = time_bias != "none"
        self.blocks = nn.ModuleList(
            Block(Attention(dim, heads, window, time_bias), feed_forward == "gated", dropout)
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(dim)
        with torch.no_grad():
            self.norm.weight.fill_(0.3)  # scores start soft
            for name, weight in self.blocks.named_parameters():
                if name.endswith("output.weight"):  # deep stacks start near their input
                    weight.mul_(1 / math.sqrt(2 * blocks))

    def config(self) -> dict[str, Setting]:
        """Give the arguments of the constructor."""
        return dict(self._settings)

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        state = self.initial_state(len(x)) if state is None else state
        rings, gaps, filled = self._past(state)
        outputs, reads = self._read(x, rings, self._stretches(gaps, filled, clock))
        parts = (*reads, shrunk(clock.gaps).unsqueeze(2))
        newest = torch.cat([part[:, -self.ring.window :] for part in parts], dim=2)
        return outputs, self.ring.extend(state, newest)

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`.

        The cost grows with the longest history in the batch, up to ``window`` events.
        """
        rings, gaps, filled = self._past(state)
        ages = None
        if self.timed:
            seconds = seconds_passed(gaps, clock)
            ages = Ages.between(seconds[:, -1:], seconds)
        outputs, reads = self._read(x, rings, Glance(~filled.unsqueeze(1), ages))
        newest = torch.cat((*reads, shrunk(clock.gaps)), dim=1)
        return outputs, self.ring.push(state, newest)

    def _read(
        self, x: Tensor, rings: list[Tensor], seen: "list[Stretch] | Glance"
    ) -> tuple[Tensor, list[Tensor]]:
        """Give the outputs for x, and what each block's attention read."""
        reads, entered = [], x  # left out below: its own item would outshine all else
        for block, ring in zip(self.blocks, rings, strict=True):
            x, read = block(x, ring, seen)
            reads.append(read)
        return self.norm(x - entered), reads

    def _past(self, state: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Read states, less the places that are empty in all of them.

        What each block read [batch, past, dim]; shrunk gaps, and which are events [batch, past].
        """
        vectors, filled = self.ring.read(state)
        empty = self.ring.window - int(filled.any(dim=0).sum())
        *rings, gaps = torch.split(vectors[:, empty:], [self.dim] * len(self.blocks) + [1], dim=2)
        return rings, gaps.squeeze(2), filled[:, empty:]

    def _stretches(self, gaps: Tensor, filled: Tensor, clock: Clock) -> list["Stretch"]:
        """Cut rows into stretches; keys are the past events, then the clock's."""
        past, length = filled.shape[1], clock.gaps.shape[1]
        seconds = seconds_passed(gaps, clock) if self.timed else None
        empty = nn.functional.pad(~filled, (0, length))
        places = torch.arange(past + length, device=filled.device)
        stretches = []
        for start in range(past, past + length, STRETCH):
            rows = slice(start, min(start + STRETCH, past + length))
            keys = slice(max(0, start - self.ring.window), rows.stop)
            ages = None if seconds is None else Ages.between(seconds[:, rows], seconds[:, keys])
            stretches.append(
                Stretch(
                    rows=slice(rows.start - past, rows.stop - past),
                    keys=keys,
                    distance=places[rows, None] - places[keys],
                    hidden=empty[:, None, None, keys] if keys.start < past else None,
                    ages=ages,
                )
            )
        return stretches


@dataclass(frozen=True)
class Stretch:
    """Hold what some rows attend to, the same for all blocks.

    Attributes:
        rows: Which of the rows read now.
        keys: Which of the keys, where the ring's come before those read now.
        distance: [rows, keys] events between; negative for later keys.
        hidden: [batch, 1, 1, keys] slots of the ring without event; None where there are none.
        ages: [batch, rows, keys]; None without a time bias.
    """

    rows: slice
    keys: slice
    distance: Tensor
    hidden: Tensor | None
    ages: Ages | None


class Glance(NamedTuple):
    """Hold what one row attends to: ``hidden`` [batch, 1, past], ``ages`` [batch, 1, past + 1]."""

    hidden: Tensor
    ages: Ages | None


class Block(nn.Module):
    """Add attention, then feed-forward, to what came before; gated or not.

    Args:
        attention: First branch, of the block's width.
        gated: Gate the feed-forward inside, and each branch by sigmoid(W x + b).
        dropout: Share dropped of what a branch adds.
    """

    def __init__(self, attention: "Attention", gated: bool, dropout: float) -> None:
        super().__init__()
        dim = attention.output.in_features
        self.attention, self.feed_forward = attention, FeedForward(dim, gated)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(dim, dim) for _ in range(2)) if gated else None
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, ring: Tensor, seen: list[Stretch] | Glance
    ) -> tuple[Tensor, Tensor]:
        """Read [batch, length, dim], or [batch, dim]; give the same, and what attention read."""
        read = self.norms[0](x)
        if isinstance(seen, Glance):
            x = self._add(x, self.attention.glance(read, ring, seen), 0)
        else:
            x = self._add(x, self.attention(read, ring, seen), 0)
        return self._add(x, self.feed_forward(self.norms[1](x)), 1), read

    def _add(self, x: Tensor, branch: Tensor, number: int) -> Tensor:
        branch = self.dropout(branch)
        if self.gates is None:
            return x + branch
        return torch.addcmul(x, torch.sigmoid(self.gates[number](x)), branch)


class Attention(nn.Module):
    """Mix what the events of a band have to say, by how well they answer and how far off they are.

    softmax(q . k / sqrt(width) + b[distance] + time_bias(age)) v

    Args:
        dim: Width of inputs and outputs.
        heads: Attentions side by side.
        window: Events attended to.
        time_bias: ``"none"``, ``"buckets"`` or ``"functional"``.
    """

    def __init__(self, dim: int, heads: int, window: int, time_bias: TimeBias) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        # Biases of q, k and v would shift nothing that the norm's and the output's do not.
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim)
        # Each head starts by preferring recent events, the next head four times less so.
        slopes, places = 0.25 ** torch.arange(heads), torch.arange(1, window + 1)
        self.distance = nn.Parameter(-slopes[:, None] * places.log())
        self.time: BucketBias | FunctionalBias | None = None
        if time_bias != "none":
            self.time = BucketBias(heads) if time_bias == "buckets" else FunctionalBias(heads)

    def forward(self, x: Tensor, ring: Tensor, stretches: list[Stretch]) -> Tensor:
        """Attend from rows [batch, length, dim] to a ring [batch, past, dim] and to themselves."""
        read = torch.cat((ring, x), dim=1) if ring.shape[1] else x
        query = self._split(self._query(x))
        key, value = self._split(self.key(read)), self._split(self.value(read))
        parts = []
        for stretch in stretches:
            scores = query[:, :, stretch.rows] @ key[:, :, stretch.keys].transpose(2, 3)
            weights = torch.softmax(scores + self._bias(stretch), dim=-1)
            parts.append(weights @ value[:, :, stretch.keys])
        mixed = torch.cat(parts, dim=2).transpose(1, 2).flatten(2)
        attended: Tensor = self.output(mixed)
        return attended

    def glance(self, x: Tensor, ring: Tensor, seen: Glance) -> Tensor:
        """Attend from one row [batch, dim] to the ring [batch, past, dim] and to itself."""
        batch, dim = x.shape
        shape = (self.heads, dim // self.heads, dim)
        query = self._query(x).view(batch, *shape[:2]).transpose(0, 1)
        asked = torch.bmm(query, self.key.weight.view(shape)).transpose(0, 1)
        past = torch.bmm(ring, asked.transpose(1, 2)).transpose(1, 2)
        past = past.masked_fill(seen.hidden, -math.inf)
        scores = torch.cat((past, asked @ x.unsqueeze(2)), dim=2)
        scores = scores + self.distance[:, : scores.shape[2]].flip(1)
        if self.time is not None and seen.ages is not None:
            scores = scores + self.time(seen.ages).squeeze(2)
        weights = torch.softmax(scores, dim=-1)
        mixed = torch.bmm(weights[:, :, :-1], ring) + weights[:, :, -1:] * x.unsqueeze(1)
        value = torch.bmm(mixed.transpose(0, 1), self.value.weight.view(shape).transpose(1, 2))
        attended: Tensor = self.output(value.transpose(0, 1).flatten(1))
        return attended

    def _query(self, x: Tensor) -> Tensor:
        query: Tensor = self.query(x)
        return query * math.sqrt(self.heads / x.shape[-1])

    def _split(self, x: Tensor) -> Tensor:
        """Turn [batch, length, dim] into [batch, heads, length, width]."""
        batch, length, dim = x.shape
        parts = x.view(batch, length, self.heads, dim // self.heads)
        return parts.transpose(1, 2).contiguous()

    def _bias(self, stretch: Stretch) -> Tensor:
        """Give what is added to scores, -inf outside the band: [1 or batch, heads, rows, keys]."""
        far = stretch.distance
        bias = self.distance.index_select(1, far.clamp(0, self.window - 1).flatten())
        outside = (far < 0) | (far >= self.window)
        bias = bias.view(1, self.heads, *far.shape).masked_fill(outside, -math.inf)
        if self.time is not None and stretch.ages is not None:
            bias = bias + self.time(stretch.ages)
        return bias if stretch.hidden is None else bias.masked_fill(stretch.hidden, -math.inf)


class FeedForward(nn.Module):
    """Transform each event: W_2 relu(W_1 x), 4 times as wide, or W_2 (silu(W_1 x) * V x), 8/3."""

    def __init__(self, dim: int, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        inside = 8 * math.ceil(dim / 3) if gated else 4 * dim
        self.hidden = nn.Linear(dim, 2 * inside if gated else inside)
        self.output = nn.Linear(inside, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Transform [..., dim]."""
        hidden = self.hidden(x)
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            hidden = nn.functional.silu(gate) * value
        else:
            hidden = torch.relu(hidden)
        transformed: Tensor = self.output(hidden)
        return transformed


def _check(settings: dict[str, Setting]) -> None:
    """Refuse impossible settings, all of them together."""
    faults = []
    for name, least in (("dim", 1), ("blocks", 1), ("heads", 1), ("window", 2)):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            faults.append(f"{name}={value!r}): expected a whole number of at least {least}.")
        elif name == "window" and value > LARGEST + 1:
            faults.append(f"window={value}): expected {LARGEST + 1} events at most.")
    dim, heads = settings["dim"], settings["heads"]
    if not faults and isinstance(dim, int) and isinstance(heads, int) and dim % heads:
        faults.append(f"dim={dim}, heads={heads}): expected a multiple of the heads.")
    for name, names in (("feed_forward", get_args(Network)), ("time_bias", get_args(TimeBias))):
        if settings[name] not in names:
            faults.append(f"{name}={settings[name]!r}): expected {' or '.join(map(repr, names))}.")
    dropout = settings["dropout"]
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        faults.append(f"dropout={dropout!r}): expected a share in [0, 1).")
    raise_all([f"Transformer({fault}" for fault in faults], ConfigError)
