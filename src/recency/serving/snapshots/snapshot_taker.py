"""Snapshots: the thread that takes one when it is due, while the recommender answers.

Copies are made by short jobs of the model's thread, one at a time, so that questions get their turn
in between; joining, sorting, writing and syncing are done here.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from recency.errors import ConfigError, raise_all
from recency.serving.questions import AsOf, LiveRecommender
from recency.serving.refusals import OverloadedError, StoppedError
from recency.serving.replies import Reply
from recency.serving.snapshots.snapshots import Origin, keep_newest, remove_before, write

logger = logging.getLogger(__name__)
Call = Callable[[Callable[[], Any]], Reply[Any]]  # runs a function in the model's thread
_LOOK_SECONDS = 0.5
_FAILED_SECONDS = 60.0  # pause after a failure, such as a full disk
_JOB_SECONDS = 60.0


@dataclass(frozen=True)
class SnapshotConfig:
    """Choose how often snapshots are taken and how many are kept.

    Attributes:
        every_events: Entries of the log after which the next is due.
        every_seconds: Seconds after which it is, if there is any new entry.
        at_stop: New entries from which on one is taken at a graceful stop; fewer are read again
            in less time than that takes.
        keep: Newest ones kept, of each model.
        rest: Seconds between two for each second that the last one took; a server that takes events
            in faster than they are written down has more to read again at its next start.
    """

    every_events: int = 100_000
    every_seconds: float = 900.0
    at_stop: int = 1_000
    keep: int = 2
    rest: float = 20.0

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"SnapshotConfig({name}={value!r}): expected more than 0."
            for name, value in vars(self).items()
            if value <= 0
        ]
        raise_all(faults, ConfigError)


class Seated(Protocol):
    """What a snapshot is taken of; see `recency.serving.models.seats.Seat`."""

    @property
    def recommender(self) -> LiveRecommender:
        """Give the recommender: a `SequenceRecommender` or an `Ensemble`."""
        ...

    @property
    def origin(self) -> Origin:
        """Describe it as its folder was read."""
        ...

    @property
    def as_of(self) -> AsOf:
        """Name the last entry of the log applied."""
        ...


class SupersededError(Exception):
    """Another recommender answers now; what was begun of the one before is left."""


class Snapshots:
    """Take snapshots of the recommender that answers.

    Args:
        folder: ``FOLDER/serve/snapshots``; made when the first one is taken.
        champion: Gives who answers.
        call: Runs a function in the thread that owns it.
        seq: Place in the log of the snapshot that it was restored from, 0 for none.
        config: How often.

    Attributes:
        seq: Place in the log of the newest one, 0 when there is none.
        taken: Instant of the newest one (`time.monotonic`), None when this process took none.
        seconds: What the newest one took.
    """

    def __init__(
        self,
        folder: str | Path,
        champion: Callable[[], Seated],
        call: Call,
        *,
        seq: int = 0,
        config: SnapshotConfig | None = None,
    ) -> None:
        self._folder, self._champion, self._call = Path(folder), champion, call
        self._config = SnapshotConfig() if config is None else config
        self._ending, self._turn = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name="recency-snapshots", daemon=True)
        self._of = champion().origin.model_version
        self._not_before = 0
        self._looked = time.monotonic()
        self.seq = seq
        self.taken: float | None = None
        self.seconds = 0.0

    def start(self) -> None:
        """Take one whenever it is due, from now on."""
        self._thread.start()

    def take_if_due(self) -> Path | None:
        """Take a snapshot if so much has happened since the last one that one is due."""
        new, waited = self._n_new(), time.monotonic() - self._looked
        if waited < self._config.rest * self.seconds:
            return None
        if new >= self._config.every_events or (new and waited >= self._config.every_seconds):
            return self.take()
        return None

    def take(self) -> Path:
        """Take a snapshot now, and remove those that are too many; waits until it is on the disk.

        Not to be called in the model's thread, which it waits for.

        Raises:
            StoppedError: the model's thread has ended.
            SupersededError: another recommender took over meanwhile.
            OSError: it could not be written; those before it stay.
        """
        with self._turn:
            began = self._looked = time.monotonic()
            seat = self._champion()
            path = write(
                self._folder,
                seat.recommender,
                lambda: seat.as_of.seq,
                seat.origin,
                partial(self._run, seat),
            )
            self._of, self.seq = seat.origin.model_version, int(path.name.rpartition("-")[2])
            self.taken, self.seconds = time.monotonic(), time.monotonic() - began
            keep_newest(self._folder, self._of, self._config.keep)
            remove_before(self._folder, self._not_before)
        logger.info("snapshot %s taken in %.2f s", path.name, self.seconds)
        return path

    def remove_before(self, seq: int) -> None:
        """Remove what was taken before a place of the log, now and when it is underway.

        An erased user is in it: the place is that of the erasure.
        """
        self._not_before = max(self._not_before, seq)
        with self._turn:
            remove_before(self._folder, self._not_before)

    def close(self) -> None:
        """End the thread; take a last snapshot where there is much that is new.

        The model's thread has to be running still, and to have applied all it will.
        """
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._n_new() >= self._config.at_stop:
            self._try(self.take)

    def _n_new(self) -> int:
        """Count the entries that the newest snapshot of who answers lacks."""
        seat = self._champion()
        known = self.seq if seat.origin.model_version == self._of else 0
        return seat.as_of.seq - known

    def _work(self) -> None:
        pause = _LOOK_SECONDS
        while not self._ending.wait(pause):
            pause = _LOOK_SECONDS if self._try(self.take_if_due) else _FAILED_SECONDS

    def _try(self, take: Callable[[], object]) -> bool:
        """Take one; a failure costs a snapshot, and the start some seconds, but no event."""
        try:
            take()
        except StoppedError:
            self._ending.set()
        except SupersededError:
            logger.info("no snapshot was taken, since another version took over meanwhile")
        except Exception:
            logger.exception("no snapshot could be taken; the event log holds everything")
            return False
        return True

    def _run(self, seat: Seated, function: Callable[[], Any]) -> Any:
        """Run a function in the model's thread, however much waits there."""

        def guarded() -> Any:  # a seat that answers no more belongs to another thread
            if self._champion() is not seat:
                raise SupersededError
            return function()

        while True:
            try:
                return self._call(guarded).result(_JOB_SECONDS)
            except OverloadedError:
                time.sleep(0.01)
