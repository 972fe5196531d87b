"""Engine: a recommender joined with an event store, so that an acknowledged event is kept and seen.

The order of things is the order of the log. An event is checked in the caller's thread, committed
in the writer's, applied in the model's, and acknowledged after that: whoever holds the answer can
ask and finds the event in effect. A start loads the model and applies the log from its beginning,
in the same order, so that a killed server answers as it did before.

Which weights answer may change while it runs: see `seats` and `rollout`.

The wall clock is read here and nowhere deeper: for events without a time, for questions without an
instant, and to refuse events from the future.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from recency.asking.likeness import By
from recency.data.catalogue import Catalogue
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, RecencyError
from recency.serving.answering import similar
from recency.serving.intake.event_checks import EventChecks, Stamps, merged, wall_clock
from recency.serving.intake.values import Unit
from recency.serving.limits import Limits
from recency.serving.log.event_store import EventStore
from recency.serving.log.events import Event, ItemChange, Outcome
from recency.serving.log.groups import Group
from recency.serving.model_thread import ModelThread
from recency.serving.models.auditions import seat_of
from recency.serving.models.follower import Follower
from recency.serving.models.gate import GateConfig
from recency.serving.models.item_encoding import ItemEncoding
from recency.serving.models.registry import Registry
from recency.serving.models.rollout import Rollout
from recency.serving.models.seats import Answered, Seat, Seats, Watch
from recency.serving.models.standings import Standing, seated
from recency.serving.models.versions import Facts
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked
from recency.serving.replies import Reply, ready
from recency.serving.snapshots.snapshot_taker import SnapshotConfig, Snapshots
from recency.serving.users.erasure import finish_erasures
from recency.units import parse_duration

Result = TypeVar("Result")
_SNAPSHOTS = SnapshotConfig()


class Engine:
    """Take events and answer questions.

    Args:
        recommender: Fitted or loaded; from now on only the engine may touch it.
        store: Its events; what it holds is applied before the engine answers anything. Closed
            together with the engine.
        clock: Microseconds since 1970 UTC.
        max_skew: How far an event may lie ahead of the clock.
        limits: How much one request may ask for.
        registry: The versions that may take the recommender's place; it is one of them.
        gate: What is asked of a version before it serves, and how much goes into judging.
        snapshots: How often one is taken, beside the registry; None takes none.
    """

    def __init__(
        self,
        recommender: LiveRecommender,
        store: EventStore,
        *,
        clock: Callable[[], int] = wall_clock,
        max_skew: str | float = "5min",
        limits: Limits | None = None,
        registry: Registry | None = None,
        gate: GateConfig | None = None,
        snapshots: SnapshotConfig | None = _SNAPSHOTS,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.checks = EventChecks(
            Vocab(recommender.users.dtype),  # of their kind: recommenders come and go
            Vocab(recommender.items.dtype),
            Stamps(clock),
            parse_duration(max_skew),
            self.limits,
        )
        self.store, self.registry, self._clock = store, registry, clock
        champion, seq = seat_of(recommender, store, registry)
        gate = GateConfig() if gate is None else gate
        self._seats = Seats(champion, judging=gate.judging)
        self._thread: ModelThread[Question, Ranked] = ModelThread(self._answer)
        self._thread.start()
        self._encoding = ItemEncoding(self._thread.run_and_wait, self._seats)
        self._rollout: Rollout | None = None
        if registry is not None:
            run = self._thread.run_and_wait
            self._rollout = Rollout(registry, store, self._seats, run, self.now, gate)
            self._rollout.start()
        store.deliver_to(self._deliver)
        self.snapshots: Snapshots | None = None
        if registry is not None and snapshots is not None:
            kept, call = registry.path / "snapshots", self._thread.call
            self.snapshots = Snapshots(
                kept, lambda: self._seats.champion, call, seq=seq, config=snapshots
            )
            self.snapshots.start()

    @classmethod
    def open(
        cls,
        folder: str | Path,
        events: str | Path | None = None,
        *,
        durability: str = "sync",
        max_underway: int = 100_000,
        **settings: Any,
    ) -> Self:
        """Load the current version of a model and the events that came since.

        Args:
            folder: Written by ``recency fit`` or ``save``, one model or an ensemble; or a registry.
            events: The event store; default ``serve/events.sqlite`` in the folder.
            durability: What an acknowledgement means; see `recency.serving.log.durability`.
            max_underway: Most events that may wait for their acknowledgement at once.
            **settings: As of the constructor.

        Raises:
            FormatError: the folder or the store is damaged, foreign or newer than this version.
            StoreError: another process has the store.
        """
        from recency.loading import load

        registry = Registry.of(folder)
        registry.adopt_home()
        recommender = load(registry.current().folder)
        path = Path(folder) / "serve" / "events.sqlite" if events is None else Path(events)
        path.parent.mkdir(parents=True, exist_ok=True)
        store = EventStore(path, durability=durability, max_waiting=max_underway)
        try:
            engine = cls(recommender, store, registry=registry, **settings)
            finish_erasures(engine)
            return engine
        except BaseException:
            store.close()
            raise

    # --- events --------------------------------------------------------------------------------

    def ingest(self, raws: Sequence[object], unit: Unit = "us") -> Reply[list[Outcome]]:
        """Check events, keep them, show them to the model; then give one outcome each.

        May be called from any thread and from coroutines. A rejected event does not hold up its
        neighbours.

        Args:
            raws: Events as decoded from JSON.
            unit: Unit of timestamps that are numbers.

        Raises:
            OverloadedError: too many events are underway.
            StoppedError: the engine is closed, or its model has failed.
        """
        self._check_sound()
        checked = [self.checks.check(raw, unit) for raw in raws]
        events = [one for one in checked if isinstance(one, Event)]
        if not events:
            return ready([one for one in checked if isinstance(one, Outcome)])
        kept = self.store.append(events)
        if len(events) == len(checked):
            return kept
        return kept.then(lambda outcomes: merged(checked, outcomes))

    def put_items(self, changes: Sequence[ItemChange]) -> Reply[list[Outcome]]:
        """Keep descriptions of items, and show them to the model."""
        self._check_sound()
        return self.store.put_items(changes)

    # --- questions -----------------------------------------------------------------------------

    def recommend(self, question: Question) -> Reply[Ranked]:
        """Rank items; sees every event acknowledged before the call.

        Raises:
            OverloadedError: too many questions wait.
            StoppedError: the engine is closed, or its model has failed.
        """
        self._check_sound()
        return self._thread.ask(question)

    def similar_items(self, item: Id, k: int, by: By = "behaviour") -> Reply[Ranked]:
        """Rank the items most like one."""
        return self.call(lambda model: similar(model, item, k, self.as_of, self.now(), by))

    def search(self, words: str, k: int) -> Reply[Ranked]:
        """Rank the items whose texts are nearest to some words; encoded beside the model."""
        self._check_sound()
        return self._encoding.search(words, k, self.now)

    def call(self, function: Callable[[LiveRecommender], Result]) -> Reply[Result]:
        """Run a function on the recommender, in the thread that owns it."""
        self._check_sound()
        return self._thread.call(lambda: function(self._seats.champion.recommender))

    # --- models --------------------------------------------------------------------------------

    def models(self) -> list[Standing]:
        """Tell of every version what it is and how it does, the oldest first."""
        if self._rollout is None:
            return [seated("champion", self._seats.champion, self._seats, 1.0)]
        return self._rollout.standings()

    def publish(self, name: str, facts: Facts | None = None) -> str:
        """Publish a folder of the registry's ``incoming/``; see `Registry.publish_incoming`.

        Waits for the copy: call it in a thread of its own (``asyncio.to_thread``).
        """
        return self._rolling().registry.publish_incoming(name, facts)

    def promote(self, version: str, reason: str = "", *, force: bool = False) -> Reply[str]:
        """Let a version serve once it is loaded and judged; see `Rollout.promote`."""
        return self._rolling().promote(version, reason, force=force)

    def rollback(self, reason: str = "") -> Reply[str]:
        """Let the previous version serve again, at once; see `Rollout.rollback`."""
        return self._rolling().rollback(reason)

    def challenge(self, version: str, share: float) -> Reply[str]:
        """Let a version answer a share of the users; see `Rollout.challenge`."""
        return self._rolling().challenge(version, share)

    def watch(
        self,
        watch: Watch | None,
        answered: Answered | None = None,
        swapped: Callable[[float], None] | None = None,
    ) -> None:
        """Have somebody told of groups applied, questions answered, models changed; see `Seats`."""
        self._seats.watch, self._seats.answered, self._seats.swapped = watch, answered, swapped

    def catch_up(self) -> None:
        """Show the log to the versions that are kept in step without serving; they do it anyway.

        Who has had a user erased calls this to be sure that none of them holds the user any more.
        """
        if self._rollout is not None:
            self._rollout.catch_up()

    # --- how it stands -------------------------------------------------------------------------

    @property
    def as_of(self) -> AsOf:
        """Name the last event applied."""
        return self._seats.champion.as_of

    @property
    def champion(self) -> Seat:
        """Give the seat that answers whom no challenger does, for its counts."""
        return self._seats.champion

    @property
    def follower(self) -> Follower:
        """Give what keeps the champion in step with the store, for its counts."""
        return self._seats.champion.follower

    @property
    def model_version(self) -> str:
        """Name the weights in use."""
        return self._seats.champion.recommender.model_version

    @property
    def cut(self) -> int | None:
        """Give the end of the events that weights learned from, microseconds."""
        return self._seats.champion.recommender.cut

    @property
    def catalogue(self) -> Catalogue | None:
        """Give what is known about items; a catalogue never changes, it is replaced."""
        return self._seats.champion.recommender.catalogue

    @property
    def n_users(self) -> int:
        """Count the users known, without those that were erased."""
        users = self._seats.champion.recommender.users
        return len(users) - users.n_retired

    @property
    def n_items(self) -> int:
        """Count the items known."""
        return len(self._seats.champion.recommender.items)

    @property
    def n_underway(self) -> int:
        """Count the events handed in but not yet acknowledged."""
        return self.store.underway

    @property
    def n_swaps(self) -> int:
        """Count the changes of the champion."""
        return self._seats.n_swaps

    @property
    def n_waiting(self) -> int:
        """Count the questions that wait."""
        return self._thread.waiting

    @property
    def last_seq(self) -> int:
        """Give the newest entry of the log, applied or not."""
        return self.store.last_seq

    @property
    def fault(self) -> RecencyError | None:
        """Say why new events cannot be taken now, None when they can."""
        return self._seats.broken or self.store.failing

    def now(self) -> int:
        """Give the clock's time, or just after the newest event where a sender's clock is ahead.

        Otherwise an acknowledged event could lie after the question, and not be seen.
        """
        newest = self.as_of.time
        return self._clock() if newest is None else max(self._clock(), newest + 1)

    def close(self) -> None:
        """Finish what was taken, then stop."""
        if self._rollout is not None:
            self._rollout.close()
        self.store.close()
        if self.snapshots is not None:
            self.snapshots.close()
        self._encoding.close()
        self._thread.close()

    def _check_sound(self) -> None:
        if self._seats.broken is not None:
            raise self._seats.broken

    def _rolling(self) -> Rollout:
        if self._rollout is None:
            raise ConfigError(
                "this engine was given a model, not its folder: it has no versions to change to. "
                "Engine.open serves a folder."
            )
        return self._rollout

    def _answer(self, questions: list[Question]) -> list[Ranked | Exception]:
        return self._seats.answer(questions, self.now())

    def _deliver(self, group: Group) -> None:
        self._thread.run_job(lambda: self._seats.apply(group))
