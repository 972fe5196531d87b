"""How an ensemble answers the questions of an evaluation: members side by side, block by block."""

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import numpy.typing as npt

from recency.ensemble.fusion import Fusion, Scores
from recency.ensemble.members import Member
from recency.evaluation.protocol import Answer, Ints, Questions
from recency.live.answers import strangers_answered
from recency.recommender import SequenceRecommender


def mixed_answers(
    members: Sequence[Member], fusion: Fusion, n_fitted: int, questions: Questions
) -> Iterator[Answer]:
    """Answer every question once.

    Args:
        members: Fitted; a `SequenceRecommender` is among them.
        fusion: Mixes their answers; members of weight 0 are not asked.
        n_fitted: Items that the baselines learned: the first rows of the models' vocabulary.
        questions: Those with an empty history get what is popular, by the first model's half-life.
    """
    lead = next(one.live for one in members if isinstance(one, SequenceRecommender))
    rows = lead.vocabs.items.rows(questions.items.ids)
    known = [
        (rows >= 0)
        & (rows < (one.live.n_learned if isinstance(one, SequenceRecommender) else n_fitted))
        for one in members
    ]
    empty = questions.stop <= questions.start
    asked = np.flatnonzero(~empty)
    loud = [place for place, weight in enumerate(fusion.weights) if weight > 0]
    for index, blocks in in_step([members[place] for place in loud], questions.take(asked)):
        given = dict(zip(loud, blocks, strict=True))
        yield asked[index], fusion.mixed([given.get(n) for n in range(len(members))], known)
    yield from strangers_answered(lead, questions, np.flatnonzero(empty))


def in_step(
    members: Sequence[Member], questions: Questions, seconds: npt.NDArray[np.float64] | None = None
) -> Iterator[tuple[Ints, list[Scores]]]:
    """Let members answer the same questions side by side.

    Asked in the order of what is known of the world, every member answers in that order, in blocks
    of one length, so that only one block of each is held.

    Args:
        members: Fitted.
        questions: With a history each.
        seconds: [m] to which the time of each member's answers is added.

    Yields:
        Positions of the questions answered, and each member's scores.
    """
    order = questions.in_time
    asked = questions.take(order)
    answers = [member.answer(asked) for member in members]
    while True:
        block = []
        for place, answer in enumerate(answers):
            began = perf_counter()
            block.append(next(answer, None))
            if seconds is not None:
                seconds[place] += perf_counter() - began
        given = [one for one in block if one is not None]
        if not given:
            return
        index = given[0][0]
        assert len(given) == len(members) and all(np.array_equal(index, i) for i, _ in given)
        yield order[index], [scores for _, scores in given]
