"""Jobs: long work that somebody asked for, one after another in a thread of its own.

What became of them is kept in memory, of the newest ones only. Work that a stop cuts off is not
taken up again by itself; it is made so that asking for it again does nothing twice.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from recency.errors import RecencyError
from recency.serving.intake.event_checks import wall_clock
from recency.serving.refusals import OverloadedError

logger = logging.getLogger(__name__)
State = Literal["waiting", "running", "done", "failed"]


@dataclass
class Job:
    """Say how some work stands.

    Attributes:
        id: Its name.
        kind: What it does, such as ``import``.
        state: Where it stands.
        begun, ended: Microseconds since 1970 UTC; None before.
        facts: What it has done so far, to be shown as JSON; replaced, never changed in place.
        error: Why it failed.
    """

    id: str
    kind: str
    state: State = "waiting"
    begun: int | None = None
    ended: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


Work = Callable[[Job], None]


class Jobs:
    """Do work one after another.

    Args:
        most_waiting: More than these are refused.
        most_kept: So many are remembered, the newest.
        clock: Microseconds since 1970 UTC.
    """

    def __init__(
        self,
        most_waiting: int = 8,
        most_kept: int = 200,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._most_waiting, self._most_kept, self._clock = most_waiting, most_kept, clock
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: SimpleQueue[tuple[Job, Work]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, name: str, kind: str, work: Work) -> Job:
        """Queue work under a name; it is given its job, to report in.

        Raises:
            OverloadedError: too much waits already.
        """
        with self._lock:
            waiting = sum(one.state == "waiting" for one in self._jobs.values())
            if waiting >= self._most_waiting:
                raise OverloadedError(
                    f"expected at most {self._most_waiting} jobs that wait, found {waiting}; "
                    f"nothing was begun, ask again later."
                )
            job = self._jobs[name] = Job(name, kind)
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recency-jobs", daemon=True)
                self._thread.start()
        self._queue.put((job, work))
        return job

    def get(self, name: str) -> Job | None:
        """Give a job; None for one that is not known any more."""
        return self._jobs.get(name)

    def newest(self, most: int) -> list[Job]:
        """List jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))[:most]

    def _run(self) -> None:
        while True:
            job, work = self._queue.get()
            job.begun, job.state = self._clock(), "running"
            try:
                work(job)
            except RecencyError as error:
                job.error = str(error)
            except BaseException as error:  # also what Rust raises in a damaged file
                logger.exception("job %s (%s) failed", job.id, job.kind)
                job.error = f"an unforeseen error ({type(error).__name__}); the log says more."
            job.ended, job.state = self._clock(), "done" if job.error is None else "failed"

    def _forget(self) -> None:
        """Drop the oldest jobs that have ended."""
        surplus = len(self._jobs) - self._most_kept
        ended = [name for name, one in self._jobs.items() if one.ended is not None]
        for name in ended[: max(0, surplus)]:
            del self._jobs[name]
