"""StateFile: the states of all users in one safetensors file, copied in while questions are asked.

A million states are more than should lie in memory twice, and more than may be copied while an
answer waits. So they go to the file some thousand rows at a time. What each state has seen is
written last, when it is known which of them became void meanwhile.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.errors import FormatError
from recency.live.states import States

Result = TypeVar("Result")
Run = Callable[[Callable[[], Any]], Any]  # runs a function in the thread that owns the states
_ROWS = 4_096  # copied at once
_TYPES: dict[str, tuple[str, type[np.generic]]] = {
    "states": ("F32", np.float32),
    "users": ("I64", np.int64),
    "seen": ("I64", np.int64),
}


class StateFile:
    """Write one model's states; closed at the end of a ``with`` block.

    Args:
        path: Written anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._users = self._seen = np.empty(0, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def copy(self, states: States, run: Run) -> None:
        """Copy the states that there are now.

        Args:
            states: Go on moving.
            run: Runs a function in the thread that owns them, and gives its result.
        """
        n_rows, size = run(lambda: (len(states), states.size))
        users, seen = [], []
        self._file.write(_header({"states": [n_rows, size], "users": [n_rows], "seen": [n_rows]}))
        for first in range(0, max(n_rows, 1), _ROWS):
            last = min(first + _ROWS, n_rows)
            part = run(partial(states.copied, first, last))
            users.append(part[0])
            seen.append(part[1])
            self._file.write(part[2].data)
        self._users, self._seen = np.concatenate(users), np.concatenate(seen)

    def finish(self, void: dict[int, int], lengths: Ints) -> None:
        """Write which states hold.

        Args:
            void: By user, of how many events a state may have seen at most.
            lengths: [n_users] events of each user.
        """
        most = lengths.copy()
        users = [user for user in void if user < len(most)]
        most[users] = np.minimum(most[users], [void[user] for user in users])
        self._seen[self._seen > most[self._users]] = 0
        self._file.write(self._users.data)
        self._file.write(self._seen.data)
        self._file.flush()


def read_states(path: Path) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    """Read users [n], events seen [n] and states [n, size] of those that have seen any.

    Raises:
        FormatError: the file is no such file.
    """
    try:
        # Mapped and copied: for gigabytes that is faster than reading.
        mapped = np.memmap(path, np.uint8, mode="r")
        start = 8 + int.from_bytes(mapped[:8].tobytes(), "little")
        header = json.loads(mapped[8:start].tobytes())
        found: dict[str, npt.NDArray[Any]] = {}
        for name, (kind, cells) in _TYPES.items():
            if header[name]["dtype"] != kind:
                raise ValueError(f"{name} is {header[name]['dtype']}")
            first, last = header[name]["data_offsets"]
            part = mapped[start + first : start + last].view(cells)
            found[name] = np.array(part.reshape(header[name]["shape"]))
    except (ValueError, KeyError, TypeError) as fault:
        raise FormatError(f"{path} holds no states of users: {fault!r}.") from None
    states = found["states"]
    states[found["seen"] == 0] = 0
    return found["users"], found["seen"], states


def _header(shapes: dict[str, list[int]]) -> bytes:
    """Write the head of a safetensors file: its length in 8 bytes, then JSON."""
    parts: dict[str, dict[str, object]] = {}
    start = 0
    for name, shape in shapes.items():
        kind, cells = _TYPES[name]
        stop = start + int(np.prod(shape)) * np.dtype(cells).itemsize
        parts[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(parts).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
