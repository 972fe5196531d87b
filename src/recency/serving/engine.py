"""Engine: a recommender joined with an event store, so that an acknowledged event is kept and seen.

The order of things is the order of the log. An event is checked in the caller's thread, committed
in the writer's, applied in the model's, and acknowledged after that: whoever holds the answer can
ask and finds the event in effect. A start loads the model and applies the log from its beginning,
in the same order, so that a killed server answers as it did before.

The wall clock is read here and nowhere deeper: for events without a time, for questions without an
instant, and to refuse events from the future.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.answering import answer_all, similar
from recency.serving.event_checks import EventChecks, Stamps, wall_clock
from recency.serving.event_store import EventStore
from recency.serving.events import Event, ItemChange, Outcome
from recency.serving.follower import Follower
from recency.serving.groups import Group
from recency.serving.limits import Limits
from recency.serving.model_thread import ModelThread
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked
from recency.serving.replies import Reply, ready
from recency.serving.values import Unit
from recency.units import parse_duration

Result = TypeVar("Result")


class Engine:
    """Take events and answer questions.

    Args:
        recommender: Fitted or loaded; from now on only the engine may touch it.
        store: Its events; what it holds is applied before the engine answers anything. Closed
            together with the engine.
        clock: Microseconds since 1970 UTC.
        max_skew: How far an event may lie ahead of the clock.
        limits: How much one request may ask for.
    """

    def __init__(
        self,
        recommender: LiveRecommender,
        store: EventStore,
        *,
        clock: Callable[[], int] = wall_clock,
        max_skew: str | float = "5min",
        limits: Limits | None = None,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.checks = EventChecks(
            recommender.users,
            recommender.items,
            Stamps(clock),
            parse_duration(max_skew),
            self.limits,
        )
        self._recommender, self._store, self._clock = recommender, store, clock
        self._follower = Follower(recommender, store)
        self._follower.replay()
        self._thread: ModelThread[Question, Ranked] = ModelThread(self._answer)
        self._thread.start()
        store.deliver_to(self._deliver)

    @classmethod
    def open(cls, folder: str | Path, events: str | Path | None = None, **settings: Any) -> Self:
        """Load a model folder and the events that came since.

        Args:
            folder: Written by ``recency fit`` or ``save``: one model or an ensemble.
            events: The event store; default ``serve/events.sqlite`` in the folder.
            **settings: As of the constructor.

        Raises:
            FormatError: the folder or the store is damaged, foreign or newer than this version.
            StoreError: another process has the store.
        """
        from recency.loading import load

        recommender = load(folder)
        path = Path(folder) / "serve" / "events.sqlite" if events is None else Path(events)
        path.parent.mkdir(parents=True, exist_ok=True)
        store = EventStore(path)
        try:
            return cls(recommender, store, **settings)
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
        kept = self._store.append(events)
        if len(events) == len(checked):
            return kept
        return kept.then(lambda outcomes: _merged(checked, outcomes))

    def put_items(self, changes: Sequence[ItemChange]) -> Reply[list[Outcome]]:
        """Keep descriptions of items, and show them to the model."""
        self._check_sound()
        return self._store.put_items(changes)

    # --- questions -----------------------------------------------------------------------------

    def recommend(self, question: Question) -> Reply[Ranked]:
        """Rank items; sees every event acknowledged before the call.

        Raises:
            OverloadedError: too many questions wait.
            StoppedError: the engine is closed, or its model has failed.
        """
        self._check_sound()
        return self._thread.ask(question)

    def similar_items(self, item: Id, k: int) -> Reply[Ranked]:
        """Rank the items most like one."""
        return self.call(lambda model: similar(model, item, k, self.as_of))

    def call(self, function: Callable[[LiveRecommender], Result]) -> Reply[Result]:
        """Run a function on the recommender, in the thread that owns it."""
        self._check_sound()
        return self._thread.call(lambda: function(self._recommender))

    # --- how it stands -------------------------------------------------------------------------

    @property
    def as_of(self) -> AsOf:
        """Name the last event applied."""
        return self._follower.as_of

    @property
    def follower(self) -> Follower:
        """Give what keeps the model in step with the store, for its counts."""
        return self._follower

    @property
    def model_version(self) -> str:
        """Name the weights in use."""
        return self._recommender.model_version

    @property
    def cut(self) -> int | None:
        """Give the end of the events that weights learned from, microseconds."""
        return self._recommender.cut

    @property
    def catalogue(self) -> Catalogue | None:
        """Give what is known about items; a catalogue never changes, it is replaced."""
        return self._recommender.catalogue

    @property
    def n_users(self) -> int:
        """Count the users known."""
        return len(self._recommender.users)

    @property
    def n_items(self) -> int:
        """Count the items known."""
        return len(self._recommender.items)

    @property
    def n_underway(self) -> int:
        """Count the events handed in but not yet acknowledged."""
        return self._store.underway

    @property
    def n_waiting(self) -> int:
        """Count the questions that wait."""
        return self._thread.waiting

    @property
    def last_seq(self) -> int:
        """Give the newest entry of the log, applied or not."""
        return self._store.last_seq

    @property
    def fault(self) -> RecencyError | None:
        """Say why new events cannot be taken now, None when they can."""
        return self._follower.broken or self._store.failing

    def now(self) -> int:
        """Give the clock's time, or just after the newest event where a sender's clock is ahead.

        Otherwise an acknowledged event could lie after the question, and not be seen.
        """
        newest = self.as_of.time
        return self._clock() if newest is None else max(self._clock(), newest + 1)

    def close(self) -> None:
        """Finish what was taken, then stop."""
        self._store.close()
        self._thread.close()

    def _check_sound(self) -> None:
        if self._follower.broken is not None:
            raise self._follower.broken

    def _answer(self, questions: list[Question]) -> list[Ranked | Exception]:
        return answer_all(self._recommender, questions, self.now(), self.as_of)

    def _deliver(self, group: Group) -> None:
        self._thread.run_job(lambda: self._follower.apply(group))


def _merged(checked: Sequence[Event | Outcome], kept: Sequence[Outcome]) -> list[Outcome]:
    """Put the outcomes of the events that were kept between those of the rejected ones."""
    rest = iter(kept)
    return [one if isinstance(one, Outcome) else next(rest) for one in checked]
