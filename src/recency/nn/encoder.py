"""The interface of every encoder: from a history of vectors to a memory that moves in O(1).

An encoder has two forms that compute the same thing. `forward` reads many events at once and is
what training uses; `step` reads one event and is what serving uses. Both are causal: an output
depends on its own and on earlier events only, so padding on the right never reaches a real event.

A user's whole memory is one flat float32 row, so that a store needs to know nothing about the
encoder that wrote it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from recency.errors import ConfigError, raise_all

Setting = bool | int | float | str | None  # one constructor argument, as JSON can hold it


@dataclass(frozen=True)
class Clock:
    """Say when the events of a batch happened.

    Attributes:
        gaps: [batch, length] float32 seconds since the user's previous event, -1 (`NO_GAP`) at a
            first event.
        times: [batch, length] int64 microseconds since 1970 UTC.
    """

    gaps: Tensor
    times: Tensor


class Encoder(nn.Module, ABC):
    """Turn a history of vectors into one output an event, and keep a state between events.

    Attributes:
        dim: Width of inputs and outputs.
        state_size: Width of the flat float32 state of one user.
        carries: Whether training may go on from a state where a window ended, as service does.
    """

    dim: int
    state_size: int
    carries: ClassVar[bool] = False

    @abstractmethod
    def config(self) -> dict[str, Setting]:
        """Give the constructor's arguments, from which the same encoder can be made anew."""

    @abstractmethod
    def forward(
        self, x: Tensor, clock: Clock, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read histories and answer one output an event.

        Args:
            x: [batch, length, dim] events, padded on the right.
            clock: When they happened.
            state: [batch, state_size] where the histories were left off; None starts afresh.

        Returns:
            Outputs [batch, length, dim], and the state [batch, state_size] after position
            ``length - 1``, which means something only for rows without padding.
        """

    @abstractmethod
    def step(self, x: Tensor, clock: Clock, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one event of each user, in time that does not grow with the history.

        Args:
            x: [batch, dim] events.
            clock: When they happened, [batch, 1].
            state: [batch, state_size] states before the events.

        Returns:
            Outputs [batch, dim] and states [batch, state_size] after the events.
        """

    def initial_state(self, batch_size: int) -> Tensor:
        """Give the state [batch_size, state_size] of users without events: zeros."""
        weight = next(self.parameters())
        return weight.new_zeros(batch_size, self.state_size)

    def clone(self) -> Self:
        """Make an encoder of the same configuration with weights of its own."""
        return type(self)(**self.config())


def settings_of_encoder(encoder: Encoder) -> dict[str, Setting]:
    """Give an encoder as JSON can hold it: its class's name in lower case, and its arguments."""
    return {"name": type(encoder).__name__.lower(), **encoder.config()}


def check_sizes(name: str, dim: int, layers: int, dropout: float) -> None:
    """Refuse impossible sizes, all of them together.

    Raises:
        ConfigError: ``dim`` or ``layers`` is below 1, or ``dropout`` is outside [0, 1).
    """
    faults = [
        f"{name}({size}={value!r}): expected a whole number of at least 1."
        for size, value in (("dim", dim), ("layers", layers))
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if not 0 <= dropout < 1:
        faults.append(f"{name}(dropout={dropout!r}): expected a share in [0, 1).")
    raise_all(faults, ConfigError)
