"""Warm-up: a candidate answers questions that were really asked, before anybody waits for it.

Two things come of it. What is slow the first time (states, memories, caches) is behind it, and a
candidate that cannot answer what the champion answered is found out.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

from recency.data.vocab import Id
from recency.errors import DataWarning
from recency.serving.answering import answer_all
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked

_AT_ONCE = 32  # users; a recommender keeps the states of so many at a time
_SHOWN = 3  # faults of a kind


def warm_up(
    recommender: LiveRecommender, asked: Sequence[tuple[Question, int]], now: int
) -> list[str]:
    """Ask questions again, and tell what is wrong with the answers.

    Args:
        recommender: The candidate, in step with the log.
        asked: Questions, each with the number of items that it was answered with.
        now: Instant of the questions that name none, microseconds.

    Returns:
        One sentence a kind of fault; none for a candidate that is well.
    """
    questions = [_unseen(question) for question, _ in asked]
    failed, strange, short = [], [], []
    for start in range(0, len(questions), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        answers = answer_all(recommender, questions[start : start + _AT_ONCE], now, AsOf(0, None))
        for (question, n_items), answer in zip(part, answers, strict=True):
            if not isinstance(answer, Ranked):
                failed.append(f"{type(answer).__name__}: {answer}")
            elif not all(map(math.isfinite, answer.scores)):
                strange.append(_name(question))
            elif len(answer.items) < n_items:
                short.append(f"{_name(question)} got {len(answer.items)} of {n_items} items")
    kinds = (("failed", failed), ("had scores that are not finite", strange), ("were short", short))
    return [
        f"{len(found)} of {len(questions)} recorded questions {kind}: {'; '.join(found[:_SHOWN])}."
        for kind, found in kinds
        if found
    ]


def touch(recommender: LiveRecommender, users: Sequence[Id], now: int) -> None:
    """Bring the states of users up to date, so that their next question finds them ready."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for start in range(0, len(users), _AT_ONCE):
            recommender.recommend(users[start : start + _AT_ONCE], 1, at=now)


def _unseen(question: Question) -> Question:
    """Give a question whose answer nobody will see, so that no item counts as shown."""
    return replace(question, selection=replace(question.selection, counts_as_shown=False))


def _name(question: Question) -> str:
    return "a visit" if question.user is None else f"user {question.user!r}"
