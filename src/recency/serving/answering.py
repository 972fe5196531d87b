"""Answering: many questions in few calls of the recommender.

Questions that differ only in the user and in k are answered by one call, whose cost is mostly one
product of matrices; each then takes the head of its list. Where a list hangs on k as a whole, k is
the same too.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from recency.asking.likeness import By
from recency.asking.recommendations import Recommendations
from recency.asking.selection import Selection, SelectionArgs
from recency.content.item_words import Spoken
from recency.data.vocab import Id
from recency.errors import RecencyError
from recency.serving.questions import AsOf, LiveRecommender, Question, Ranked

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


def answer_all(
    recommender: LiveRecommender, questions: Sequence[Question], now: int, as_of: AsOf
) -> list[Ranked | Exception]:
    """Answer each question, or give the error that stands in its way.

    Args:
        recommender: Asked.
        questions: In any order.
        now: Instant of the questions that name none, microseconds.
        as_of: What the recommender has seen.
    """
    answers: dict[int, Ranked | Exception] = {}
    alike: dict[tuple[int, int, Selection], list[int]] = {}
    for place, question in enumerate(questions):
        at = now if question.at is None else question.at
        if question.history is None:
            k = question.k if question.selection.hangs_on_k else 0
            alike.setdefault((at, k, question.selection), []).append(place)
        else:
            answers[place] = _attempt(partial(_after, recommender, question, at, as_of))
    for (at, _, _), places in alike.items():
        asked = [questions[place] for place in places]
        found = _attempt(partial(_of_users, recommender, asked, at, as_of))
        for n, place in enumerate(places):
            answers[place] = found if isinstance(found, Exception) else found[n]
    return [answers[place] for place in range(len(questions))]


def similar(
    recommender: LiveRecommender,
    item: Id,
    k: int,
    as_of: AsOf,
    at: int | None = None,
    by: By = "behaviour",
) -> Ranked:
    """Rank the items most like one, of those that may be offered at an instant."""
    n_items = len(recommender.items)
    found = recommender.similar_items(item, min(k, n_items), at=at, by=by)
    return _of_nobody(found, as_of, note_length(k, n_items))


def by_words(
    recommender: LiveRecommender, words: Spoken, k: int, as_of: AsOf, at: int | None = None
) -> Ranked:
    """Rank the items whose texts are nearest to some words, of those on offer at an instant."""
    n_items = len(recommender.items)
    found = recommender.search(words, min(k, n_items), at=at)
    return _of_nobody(found, as_of, note_length(k, n_items))


def _of_nobody(found: Recommendations, as_of: AsOf, notes: tuple[str, ...]) -> Ranked:
    version = found.model_version
    return Ranked(None, found.items[0], found.scores[0], False, found.at, as_of, version, notes)


def _attempt(function: Callable[[], Result]) -> Result | Exception:
    try:
        return function()
    except RecencyError as error:
        return error
    except Exception as error:
        logger.exception("a question could not be answered")
        return error


def _of_users(
    recommender: LiveRecommender, questions: Sequence[Question], at: int, as_of: AsOf
) -> list[Ranked]:
    users = [question.user for question in questions if question.user is not None]
    n_items = len(recommender.items)
    k = min(max(question.k for question in questions), n_items)
    selection, notes = known_candidates(questions[0].selection, recommender)
    found = recommender.recommend(users, k, at=at, **selection)
    version = found.model_version
    return [
        Ranked(
            one.user,
            items[: one.k],
            scores[: one.k],
            fallback,
            at,
            as_of,
            version,
            (*notes, *note_length(one.k, n_items)),
        )
        for one, items, scores, fallback in zip(
            questions, found.items, found.scores, found.fallback, strict=True
        )
    ]


def _after(recommender: LiveRecommender, question: Question, at: int, as_of: AsOf) -> Ranked:
    n_items = len(recommender.items)
    selection, notes = known_candidates(question.selection, recommender)
    found = recommender.recommend_after(
        question.history or (), min(question.k, n_items), at=at, **selection
    )
    return Ranked(
        None,
        found.items[0],
        found.scores[0],
        found.fallback[0],
        at,
        as_of,
        found.model_version,
        (*notes, *note_length(question.k, n_items)),
    )


def known_candidates(
    selection: Selection, recommender: LiveRecommender
) -> tuple[SelectionArgs, tuple[str, ...]]:
    """Give a selection as keywords, without candidates never seen, and a note about those."""
    notes: tuple[str, ...] = ()
    chosen, candidates = selection.keywords(), selection.candidates
    if candidates is not None:
        known = [one for one in candidates if one in recommender.items]
        if n_strange := len(candidates) - len(known):
            notes = (f"{n_strange} of {len(candidates)} candidates were never seen: left out.",)
        chosen["candidates"] = known
    return chosen, notes


def note_length(k: int, n_items: int) -> tuple[str, ...]:
    """Note that a list cannot be as long as was asked."""
    return (f"k={k:,} is more than the {n_items:,} items there are.",) if k > n_items else ()
