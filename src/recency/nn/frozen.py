"""Frozen: the experts' counts as of one moment, to be written, read back and counted on from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recency.data.histories import PADDING, Ints, ragged_positions
from recency.data.pair_arrays import FrozenPairs
from recency.data.pairs import WINDOW

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FrozenMemories:
    """Hold the counts as of one moment, while events move on.

    Attributes:
        clock: The crowd's counts.
        pairs: One a half-life.
    """

    clock: dict[str, npt.NDArray[Any]]
    pairs: list[FrozenPairs]

    def merged(self) -> "FrozenMemories":
        """Merge what was set aside; may be done in any thread."""
        return FrozenMemories(self.clock, [one.merged() for one in self.pairs])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give all counts under flat names; pairs of several half-lives share their keys."""
        parts = [self.clock, *(one.arrays() for one in self.pairs)]
        for part in parts[2:]:
            if np.array_equal(part["keys"], parts[1]["keys"]):
                del part["keys"]
        return {
            f"{place}.{name}": cells
            for place, part in enumerate(parts)
            for name, cells in part.items()
        }


def newest_items(offsets: Ints, items: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Give each user's newest items, newest first: [n, `WINDOW`], `PADDING` where there are fewer.

    Args:
        offsets: [n + 1] start of each user's events.
        items: Item rows, each user's oldest first.
    """
    lengths = np.minimum(np.diff(offsets), WINDOW)
    places = ragged_positions(offsets[1:] - lengths, lengths)
    ago = np.repeat(offsets[1:], lengths) - 1 - places
    newest = np.full((len(lengths), WINDOW), PADDING, np.int32)
    newest[np.repeat(np.arange(len(lengths)), lengths), ago] = items[places]
    return newest


def part_of(arrays: Arrays, place: int) -> dict[str, npt.NDArray[Any]]:
    """Give one part of what `FrozenMemories.arrays` gave: 0 is the crowd, then pairs in turn."""
    start = f"{place}."
    part = {
        name.removeprefix(start): cells for name, cells in arrays.items() if name.startswith(start)
    }
    return part if place < 2 else {"keys": arrays["1.keys"]} | part
