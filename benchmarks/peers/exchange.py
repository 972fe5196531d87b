"""The files and lines through which a peer is taught and asked. Needs numpy only, on both sides.

A peer's process is started in a folder with ``train.npz``. It reads one JSON object a line from
standard input and answers each with one on standard output:

    {"train": 10, "seconds": 60}   learn until 10 epochs are done in all, or the time is over
    {"ask": 3}                     read questions-3.npz, write scores-3.npy

Seconds of a limit are those of the processor, so that other work on the machine takes none away.

Items are rows of the training log's vocabulary and instants are microseconds, so a peer sees
neither ids nor anything that happens after a question, and never a target.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """Hold arrays that are kept in one file."""

    def write(self, path: Path) -> None:
        """Write all arrays."""
        columns: dict[str, Any] = asdict(self)
        np.savez(path, **columns)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read them back."""
        with np.load(path) as found:
            return cls(**{field.name: found[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Lesson(Kept):
    """Hold n training events in the order of time.

    Attributes:
        users: [n] user rows.
        items: [n] item rows.
        times: [n] microseconds since 1970 UTC.
        n_items: [] size of the catalogue.
    """

    users: Ints
    items: Ints
    times: Ints
    n_items: Ints

    def by_user(self) -> tuple["Lesson", Ints]:
        """Sort by user, keeping the order within each; and give the users' offsets."""
        order = np.argsort(self.users, kind="stable")
        counts = np.bincount(self.users)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        sorted_ = Lesson(self.users[order], self.items[order], self.times[order], self.n_items)
        return sorted_, offsets


@dataclass(frozen=True)
class Asked(Kept):
    """Hold m questions: the newest events before each, oldest first.

    Attributes:
        offsets: [m + 1] start of each question's events.
        items: [offsets[m]] item rows.
        times: [offsets[m]] microseconds.
        at: [m] instant of each question.
    """

    offsets: Ints
    items: Ints
    times: Ints
    at: Ints

    def __len__(self) -> int:
        return len(self.at)

    def part(self, start: int, stop: int) -> "Asked":
        """Keep the questions ``[start, stop)``."""
        offsets = self.offsets[start : stop + 1]
        events = slice(offsets[0], offsets[-1])
        return Asked(
            offsets - offsets[0], self.items[events], self.times[events], self.at[start:stop]
        )

    def padded(
        self, values: npt.NDArray[Any], width: int, empty: Any, *, left: bool
    ) -> npt.NDArray[Any]:
        """Lay the newest ``width`` values of each question out as [m, width]."""
        cells = np.full((len(self), width), empty, dtype=values.dtype)
        for row, (start, stop) in enumerate(zip(self.offsets, self.offsets[1:], strict=False)):
            newest = values[max(start, stop - width) : stop]
            place = slice(width - len(newest), width) if left else slice(0, len(newest))
            cells[row, place] = newest
        return cells


class Learner(Protocol):
    """Name what a peer's script brings."""

    def train(self, epochs: int, seconds: float | None) -> int:
        """Learn on until so many epochs are done in all, or the time is over; give those done."""
        ...

    def scores(self, asked: Asked) -> Scores:
        """Score all items for each question, [m, n_items]; -inf for items never learned."""
        ...

    def about(self) -> dict[str, Any]:
        """Say which version of what learns, and how many parameters."""
        ...


def serve(make: Callable[[Lesson, dict[str, Any]], Learner]) -> None:
    """Speak for a learner until standard input ends: the whole of a peer's process.

    The command line holds the folder and the settings as JSON.
    """
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    del sys.argv[1:]  # some libraries would read them too
    said = _own_output()
    spent = _now()
    learner = make(Lesson.read(folder / "train.npz"), settings)
    spent = _now() - spent
    for line in sys.stdin:
        wish = json.loads(line)
        started = _now()
        if "train" in wish:
            done = learner.train(wish["train"], wish.get("seconds"))
            spent += _now() - started
            answer = {
                "epochs": done,
                "train_seconds": float(spent[0]),
                "cpu_seconds": float(spent[1]),
                "peak_mb": _peak_mb(),
            }
        else:
            asked = Asked.read(folder / f"questions-{wish['ask']}.npz")
            np.save(folder / f"scores-{wish['ask']}.npy", learner.scores(asked))
            answer = {"answer_seconds": float((_now() - started)[0])}
        said.write(json.dumps(answer | learner.about()) + "\n")
        said.flush()


def _own_output() -> Any:
    """Keep standard output for the answers; what libraries print goes to standard error."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return said


def _now() -> npt.NDArray[np.float64]:
    """Read the wall's clock and this process's, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return round(peak / 1024, 1)
