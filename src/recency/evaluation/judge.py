"""Judge one recommender: its answers come block by block, ranks and short lists are kept of them.

Decisions: the memory is that of one block and of a few numbers a target, whatever the catalogue.
Candidates are enforced here, never trusted to the recommender: items outside the protocol's
catalogue and, with ``repeats=False``, items of the history get -inf.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recency.data.histories import ragged_positions
from recency.errors import DataError
from recency.evaluation.exam import Exam
from recency.evaluation.protocol import Ints, Recommender, Scores
from recency.ranking.filters import drop_history, drop_unavailable, keep_items
from recency.ranking.ranks import Ranks, count_above
from recency.ranking.topk import top_k

# Called after each block with the recommender's name, questions answered, questions in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Judged:
    """Hold what is kept of a recommender's answers.

    Attributes:
        ranks: Of all targets, by unit.
        lists: [n_questions, k] item rows of the best k, -1 where fewer can be recommended.
    """

    ranks: Ranks
    lists: Ints


def judge(model: Recommender, exam: Exam, progress: Progress | None = None) -> Judged:
    """Ask a recommender everything, and rank every target.

    Raises:
        DataError: an answer has a wrong shape or a NaN, or a question is not answered exactly once.
    """
    sheet = _Sheet(model.name, exam)
    for index, scores in model.answer(exam.questions):
        sheet.mark(np.asarray(index, np.int64), scores)
        if progress is not None:
            progress(model.name, sheet.n_answered, len(exam.questions))
    return sheet.judged()


class _Sheet:
    """Collect ranks and lists while the blocks come in."""

    def __init__(self, name: str, exam: Exam) -> None:
        targets, n_questions = exam.targets, len(exam.questions)
        self._name, self._exam = name, exam
        self._times_answered = np.zeros(n_questions, np.int64)
        self._lists = np.full((n_questions, max(exam.settings.ks)), -1, np.int64)
        self._greater = np.zeros(len(targets), np.int64)
        self._at_least = np.zeros(len(targets), np.int64)
        lengths = np.bincount(targets.question, minlength=n_questions)
        self._lengths, self._starts = lengths, np.cumsum(lengths) - lengths
        # Items beyond the last candidate are cut off rather than masked: it costs nothing.
        self._width = int(np.flatnonzero(exam.candidates.allowed)[-1]) + 1

    @property
    def n_answered(self) -> int:
        return int((self._times_answered > 0).sum())

    def mark(self, index: Ints, scores: Scores) -> None:
        """Rank the targets of one block of answers."""
        scores = self._candidates(index, self._checked(index, scores))
        try:
            self._lists[index] = top_k(scores, self._lists.shape[1])[0]
        except DataError as fault:
            raise DataError(
                f"expected a number for every score, but {self._name} answered NaN: {fault} "
                f"Use -inf for an item that is not to be recommended."
            ) from None
        place = ragged_positions(self._starts[index], self._lengths[index])
        rows = np.repeat(np.arange(len(index)), self._lengths[index])
        real = self._exam.targets.reachable[place]
        place, rows = place[real], rows[real]
        if len(place):
            counts = count_above(scores, rows, self._exam.targets.item[place])
            self._greater[place], self._at_least[place] = counts

    def judged(self) -> Judged:
        """Turn the counts into ranks, once everything is answered."""
        missing, twice = self._times_answered == 0, self._times_answered > 1
        if missing.any() or twice.any():
            raise DataError(
                f"expected {self._name} to answer each of {len(missing):,} questions once; "
                f"{int(missing.sum()):,} were not answered, {int(twice.sum()):,} more than once."
            )
        exam = self._exam
        ranks = Ranks.from_counts(
            self._greater,
            self._at_least,
            exam.targets.unit,
            exam.counts.n_units,
            exam.settings.ties,
        )
        return Judged(ranks, self._lists)

    def _checked(self, index: Ints, scores: Scores) -> Scores:
        n_questions, n_items = len(self._times_answered), len(self._exam.questions.items)
        expected = (len(index), n_items)
        if index.ndim != 1 or scores.shape != expected:
            raise DataError(
                f"expected a block of {self._name} as index [m] and scores [m, {n_items}], "
                f"found shapes {index.shape} and {scores.shape}."
            )
        if len(index) and not 0 <= index.min() <= index.max() < n_questions:
            raise DataError(
                f"expected {self._name} to answer questions 0 to {n_questions - 1}, "
                f"found {index.min()} to {index.max()}."
            )
        np.add.at(self._times_answered, index, 1)
        return scores

    def _candidates(self, index: Ints, scores: Scores) -> Scores:
        """Refuse, in the recommender's block, what is no candidate."""
        exam, questions, width = self._exam, self._exam.questions, self._width
        scores = np.asarray(scores[:, :width], np.float32)
        if not scores.flags.writeable:
            scores = scores.copy()
        candidates = exam.candidates
        keep_items(scores, candidates.allowed[:width])
        drop_unavailable(
            scores, candidates.opens[:width], candidates.closes[:width], questions.at[index]
        )
        if not exam.settings.repeats:
            starts, stops = questions.start[index], questions.stop[index]
            drop_history(scores, questions.histories, starts, stops)
        return scores
