"""Weighing: what each member is worth, learned and judged on the newest slice of the training log.

Members learn from what lies before the slice, and answer its events as evaluation asks them:
rolling, items unseen before the slice left out, the whole catalogue as candidates. The slice is cut
once more by time: weights learned on its older half are judged on its newer half, which they did
not see; the weights that are kept are then learned on all of it. Questions without a history are
left out: what is popular answers them, whoever is a member.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints, ragged_positions
from recency.data.log import Log
from recency.ensemble.answering import in_step
from recency.ensemble.fusion import Fusion, Voice, learned
from recency.ensemble.members import Member
from recency.errors import DataError
from recency.evaluation.exam import build_exam
from recency.evaluation.intervals import resample
from recency.evaluation.protocol import Questions
from recency.evaluation.settings import Settings
from recency.ranking.metrics import ndcg
from recency.ranking.ranks import Ranks, count_above

Floats = npt.NDArray[np.float64]

K = 10
FEWEST = 20  # targets of a half; weights learned or judged on fewer would be luck
MAX_TARGETS = 5_000
_CELLS = 2**27  # scores of all targets together
_RESAMPLES = 1_000


@dataclass(frozen=True)
class Slice:
    """Hold what members are weighed on.

    Attributes:
        older: The log before the slice.
        questions: Of the slice, each with a history.
        question: [t] question of each target, ascending.
        item: [t] item rows of the targets; items from ``questions.n_warm`` on are none.
    """

    older: Log
    questions: Questions
    question: Ints
    item: Ints

    def __len__(self) -> int:
        return len(self.item)

    def part(self, asked: npt.NDArray[np.bool_]) -> "Slice":
        """Keep some questions, [n_questions] flags, and their targets."""
        kept = asked[self.question]
        rows = np.cumsum(asked) - 1
        questions = self.questions.take(np.flatnonzero(asked))
        return Slice(self.older, questions, rows[self.question[kept]], self.item[kept])


@dataclass(frozen=True)
class Judgement:
    """Tell what members and their mixture achieve on targets that the weights did not see.

    Attributes:
        n_learned: Targets that the judged weights were learned on.
        n_judged: Targets judged.
        start: Instant of the first question judged, microseconds.
        end: Of the last.
        members: [m] NDCG@10 of each member alone.
        mixture: NDCG@10 of the mixture.
        best: Place of the best member.
        interval: 95 % of the mixture's gain over the best member, users resampled.
        answer_ms: [m] milliseconds a question, answered in bulk.
    """

    n_learned: int
    n_judged: int
    start: int
    end: int
    members: tuple[float, ...]
    mixture: float
    best: int
    interval: tuple[float, float]
    answer_ms: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Give the mixture's NDCG@10 over the best member's."""
        return self.mixture - self.members[self.best]


def newest_slice(log: Log, share: float) -> Slice | str:
    """Cut the newest share of a log off; say why where it cannot be weighed on."""
    try:
        older, newest = log.split_at(log.quantile(1 - share))
        most = max(10 * FEWEST, min(MAX_TARGETS, _CELLS // older.n_items))
        exam = build_exam(newest, Settings(ks=(K,), max_targets=most))
    except DataError as fault:
        return f"all members count the same, since the newest {share:.0%} cannot be asked: {fault}"
    asked = exam.questions
    whole = Slice(older, asked, exam.targets.question, exam.targets.item)
    found = whole.part(asked.stop > asked.start)
    if min(map(len, halves(found)), default=0) < FEWEST:
        return (
            f"all members count the same: the newest {share:.0%} of the training events hold "
            f"{len(found):,} targets with a history on items seen before, too few to learn weights "
            f"on one half and judge them on the other (expected {FEWEST} in each)."
        )
    return found


def halves(whole: Slice) -> tuple[Slice, Slice]:
    """Cut a slice by time where half of its targets lie on each side."""
    if not len(whole):
        return whole, whole
    times = whole.questions.at[whole.question]
    later = whole.questions.at >= np.sort(times)[len(times) // 2]
    return whole.part(~later), whole.part(later)


def weigh(
    members: Sequence[Member], voices: Sequence[Voice], newest: Slice
) -> tuple[Fusion, Judgement]:
    """Learn weights on a slice, and judge weights learned on its older half on its newer one.

    Args:
        members: Fitted on ``newest.older``.
        voices: [m].
        newest: What they are asked.
    """
    older, newer = halves(newest)
    n_items = newest.questions.n_warm
    first = _listen(members, voices, older, None)
    tried = learned(voices, first.chances, first.ranks, n_items)
    second = _listen(members, voices, newer, tried)
    chances = np.concatenate([first.chances, second.chances])
    ranks = np.concatenate([first.ranks, second.ranks])
    return learned(voices, chances, ranks, n_items), _judgement(first, second, newer)


@dataclass(frozen=True)
class _Heard:
    """Hold what was said of t targets.

    Attributes:
        greater: [m + 1, t] items above each target, by each member and by the mixture.
        at_least: [m + 1, t] items level with it or above.
        chances: [t, m] chance of each target by each member, NaN where its ranking speaks.
        seconds: [m] that the answers took.
        n_questions: Answered.
    """

    greater: Ints
    at_least: Ints
    chances: Floats
    seconds: Floats
    n_questions: int

    @property
    def ranks(self) -> Floats:
        """Give the mean rank of each target by each member, [t, m]; inf where it has none."""
        ranks = np.where(self.at_least > 0, (self.greater + 1 + self.at_least) / 2, np.inf)
        return np.asarray(ranks[:-1].T)


def _listen(
    members: Sequence[Member], voices: Sequence[Voice], asked: Slice, fusion: Fusion | None
) -> _Heard:
    """Let members answer, and note what they and, if given, their mixture say of the targets."""
    n_warm, n_questions, n = asked.questions.n_warm, len(asked.questions), len(members)
    lengths = np.bincount(asked.question, minlength=n_questions)
    starts = np.cumsum(lengths) - lengths
    heard = _Heard(
        greater=np.zeros((n + 1, len(asked)), np.int64),
        at_least=np.zeros((n + 1, len(asked)), np.int64),
        chances=np.zeros((len(asked), n)),
        seconds=np.zeros(n),
        n_questions=n_questions,
    )
    known = [np.ones(n_warm, bool)] * n
    for index, blocks in in_step(members, asked.questions, heard.seconds):
        at = ragged_positions(starts[index], lengths[index])
        rows = np.repeat(np.arange(len(index)), lengths[index])
        items, said = asked.item[at], [block[:, :n_warm] for block in blocks]
        for place, voice in enumerate(voices):
            heard.chances[at, place] = voice.of_targets(said[place], rows, items)
        if fusion is not None:
            said.append(fusion.mixed(said, known))
        for place, block in enumerate(said):
            heard.greater[place, at], heard.at_least[place, at] = count_above(block, rows, items)
    return heard


def _judgement(first: _Heard, second: _Heard, newer: Slice) -> Judgement:
    n = len(newer)
    gains = [
        ndcg(Ranks.from_counts(greater, at_least, np.arange(n), n), K)
        for greater, at_least in zip(second.greater, second.at_least, strict=True)
    ]
    users = newer.questions.user[newer.question]
    resampled = resample(gains, users, _RESAMPLES, seed=0)
    *members, mixture = resampled.means.tolist()
    best = int(np.argmax(members))
    ms = 1e3 * (first.seconds + second.seconds) / (first.n_questions + second.n_questions)
    return Judgement(
        n_learned=len(first.chances),
        n_judged=n,
        start=int(newer.questions.at.min()),
        end=int(newer.questions.at.max()),
        members=tuple(members),
        mixture=mixture,
        best=best,
        interval=resampled.difference(len(members), best)[1],
        answer_ms=tuple(ms.tolist()),
    )
