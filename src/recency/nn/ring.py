"""The newest vectors of a user, held in a flat row that starts as zeros: for banded attention.

A ring of window W and width D is a row of W * D + 1 numbers: W vectors in the order of time, the
newest last, and how many of them are real. All zeros is the ring of a user without events. Empty
places come first and hold zeros.

    ring = Ring(window=32, width=64)
    state = ring.empty(batch, like=x)         # [batch, ring.size], zeros
    state = ring.push(state, vector)          # one event: vector [batch, width]
    state = ring.extend(state, vectors)       # many at once: vectors [batch, length, width]
    vectors, filled = ring.read(state)        # [batch, window, width], [batch, window] bool
    band, filled = ring.join(state, vectors)  # [batch, window + length, width] and bool alike

In `join`, event t of ``vectors`` lies at place ``window + t``; banded attention over the newest W
vectors, its own included, therefore sees the places t + 1 to t + W.

The vectors move up by one at each push instead of being overwritten in turn: a state is copied at
each step anyway, so this costs nothing, and neither training nor attention needs to know where the
oldest one lies. Several things of one event (key, value, a logarithm of seconds) go side by side
into one vector. Numbers must fit a half-precision state: below 60,000, so no raw seconds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from recency.errors import ConfigError, raise_all

LARGEST = 2048  # vectors: the largest count that half precision holds exactly


@dataclass(frozen=True)
class Ring:
    """Say how the newest vectors lie in a state.

    Attributes:
        window: Vectors kept, 1 to 2048.
        width: Numbers of one vector.

    Raises:
        ConfigError: ``window`` or ``width`` is out of range.
    """

    window: int
    width: int

    def __post_init__(self) -> None:
        """Refuse impossible sizes, both together."""
        raise_all(
            [
                f"Ring({name}={size!r}): expected a whole number from 1{end}."
                for name, size, end, most in (
                    ("window", self.window, f" to {LARGEST}", LARGEST),
                    ("width", self.width, "", None),
                )
                if not _whole(size, most)
            ],
            ConfigError,
        )

    @property
    def size(self) -> int:
        """Give the width of the flat row."""
        return self.window * self.width + 1

    def empty(self, batch: int, like: Tensor) -> Tensor:
        """Give the rings [batch, size] of users without events: zeros of ``like``'s type."""
        return like.new_zeros(batch, self.size)

    def read(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Give the vectors [batch, window, width], newest last, and which [batch, window] are real.

        Args:
            state: [batch, size].
        """
        places = torch.arange(self.window, 0, -1, dtype=state.dtype, device=state.device)
        vectors = state[:, :-1].view(len(state), self.window, self.width)
        return vectors, places <= state[:, -1:]

    def push(self, state: Tensor, vector: Tensor) -> Tensor:
        """Give the rings [batch, size] after one more vector [batch, width] each."""
        count = (state[:, -1:] + 1).clamp(max=self.window)
        return torch.cat((state[:, self.width : -1], vector, count), dim=1)

    def extend(self, state: Tensor, vectors: Tensor) -> Tensor:
        """Give the rings [batch, size] after many more vectors [batch, length, width] each.

        The same as pushing one after the other, for lengths below and above the window.
        """
        length = vectors.shape[1]
        newest = vectors[:, max(0, length - self.window) :].flatten(1)
        kept = state[:, min(length, self.window) * self.width : -1]
        count = (state[:, -1:] + length).clamp(max=self.window)
        return torch.cat((kept, newest, count), dim=1)

    def join(self, state: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Give the vectors kept and then the new ones, and which of them are real.

        Args:
            state: [batch, size] before the new vectors.
            vectors: [batch, length, width].

        Returns:
            [batch, window + length, width], and [batch, window + length] bool.
        """
        kept, filled = self.read(state)
        new = filled.new_ones(len(vectors), vectors.shape[1])
        return torch.cat((kept, vectors), dim=1), torch.cat((filled, new), dim=1)


def _whole(size: int, most: int | None) -> bool:
    """Tell whether a size is a whole number from 1 to ``most``."""
    if isinstance(size, bool) or not isinstance(size, int):
        return False
    return size >= 1 and (most is None or size <= most)
