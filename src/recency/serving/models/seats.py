"""Seats: recommenders that serve, each kept in step with the event log.

A seat is one recommender with the follower that shows it the log. The champion answers; a
challenger answers for a share of the users, the same ones as long as it challenges. Each committed
group is applied to both before it is acknowledged, so that everybody sees what was acknowledged.
A list of questions is parted by seat, and each answer names the seat's weights: no answer mixes
two. States lie in the recommender, so they belong to its weights.

Seats that serve are touched by the model's thread only. Others, such as the previous champion,
belong to whoever holds their lock and catches up (`recency.serving.models.rollout`).
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

from recency.data.vocab import Id
from recency.serving.answering import answer_all
from recency.serving.log.event_store import EventStore
from recency.serving.log.groups import Group
from recency.serving.models.follower import Follower, with_refusal
from recency.serving.models.item_rows import ItemRows
from recency.serving.models.live_scores import LiveScores
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked
from recency.serving.refusals import StoppedError
from recency.serving.snapshots.snapshots import Origin

logger = logging.getLogger(__name__)
Watch = Callable[[Group, float], None]
Answered = Callable[[int, float], None]
Asked = tuple[Question, int]  # a question, and how many items its answer had


class Seat:
    """Hold a recommender and what keeps it in step.

    Args:
        recommender: As its folder was written.
        store: The event log.
        origin: The same, where it was restored from a snapshot since; what snapshots belong to.
        rows: Of the recommender, likewise; None makes them anew.

    Attributes:
        rows: Makes rows of items that are described.
        lock: Held by who catches up while the seat does not serve.
    """

    def __init__(
        self,
        recommender: LiveRecommender,
        store: EventStore,
        origin: Origin | None = None,
        rows: ItemRows | None = None,
    ) -> None:
        self.recommender = recommender
        self.origin = Origin.of(recommender, store.log_id) if origin is None else origin
        self.follower = Follower(recommender, store)
        self.rows = ItemRows(recommender) if rows is None else rows
        self.follower.described = self.rows.tell
        self.lock = threading.Lock()

    @property
    def model_version(self) -> str:
        """Name the weights."""
        return self.recommender.model_version

    @property
    def as_of(self) -> AsOf:
        """Name the last event applied."""
        return self.follower.as_of

    @property
    def scores(self) -> LiveScores:
        """Give what the weights were worth on the newest events."""
        return self.follower.scores

    def catch_up(self, judged: Collection[int] = ()) -> None:
        """Apply what the log holds more; judge the weights on some of it just before.

        Whoever is in a hurry leaves the rows of items described just now to `ItemEncoding`.
        """
        with self.lock:
            self.follower.catch_up(judged)
            if not self.follower.in_a_hurry:
                self.rows.settle()

    @property
    def lags(self) -> bool:
        """Tell whether a question would first have to count many events."""
        recalls = (one.recall for one in self.recommender.live.models)
        return any(one is not None and one.lags for one in recalls)

    def retire(self) -> None:
        """Let go of all that is known, so that its memory is free now; nobody may ask any more.

        Live models refer to each other in a circle, and what a server holds since its start is left
        alone by Python's search for circles.
        """
        for one in self.recommender.live.models:
            vars(one).clear()


class Seats:
    """Share questions and events out to the seats that serve.

    Args:
        champion: Answers whom no challenger does.
        judging: Share of the model thread's time, in [0, 1], that may go into judging weights on
            events before they are applied; 1 judges every event.
        asked: Newest questions kept, for warming up a candidate.

    Attributes:
        champion, challenger: Those who serve.
        share: Of the users that the challenger answers, in [0, 1].
        watch: Told of each group applied, with the seconds that took; None for nobody.
        answered: Told how many questions were answered together, and of the seconds.
        changed: Told of each seat that may have rows to make, in the model's thread.
        swapped: Told of each change of the champion, with the seconds for which others waited.
        n_swaps: Such changes.
        broken: Why nothing can be applied any more; None as long as all is well.
        asked: The newest questions, the oldest first; in memory only.
    """

    def __init__(self, champion: Seat, *, judging: float = 0.05, asked: int = 256) -> None:
        self.champion = champion
        self.challenger: Seat | None = None
        self.share = 0.0
        self.watch: Watch | None = None
        self.answered: Answered | None = None
        self.swapped: Callable[[float], None] | None = None
        self.changed: Callable[[Seat], None] | None = None
        self.n_swaps = 0
        self.broken: StoppedError | None = None
        self.asked: deque[Asked] = deque(maxlen=asked)
        self._judging, self._judge_at = judging, 0.0

    # --- events --------------------------------------------------------------------------------

    def apply(self, group: Group) -> None:
        """Apply a committed group to all seats that serve, then acknowledge it."""
        if self.broken is not None:
            group.fail(self.broken)
            return
        started = time.perf_counter()
        judged = self._chosen(group, started)
        spent = self.champion.scores.seconds
        try:
            refused = self.champion.follower.take(group, judged)
        except Exception as error:
            logger.exception("the model failed on committed events")
            self.broken = StoppedError(
                f"the model failed on an event that is kept: {type(error).__name__}: {error}. "
                f"Restart the server: it loads the model anew and applies the event store."
            )
            group.fail(self.broken)
            return
        self._apply_to_challenger(group, judged)
        for _, change in group.changes:
            if change.kind == "erase":
                self.asked = deque(
                    (one for one in self.asked if one[0].user != change.user_id),
                    self.asked.maxlen,
                )
        if judged and self._judging:
            spent = self.champion.scores.seconds - spent
            self._judge_at = time.perf_counter() + spent / self._judging
        for append in group.appends if refused else ():
            append.outcomes = [with_refusal(outcome, refused) for outcome in append.outcomes]
        if self.watch is not None:
            self.watch(group, time.perf_counter() - started)
        group.resolve()
        self._look_after(self.champion, self.challenger)

    def _apply_to_challenger(self, group: Group, judged: Collection[int]) -> None:
        if self.challenger is None:
            return
        try:
            self.challenger.follower.take(group, judged)
        except Exception:
            logger.exception("challenger %s failed and is out", self.challenger.model_version)
            self.challenger, self.share = None, 0.0

    def _chosen(self, group: Group, now: float) -> Collection[int]:
        """Choose events to judge by, as the time allows."""
        if self._judging >= 1:
            return {seq for seq, _ in group.events}
        if not group.events or not self._judging or now < self._judge_at:
            return ()
        if self.champion.lags:  # many events would wait for one to be judged
            return ()
        return {group.events[0][0]}

    # --- questions -----------------------------------------------------------------------------

    def answer(self, questions: Sequence[Question], now: int) -> list[Ranked | Exception]:
        """Answer each question by the seat of its user, or give the error that stands in its way.

        Args:
            questions: In any order.
            now: Instant of the questions that name none, microseconds.
        """
        started = time.perf_counter()
        answers = self._answers(questions, now)
        if self.answered is not None:
            self.answered(len(questions), time.perf_counter() - started)
        return answers

    def _answers(self, questions: Sequence[Question], now: int) -> list[Ranked | Exception]:
        if self.challenger is None or not self.share:
            return self._by_champion(questions, now)
        challenged = [self._is_challenged(question.user) for question in questions]
        parts = {
            True: _answered_by(self.challenger, _chosen_of(questions, challenged, True), now),
            False: self._by_champion(_chosen_of(questions, challenged, False), now),
        }
        rest = {which: iter(answers) for which, answers in parts.items()}
        return [next(rest[which]) for which in challenged]

    def _by_champion(self, questions: Sequence[Question], now: int) -> list[Ranked | Exception]:
        answers = _answered_by(self.champion, questions, now)
        self.asked.extend(
            (question, len(answer.items))
            for question, answer in zip(questions, answers, strict=True)
            if isinstance(answer, Ranked)
        )
        return answers

    def _is_challenged(self, user: Id | None) -> bool:
        """Draw a user's lot: the same one as long as the same weights challenge."""
        if user is None or self.challenger is None:
            return False
        salt = self.challenger.model_version.encode()
        lot = hashlib.blake2b(repr(user).encode(), digest_size=8, salt=salt[:16]).digest()
        return int.from_bytes(lot) < self.share * 2**64

    # --- changes of seats ----------------------------------------------------------------------

    def promote(self, seat: Seat) -> Seat:
        """Let a seat answer from now on, and give the one that did; in the model's thread."""
        started = time.perf_counter()
        self._take_in(seat)
        if seat is self.challenger:
            self.challenger, self.share = None, 0.0
        before, self.champion = self.champion, seat
        self._look_after(seat)
        self.n_swaps += 1
        if self.swapped is not None:
            self.swapped(time.perf_counter() - started)
        return before

    def challenge(self, seat: Seat | None, share: float = 0.0) -> None:
        """Let a seat answer for a share of the users, or nobody; in the model's thread."""
        if seat is not None:
            self._take_in(seat)
        self.challenger, self.share = seat, 0.0 if seat is None else share
        self._look_after(seat)

    def serves(self, seat: object) -> bool:
        """Tell whether a seat answers anybody; in the model's thread."""
        return seat is self.champion or seat is self.challenger

    def _look_after(self, *seats: Seat | None) -> None:
        for seat in seats:
            if seat is not None and self.changed is not None:
                self.changed(seat)

    def _take_in(self, seat: Seat) -> None:
        """Bring a seat in step, and let it know what was shown to whom."""
        seat.follower.in_a_hurry = True  # whoever catches up now makes room at once
        seat.catch_up()
        seat.follower.in_a_hurry = False
        seat.recommender.rules.shown = self.champion.recommender.rules.shown


def _answered_by(seat: Seat, questions: Sequence[Question], now: int) -> list[Ranked | Exception]:
    if not questions:
        return []
    return answer_all(seat.recommender, questions, now, seat.as_of)


def _chosen_of(
    questions: Sequence[Question], marks: Sequence[bool], wanted: bool
) -> list[Question]:
    return [one for one, mark in zip(questions, marks, strict=True) if mark is wanted]
