"""A learner that trains in slices of time, as its standard input says. Needs torch only.

A process is started with a folder that holds ``lesson.npz``, and its settings as JSON. When it is
ready to learn it says so on standard output, in one JSON object a line, and then obeys:

    {"seconds": 10}   train for so long, one batch at least; say targets and seconds
    {"count": 2}      train so many batches; say the operations of matrix products a target

It waits between slices, inside the library's own loop of training: a slice is the next batches of
an epoch, wherever the last one ended. So several libraries can take turns on one machine, and what
disturbs the machine disturbs all of them.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.exchange import Lesson


def plain_counter() -> FlopCounterMode:
    """Make torch's own counter of matrix products."""
    return FlopCounterMode(display=False)


class Pacer:
    """Let a loop of training run in slices: it calls `tick` after every batch.

    Args:
        answers: Where answers are written, a line each.
        wishes: Lines of what is wanted.
        counter: Makes a counter of matrix products.
    """

    def __init__(
        self,
        answers: Any,
        wishes: Iterator[str],
        counter: Callable[[], FlopCounterMode] = plain_counter,
    ) -> None:
        self._answers, self._wishes, self._make = answers, wishes, counter
        self._counter: FlopCounterMode | None = None
        self._wish: dict[str, float] = {}
        self._targets = self._batches = 0
        self._started = 0.0

    def begin(self, about: dict[str, Any]) -> None:
        """Say that all is ready, and wait for the first wish."""
        self._say(about)
        self._listen()

    def tick(self, n_targets: int) -> None:
        """Count a batch; at the end of a slice say what was done, and wait.

        Raises:
            SystemExit: nothing more is wanted.
        """
        self._targets += n_targets
        self._batches += 1
        taken = time.perf_counter() - self._started
        if "count" in self._wish:
            if self._batches < self._wish["count"]:
                return
            assert self._counter is not None
            self._counter.__exit__(None, None, None)
            self._say({"flops": self._counter.get_total_flops() / self._targets})
        elif taken < self._wish["seconds"]:
            return
        else:
            self._say({"targets": self._targets, "batches": self._batches, "seconds": taken})
        self._listen()

    def _say(self, facts: dict[str, Any]) -> None:
        peak = {"peak_mb": peak_mb(), "threads": torch.get_num_threads()}
        self._answers.write(json.dumps(facts | peak) + "\n")
        self._answers.flush()

    def _listen(self) -> None:
        line = next(self._wishes, "")
        if not line:
            raise SystemExit(0)
        self._wish, self._targets, self._batches = json.loads(line), 0, 0
        if "count" in self._wish:
            self._counter = self._make()
            self._counter.__enter__()
        self._started = time.perf_counter()


class Paced:
    """Iterate over a loader's batches, with a tick after each.

    Args:
        loader: What it has besides, such as a sampler, is still found.
        pacer: Ticks.
    """

    def __init__(self, loader: Any, pacer: Pacer) -> None:
        self._loader, self._pacer = loader, pacer

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            yield batch
            self._pacer.tick(len(batch))

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def drive(
    learn: Callable[[Lesson, dict[str, Any], Pacer], None],
    counter: Callable[[], FlopCounterMode] = plain_counter,
) -> None:
    """Train as wished until standard input ends: the whole of a learner's process.

    The command line ends with the folder and the settings as JSON.

    Args:
        learn: Prepares, calls `Pacer.begin`, and trains for ever with a tick after every batch.
        counter: Makes a counter of matrix products.
    """
    folder, settings = Path(sys.argv[-2]), json.loads(sys.argv[-1])
    del sys.argv[1:]  # some libraries would read them too
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    lesson = Lesson.read(folder / "lesson.npz")
    learn(lesson, settings, Pacer(answers, iter(sys.stdin), counter))


def peak_mb() -> float:
    """Give the most memory that this process ever held, in MiB (resident)."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return round(peak / 1024, 1)
