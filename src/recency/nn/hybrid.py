"""A memory first, attention after it: two encoders in a row, with a way around each of them.

A memory (Tide, an LSTM, …) sums up a whole history, however long, and fades by time; attention
compares single events, but only the newest. Here each event is read by the memory, and attention
reads the event together with what the memory then said of the history. Item vectors come from the
model's table, which carries titles and pictures where there are any: words, then memory, then
attention, then scores.

**Never less than its parts.** Four vectors, learned and multiplied number by number, weigh the two
ways around: with ``added`` at 0 the hybrid is the memory alone, with ``told`` and ``kept`` at 0 and
``added`` at 1 it is the attention alone. ``added`` starts at a tenth, the others at 1: a hybrid
begins nearly as its memory, and attention adds what it finds beyond that, as layers do in Touvron
et al., Going deeper with Image Transformers, ICCV 2021, section 2.

**Parts** are names, or encoders that are passed as objects. `Encoder.config` holds plain values
only, so there an object becomes its name and settings as JSON text, which the constructor takes
too. Parts know nothing of each other: a state is one part's state, then the other's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from recency.errors import ConfigError, raise_all
from recency.nn.encoder import Clock, Encoder, Setting, check_sizes, settings_of_encoder
from recency.nn.plain_encoders import PLAIN_ENCODERS, made, taken_by

Part = Encoder | str
START = 0.1  # of ``added``
_DEFAULTS = {"blocks": 1, "window": 50}  # of the attention


class Hybrid(Encoder):
    """Encode histories with a memory, then attention over the newest events and what it said.

    m_t = memory(x_1 … x_t),  r_t = own * x_t + told * norm(m_t)
    y_t = kept * m_t + added * attention(r_1 … r_t)

    Args:
        dim: Width of inputs and outputs.
        memory: ``"tide"``, ``"lstm"``, ``"gru"`` or another encoder's name; or an encoder, such as
            ``recency.Tide(dim=64, blocks=1)``; or one as `config` writes it.
        attention: ``"transformer"``, or another encoder as above.
        blocks: Of an attention that is given by name.
        window: Newest events it sees, the event's own included; of one that is given by name.
        dropout: Share dropped in training by parts that are given by name, in [0, 1).

    Raises:
        ConfigError: a size is impossible, a part is unknown or of another width, or an argument
            says nothing to the attention; all together.
    """

    def __init__(
        self,
        dim: int = 64,
        memory: Part = "tide",
        attention: Part = "transformer",
        blocks: int = 1,
        window: int = 50,
        dropout: float = 0.1,
    ) -> None:
        shape: dict[str, Setting] = {"blocks": blocks, "window": window}
        made = _parts({"memory": memory, "attention": attention}, dim, shape, dropout)
        super().__init__()
        self._settings = {"dim": dim, **made.said, **shape, "dropout": dropout}
        self._objects = made.objects
        self.dim = dim
        self.memory, self.attention = made.encoders["memory"], made.encoders["attention"]
        self.state_size = self.memory.state_size + self.attention.state_size
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.own, self.told, self.kept = (nn.Parameter(torch.ones(dim)) for _ in range(3))
        self.added = nn.Parameter(torch.full((dim,), START))

    def config(self) -> dict[str, Setting]:
        """Give all arguments; a part that was passed as an object is JSON text."""
        return dict(self._settings)

    def clone(self) -> Self:
        """Make an encoder of the same configuration with weights of its own."""
        parts = {name: getattr(self, name).clone() for name in self._objects}
        return type(self)(**(self.config() | parts))

    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories; see `Encoder.forward`."""
        before = (None, None) if state is None else self._states(state)
        said, remembered = self.memory(x, clock, before[0])
        found, seen = self.attention(self._shown(x, said), clock, before[1])
        return self._answer(said, found), _joined(remembered, seen)

    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user; see `Encoder.step`."""
        before = self._states(state)
        said, remembered = self.memory.step(x, clock, before[0])
        found, seen = self.attention.step(self._shown(x, said), clock, before[1])
        return self._answer(said, found), _joined(remembered, seen)

    def _shown(self, x: Tensor, said: Tensor) -> Tensor:
        """Give what attention reads: the events, and what the memory said at each."""
        return torch.addcmul(self.own * x, self.told, self.norm(said))

    def _answer(self, said: Tensor, found: Tensor) -> Tensor:
        return torch.addcmul(self.kept * said, self.added, found)

    def _states(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Cut states into the memory's and the attention's."""
        size = self.memory.state_size
        return state[:, :size].contiguous(), state[:, size:].contiguous()


@dataclass
class _Parts:
    """Hold the parts of a hybrid.

    Attributes:
        encoders: By the name of the argument.
        said: The same as plain values.
        objects: Names of those that were passed as objects.
    """

    encoders: dict[str, Encoder] = field(default_factory=dict)
    said: dict[str, Setting] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)

    def add(self, name: str, part: Part, made: Encoder) -> None:
        """Take one more."""
        self.encoders[name] = made
        self.said[name] = part if isinstance(part, str) else _text(part)
        if isinstance(part, Encoder):
            self.objects.append(name)


def _parts(
    given: Mapping[str, Part], dim: int, shape: Mapping[str, Setting], dropout: float
) -> _Parts:
    """Make the parts, and refuse impossible arguments, all together."""
    check_sizes("Hybrid", dim, 1, dropout)  # parts would say the same again
    parts, faults = _Parts(), list[str]()
    for name, part in given.items():
        more = shape if name == "attention" else {}
        try:
            encoder = _made(name, part, dim, dropout, more)
        except ConfigError as fault:
            faults.append(str(fault))
            continue
        if encoder.dim != dim:
            faults.append(f"Hybrid({name}=...): expected a width of {dim}, found {encoder.dim}.")
        if any(encoder is other for other in parts.encoders.values()):
            faults.append(f"Hybrid({name}=...): expected an encoder of its own, found one twice.")
        parts.add(name, part, encoder)
    raise_all(faults, ConfigError)
    return parts


def _made(name: str, part: Part, dim: int, dropout: float, more: Mapping[str, Setting]) -> Encoder:
    """Make a part from its name or JSON text; one that is made already has its own settings."""
    named = isinstance(part, str) and part in PLAIN_ENCODERS
    takes = taken_by(PLAIN_ENCODERS[str(part)]) if named else []
    raise_all(
        [
            f"Hybrid({one}={value!r}): {name} {part if named else 'with settings of its own'} "
            f"does not take it; leave it out."
            for one, value in more.items()
            if one not in takes and value != _DEFAULTS[one]
        ],
        ConfigError,
    )
    if isinstance(part, Encoder):
        return part
    if not named:
        settings = _read(name, part)
        return made(PLAIN_ENCODERS, settings.pop("name"), settings)
    settings = {one: value for one, value in more.items() if one in takes}
    return made(PLAIN_ENCODERS, part, {"dim": dim, "dropout": dropout, **settings})


def _read(name: str, part: Any) -> dict[str, Any]:
    """Read a part from JSON text."""
    try:
        found = json.loads(part)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("name") not in PLAIN_ENCODERS:
        raise ConfigError(
            f"Hybrid({name}={part!r}): expected one of {', '.join(PLAIN_ENCODERS)}, or an encoder."
        )
    return found


def _text(part: Encoder) -> str:
    """Write a part down, as `_read` reads it."""
    return json.dumps(settings_of_encoder(part))


def _joined(remembered: Tensor, seen: Tensor) -> Tensor:
    return torch.cat((remembered.float(), seen.float()), dim=1)
