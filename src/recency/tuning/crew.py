"""The crew: worker processes, and one queue of what they tell."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.tuning.judging import Objective

Message = dict[str, Any]


@dataclass(eq=False)
class Member:
    """One worker process.

    Attributes:
        process: Talks JSON, see `recency.tuning.worker`.
        complaints: What it writes on standard error.
        trial: What it works on, None while it waits.
        listener: Reads its standard output.
    """

    process: "subprocess.Popen[str]"
    complaints: IO[bytes]
    trial: Any = None
    listener: threading.Thread | None = None

    def say(self, **message: Any) -> None:
        """Tell it something; a worker that is gone is noticed by its silence."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return

    def last_words(self) -> str:
        """Give the end of what it complained of, and how its process ended."""
        code = self.process.wait()
        self.complaints.seek(0)
        said = self.complaints.read().decode("utf-8", "replace").strip()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the process of the trial ended with {how}. {said[-2000:]}".strip()

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        if self.listener is not None:
            self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout, self.complaints):
            if pipe is not None:
                pipe.close()


class Crew:
    """Hold the workers of a study.

    Args:
        log: A file of events, or a prepared folder, that each worker reads.
        objective: What trials are judged by.
        size: Number of workers; each takes its share of the processor's cores.
    """

    def __init__(self, log: Path, objective: Objective, size: int) -> None:
        self._first = {
            "log": str(log.resolve()),
            "folds": objective.folds,
            "horizon": objective.horizon,
            "threads": max(1, (os.cpu_count() or 1) // size),
        }
        self._told: queue.Queue[tuple[Member, Message | None]] = queue.Queue()
        self._members: list[Member] = []
        for _ in range(size):
            self.hire()

    def hire(self) -> None:
        """Start one more worker."""
        complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        process = subprocess.Popen(
            [sys.executable, "-m", "recency.tuning.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            start_new_session=True,  # an interrupt from the keyboard is for the study alone
        )
        member = Member(process, complaints)
        self._members.append(member)
        member.say(**self._first)
        member.listener = threading.Thread(target=self._listen, args=(member,), daemon=True)
        member.listener.start()

    def dismiss(self, member: Member) -> None:
        """End a worker."""
        self._members.remove(member)
        member.end()

    def next(self) -> tuple[Member, Message | None]:
        """Wait for what a worker tells next; None is told by one that is gone."""
        while True:
            member, message = self._told.get()
            if member in self._members:  # not one that was dismissed
                return member, message

    def close(self) -> None:
        """End all workers."""
        for member in list(self._members):
            self.dismiss(member)

    def _listen(self, member: Member) -> None:
        assert member.process.stdout is not None
        try:
            for line in member.process.stdout:
                self._told.put((member, json.loads(line)))
        except ValueError:  # a line broken off, or a pipe closed by `end`
            pass
        self._told.put((member, None))


@contextmanager
def crew_for(log: Log | Prepared, objective: Objective, size: int, folder: Path) -> Iterator[Crew]:
    """Start workers on a log, and end them with the block.

    Args:
        log: Lies in a file of the folder meanwhile, from which all workers read it; a prepared one
            lies where it is, and all workers share its pages.
        objective: What trials are judged by.
        size: Number of workers.
        folder: Where the file may lie.
    """
    path = folder / "events.arrow"
    path.unlink(missing_ok=True)  # a worker of a killed study may still read the old one
    if isinstance(log, Log):
        log.events.write_ipc(path)
    crew = Crew(path if isinstance(log, Log) else log.folder, objective, size)
    try:
        yield crew
    finally:
        crew.close()
        path.unlink(missing_ok=True)
