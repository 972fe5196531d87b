"""Rollout: versions are loaded, judged, seated and unseated while the champion serves.

One background thread loads a version on objects of its own, replays the log on them and judges them
(`gate`). Then one short job in the model's thread applies the last entries and changes the
champion: no request fails, and none waits for a load. The seat before stays in step, so that going
back is the same short job. A candidate of which too little is known yet is on trial: it answers
nobody, but it is shown every event and judged on those that the champion is judged on.

What other processes publish or promote is noticed by looking at the registry once a second.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from recency.errors import ConfigError, RecencyError
from recency.serving.log.event_store import EventStore
from recency.serving.models.auditions import Auditions
from recency.serving.models.bench import Bench
from recency.serving.models.gate import GateConfig, score_fault
from recency.serving.models.live_scores import Comparison
from recency.serving.models.registry import Registry
from recency.serving.models.seats import Seat, Seats
from recency.serving.models.standings import Standing, standings
from recency.serving.refusals import RefusedModelError, StoppedError
from recency.serving.replies import Reply, settle

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_LOOK_SECONDS = 1.0


class Rollout(threading.Thread):
    """Change the champion without anybody noticing.

    Args:
        registry: Holds the versions.
        store: The event log.
        seats: Who serves; changed in the model's thread only.
        run: Runs a function in the model's thread and waits for its result.
        now: Instant of questions that name none, microseconds.
        gate: What is asked of a version.
    """

    def __init__(
        self,
        registry: Registry,
        store: EventStore,
        seats: Seats,
        run: Callable[[Callable[[], object]], object],
        now: Callable[[], int],
        gate: GateConfig,
    ) -> None:
        super().__init__(name="recency-rollout", daemon=True)
        self.registry, self._seats, self._run = registry, seats, run
        self._gate = gate
        self._auditions = Auditions(registry, store, seats, run, now, self._gate)
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._changing = threading.RLock()  # held while the champion and the pointer change
        self._closing = False
        self._stamp = registry.stamp()
        self._bench = Bench()

    # --- what people ask for -------------------------------------------------------------------

    def promote(self, version: str, reason: str = "", *, force: bool = False) -> Reply[str]:
        """Let a version take over as soon as it is loaded and the gate has let it pass.

        Args:
            version: Of the registry.
            reason: Kept in the history.
            force: Whether to let it pass with a worse score; what cannot serve is refused still.

        Returns:
            The version. It raises a RefusedModelError where the gate refuses.

        Raises:
            UnknownIdError: there is no such version.
        """
        self.registry.version(version)
        return self._later(lambda: self._promoted(version, reason, force))

    def rollback(self, reason: str = "") -> Reply[str]:
        """Let the previous champion serve again; at once, because it is kept in step.

        Returns:
            The version that serves now.

        Raises:
            ConfigError: there is none.
        """
        if self._bench.previous is None:
            before = self.registry.pointer().previous
            if before is None:
                raise ConfigError("there is no version to go back to: only one has ever served.")
            return self.promote(before, reason or "rolled back", force=True)
        reply: Reply[str] = Reply()
        # Not among the tasks: one that loads a model would be waited for.
        task = self._answering(reply, lambda: self._went_back(reason))
        threading.Thread(target=task, name="recency-rollback", daemon=True).start()
        return reply

    def challenge(self, version: str, share: float) -> Reply[str]:
        """Let a version answer a share of the users beside the champion, always the same ones.

        Args:
            version: Of the registry.
            share: In [0, 1); 0 answers nobody, but compares.

        Returns:
            The version. It raises a RefusedModelError where the version cannot serve.

        Raises:
            ConfigError: the share is out of range, or the version is the champion.
            UnknownIdError: there is no such version.
        """
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
            raise ConfigError(
                f"expected a share of the users of at least 0 and less than 1, found {share!r}."
            )
        if version == self._seats.champion.model_version:
            raise ConfigError(f"{version} is the champion; it cannot challenge itself.")
        self.registry.version(version)
        return self._later(lambda: self._challenged(version, share))

    def standings(self) -> list[Standing]:
        """Tell of every version what it is and how it does, the oldest first."""
        return standings(self.registry.versions(), self._seats, self._bench)

    def close(self) -> None:
        """End; a version that is being loaded is left."""
        self._closing = True
        self._auditions.stop()
        self._tasks.put(None)
        if self.is_alive():
            self.join()

    def catch_up(self) -> None:
        """Bring the seats that do not serve in step with the log."""
        self._bench.catch_up(self._seats.champion.scores)

    # --- the background thread -----------------------------------------------------------------

    def run(self) -> None:
        """Do what is asked for, and look around once a second."""
        looked = time.monotonic()
        while not self._closing:
            wait = max(0.0, looked + _LOOK_SECONDS - time.monotonic())
            try:
                task = self._tasks.get(timeout=wait)
            except queue.Empty:
                task = self._look
                looked = time.monotonic()
            if task is None:
                return
            try:
                task()
            except Exception:
                logger.exception("the rollout met an unforeseen error")

    def _look(self) -> None:
        """Follow the log, notice what others published or promoted, judge who is on trial."""
        self._bench.let_go((self._seats.champion, self._seats.challenger))
        self.catch_up()
        stamp = self.registry.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._follow_pointer()
        if self._seats.challenger is None and (self._bench.asks or self._bench.trial is None):
            self._try_candidates()

    def _follow_pointer(self) -> None:
        with self._changing:
            wanted, serving = self.registry.pointer().version, self._seats.champion.model_version
        if wanted in (None, serving):
            return
        assert wanted is not None
        try:
            self._promoted(wanted, "", force=False)
        except RecencyError as error:
            logger.error("%s is not promoted: %s", wanted, error)
            self.registry.promote(serving, f"put back, because {wanted} cannot serve: {error}")

    def _try_candidates(self) -> None:
        """Let the newest candidate take over, go on trial, or be refused."""
        newest = next(iter(self.registry.candidates()), None)
        trial = self._bench.trial
        if trial is not None:
            if self._decided(trial):
                return
            overdue = time.monotonic() - self._bench.since > self._gate.trial_seconds
            if newest is None or newest.version == trial.model_version or not overdue:
                return
            self.registry.refuse(trial.model_version, "too few events to judge it in time")
            self._bench.leave(trial)
        if newest is None:
            return
        try:
            seat = self._auditions.seat(newest.version)
        except RecencyError as error:
            logger.warning("%s", error)
            return
        if not self._decided(seat):
            self.registry.history.note("tried", newest.version, "too few events to judge it yet")
            self._bench.try_out(seat, asks=True)

    def _decided(self, seat: Seat) -> bool:
        """Promote or refuse a candidate, if enough is known to judge it."""
        found = self._compared(seat)
        if found.n < self._gate.least:
            return False
        fault = score_fault(found, self._gate)
        if fault is None:
            self._switch(seat, f"not worse on {found.n} events: {_told(found)}")
        else:
            self.registry.refuse(seat.model_version, fault)
            self._bench.leave(seat)
        return True

    # --- changes -------------------------------------------------------------------------------

    def _promoted(self, version: str, reason: str, force: bool) -> str:
        if version == self._seats.champion.model_version:
            return version
        seat = self._seated(version) or self._auditions.seat(version, scored=not force)
        if not force:
            fault = score_fault(self._compared(seat), self._gate)
            if fault is not None:
                if seat is not self._seats.challenger:
                    self._bench.leave(seat)
                self.registry.refuse(version, fault)
                raise RefusedModelError(f"version {version} was refused: {fault}")
        self._switch(seat, reason)
        return version

    def _went_back(self, reason: str) -> str:
        with self._changing:
            if self._bench.previous is None:
                raise ConfigError("there is no version to go back to any more.")
            self._switch(self._bench.previous, reason or "rolled back")
            return self._seats.champion.model_version

    def _challenged(self, version: str, share: float) -> str:
        seat = self._seated(version) or self._auditions.seat(version)
        with self._changing:
            before = self._seats.challenger
            self._run(lambda: self._seats.challenge(seat if share else None, share))
            if before is not None and before is not seat:
                self._bench.leave(before)
            if share:
                self._bench.leave(seat, for_good=False)
            else:
                self._bench.try_out(seat, asks=False)
        self.registry.history.note("challenged", version, f"share {share:g} of the users")
        return version

    def _switch(self, seat: Seat, reason: str) -> None:
        """Change the champion in memory, then the pointer on the disk."""
        with self._changing:
            self.registry.version(seat.model_version)  # it may have been removed meanwhile
            before = self._seats.champion
            self._run(lambda: self._seats.promote(seat))
            self._bench.step_back(before, for_whom=seat)
            self.registry.promote(seat.model_version, reason)
            self._stamp = self.registry.stamp()
        logger.info("version %s serves in place of %s", seat.model_version, before.model_version)

    def _seated(self, version: str) -> Seat | None:
        """Find a version among those that are in step already."""
        challenger = self._seats.challenger
        if challenger is not None and challenger.model_version == version:
            return challenger
        return self._bench.find(version)

    def _compared(self, seat: Seat) -> Comparison:
        return seat.scores.compare(self._seats.champion.scores)

    def _later(self, work: Callable[[], str]) -> Reply[str]:
        if self._closing:
            raise StoppedError("the server is stopping: nothing was changed.")
        reply: Reply[str] = Reply()
        self._tasks.put(self._answering(reply, work))
        return reply

    def _answering(self, reply: Reply[str], work: Callable[[], str]) -> Callable[[], None]:
        def task() -> None:
            try:
                settle([(reply, work())])
            except Exception as error:
                settle([(reply, error)])

        return task


def _told(found: Comparison) -> str:
    return f"NDCG@10 {found.ndcg:.4f} beside {found.other:.4f}"
