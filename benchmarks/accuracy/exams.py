"""Ask a model, and judge its answers under every variant of the protocol.

Scores may depend on whether items of the history may be given, and on nothing else that variants
differ in. So the questions of all variants that are alike in it are put together, each is answered
once, and every block of answers is judged for each variant that asks it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from benchmarks.accuracy.splits import Split, Variant
from recency.data.log import Log
from recency.evaluation.exam import Exam, build_exam
from recency.evaluation.judge import Judged, judge
from recency.evaluation.protocol import Answer, Ints, Questions, Recommender, Scores
from recency.evaluation.settings import Settings
from recency.ranking.ranks import MISS, Ranks

K = 10
DRAW = 0  # seed of the users drawn, the same for every model


def exams_of(split: Split, max_targets: int | None = None) -> dict[Variant, Exam]:
    """Build the exam of each variant of a split.

    Args:
        split: What is asked about.
        max_targets: Users are drawn up to so many targets; None takes the split's own number.
    """
    most = max_targets or split.source.max_targets
    return {
        variant: build_exam(
            split.test,
            Settings(
                ks=(K,),
                repeats=variant.repeats,
                reading=variant.reading,
                targets=variant.targets,
                max_targets=most,
                seed=DRAW,
            ),
        )
        for variant in split.variants
    }


def fingerprint(exam: Exam) -> str:
    """Sum up what is asked, so that results of another exam are never set beside these."""
    targets = exam.targets
    parts = (exam.questions.user, exam.questions.at, targets.unit, targets.item, targets.reachable)
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(one).tobytes() for one in parts)
    ).hexdigest()


# What `protocol` says of repeats, in a reader's words.
QUESTIONS = {"repeats no": "items new to the user", "repeats yes": "any item"}


def protocol(split: Split, exam: Exam) -> str:
    """Say what the numbers are numbers of."""
    said, counts = exam.settings, exam.counts
    drawn = f" · users drawn up to {said.max_targets:,} targets" if said.max_targets else ""
    repeats = "yes" if said.repeats else "no"
    return (
        f"{split.text}{drawn} · history {said.history} · repeats {repeats} · "
        f"reading {said.reading} · target {said.targets} · {counts.n_items:,} candidates · "
        f"of {counts.n_events:,} test events {counts.n_cold / counts.n_events:.1%} on items unseen "
        f"in training, {counts.n_empty / counts.n_events:.1%} without a history, "
        f"{counts.n_repeats / counts.n_events:.1%} repeats"
    )


def judge_all(model: Recommender, exams: Mapping[Variant, Exam]) -> dict[Variant, Judged]:
    """Judge one model under each variant."""
    judged: dict[Variant, Judged] = {}
    for repeats in (False, True):
        alike = {variant: exam for variant, exam in exams.items() if variant.repeats == repeats}
        if alike:
            judged |= _judge_alike(model, alike)
    return {variant: judged[variant] for variant in exams}


def _judge_alike(model: Recommender, exams: Mapping[Variant, Exam]) -> dict[Variant, Judged]:
    """Judge one model under some variants, from one pass over all questions."""
    whole = _together(exams)
    sheets = {variant: _Sheet(exam, whole) for variant, exam in exams.items()}
    for index, scores in model.answer(whole):
        for sheet in sheets.values():
            sheet.mark(model.name, np.asarray(index, np.int64), scores)
    return {variant: sheet.judged() for variant, sheet in sheets.items()}


@dataclass(frozen=True)
class _Given:
    """Answer with one block of scores that are there already."""

    name: str
    scores: Scores

    def fit(self, log: Log) -> Self:
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        yield np.arange(len(questions)), self.scores


class _Sheet:
    """Collect one variant's ranks and lists while the blocks come in."""

    def __init__(self, exam: Exam, whole: Questions) -> None:
        self._exam = exam
        self._place = _places(whole, exam.questions)
        n_targets, n_questions = len(exam.targets), len(exam.questions)
        self._first = np.full(n_targets, MISS)
        self._last = np.full(n_targets, MISS)
        self._lists = np.full((n_questions, K), -1, np.int64)
        self._answered = np.zeros(n_questions, bool)

    def mark(self, name: str, index: Ints, scores: Scores) -> None:
        """Judge what this variant asks of a block."""
        asked = self._place[index]
        rows = np.flatnonzero(asked >= 0)
        if not len(rows):
            return
        rows = rows[np.argsort(asked[rows])]
        questions = asked[rows]
        part, targets = _part(self._exam, questions)
        found = judge(_Given(name, scores[rows]), part)  # a copy: judging writes into it
        self._first[targets], self._last[targets] = found.ranks.first, found.ranks.last
        self._lists[questions], self._answered[questions] = found.lists, True

    def judged(self) -> Judged:
        """Put the parts together."""
        if not self._answered.all():
            raise ValueError(f"{int((~self._answered).sum()):,} questions were not answered.")
        exam = self._exam
        ranks = Ranks(exam.targets.unit, self._first, self._last, exam.counts.n_units)
        return Judged(ranks, self._lists)


def _part(exam: Exam, questions: Ints) -> tuple[Exam, Ints]:
    """Cut an exam down to some of its questions, ascending; and give their targets' positions."""
    targets = exam.targets
    kept = np.flatnonzero(np.isin(targets.question, questions))
    units = np.unique(targets.unit[kept], return_inverse=True)[1]
    fewer = replace(
        targets,
        question=np.searchsorted(questions, targets.question[kept]),
        unit=units,
        item=targets.item[kept],
        event=targets.event[kept],
        reachable=targets.reachable[kept],
    )
    counts = replace(exam.counts, n_units=int(units[-1]) + 1)
    asked = exam.questions.take(questions)
    return replace(exam, questions=asked, targets=fewer, counts=counts), kept


def _together(exams: Mapping[Variant, Exam]) -> Questions:
    """Put the questions of all exams together, each once, by user and then by instant."""
    every = [exam.questions for exam in exams.values()]
    one = every[0]
    both = replace(
        one,
        user=np.concatenate([asked.user for asked in every]),
        at=np.concatenate([asked.at for asked in every]),
        stop=np.concatenate([asked.stop for asked in every]),
        world_stop=np.concatenate([asked.world_stop for asked in every]),
    )
    keys = np.stack([both.user, both.at], axis=1)
    return both.take(np.unique(keys, axis=0, return_index=True)[1])


def _places(whole: Questions, asked: Questions) -> Ints:
    """Find, for each question of the whole, its position among those asked; -1 if it is none."""
    keys = {
        key: place
        for place, key in enumerate(zip(asked.user.tolist(), asked.at.tolist(), strict=True))
    }
    pairs = zip(whole.user.tolist(), whole.at.tolist(), strict=True)
    return np.array([keys.get(key, -1) for key in pairs], dtype=np.int64)
