"""ModelThread: the one thread that touches the recommender.

A recommender is not made for several threads at once, and a lock around it would be fought over by
requests and events. So one thread owns it and takes its work from a queue. Whatever waits is taken
together: first the jobs, such as committed events, in the order given; then the questions, alike
ones in one call, which costs far less than one call each.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from recency.serving.refusals import OverloadedError, StoppedError
from recency.serving.replies import Outbox, Reply, settle

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)

_Job = Callable[[], None]


class ModelThread(threading.Thread, Generic[Question, Answer]):
    """Run jobs in turn, and answer questions together.

    Args:
        answer: Answers several questions at once: one answer, or one error, to each.
        max_waiting: Most questions and jobs that may wait.
    """

    def __init__(
        self,
        answer: Callable[[list[Question]], Sequence[Answer | Exception]],
        max_waiting: int = 1000,
    ) -> None:
        super().__init__(name="recency-model", daemon=True)
        self._answer = answer
        self._max_waiting = max_waiting
        self._queue: SimpleQueue[_Job | list[tuple[Question, Reply[Answer]]] | None] = SimpleQueue()
        self._outbox: Outbox[tuple[Question, Reply[Answer]]] = Outbox(self._send)
        self._lock = threading.Lock()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Count what waits."""
        return self._queue.qsize()

    def run_job(self, job: Callable[[], None]) -> None:
        """Queue a job. Jobs run in the order given, each before any question that waits.

        Raises:
            StoppedError: the thread is closed.
        """
        self._put(job)

    def call(self, function: Callable[[], Result]) -> Reply[Result]:
        """Queue a job with a result.

        Raises:
            OverloadedError: too much waits.
            StoppedError: the thread is closed.
        """
        self._check_load()
        reply: Reply[Result] = Reply()
        self._put(lambda: _settle_with(reply, function))
        return reply

    def run_and_wait(self, function: Callable[[], Result]) -> Result:
        """Run a function in this thread, however much waits, and give its result to another one.

        Raises:
            StoppedError: the thread is closed.
        """
        reply: Reply[Result] = Reply()
        self._put(lambda: _settle_with(reply, function))
        return reply.result()

    def ask(self, question: Question) -> Reply[Answer]:
        """Queue a question.

        Raises:
            OverloadedError: too much waits.
            StoppedError: the thread is closed.
        """
        self._check_load()
        reply: Reply[Answer] = Reply()
        self._outbox.post((question, reply))
        return reply

    def close(self) -> None:
        """Do what is queued, then end."""
        with self._lock:
            self._closing = True
            self._queue.put(None)
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Work until closed."""
        finished = False
        while not finished:
            taken = [self._queue.get()]
            with suppress(Empty):
                while True:
                    taken.append(self._queue.get_nowait())
            questions: list[tuple[Question, Reply[Answer]]] = []
            for one in taken:
                if one is None:
                    finished = True
                elif isinstance(one, list):
                    questions += one
                else:
                    _run(one)
            self._answer_all(questions)

    def _send(self, pairs: list[tuple[Question, Reply[Answer]]]) -> None:
        try:
            self._put(pairs)
        except StoppedError as error:
            settle((reply, error) for _, reply in pairs)

    def _put(self, one: _Job | list[tuple[Question, Reply[Answer]]]) -> None:
        with self._lock:
            if self._closing:
                raise StoppedError("the server is stopping: nothing was taken; ask again later.")
            self._queue.put(one)

    def _check_load(self) -> None:
        if self._queue.qsize() >= self._max_waiting:
            raise OverloadedError(
                f"{self._max_waiting:,} questions wait already; ask again in a second."
            )

    def _answer_all(self, pairs: list[tuple[Question, Reply[Answer]]]) -> None:
        if not pairs:
            return
        answers: Sequence[Any]
        try:
            answers = self._answer([question for question, _ in pairs])
        except Exception as error:
            logger.exception("questions could not be answered")
            answers = [error] * len(pairs)
        settle((reply, answer) for (_, reply), answer in zip(pairs, answers, strict=True))


def _settle_with(reply: Reply[Result], function: Callable[[], Result]) -> None:
    try:
        settle([(reply, function())])
    except Exception as error:
        settle([(reply, error)])


def _run(job: _Job) -> None:
    try:
        job()
    except Exception:  # one job's failure must not stop the next
        logger.exception("a job of the model thread failed")
