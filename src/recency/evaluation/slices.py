"""Slices: where a number comes from. Each cuts the units of an exam into named bins."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.evaluation.exam import Exam
from recency.units import DAY, SECOND

Ints = npt.NDArray[np.int64]

_HOUR = 3_600 * SECOND
_MINUTE = 60 * SECOND
TIME_BINS = (_MINUTE, _HOUR, DAY, 7 * DAY, 30 * DAY)
TIME_NAMES = ("< 1 min", "1 min - 1 h", "1 h - 1 d", "1 - 7 d", "7 - 30 d", ">= 30 d")
_LENGTH_BINS = (1, 2, 6, 21, 101)
_LENGTH_NAMES = ("0", "1", "2 - 5", "6 - 20", "21 - 100", "> 100")
_KNOWN_BINS = (1, 6, 21, 101)
_KNOWN_NAMES = ("0", "1 - 5", "6 - 20", "21 - 100", "> 100")


@dataclass(frozen=True)
class Slice:
    """Hold one way of cutting units into bins.

    Attributes:
        name: What the bins tell apart.
        bins: Names of the bins.
        place: [n_units] bin of each unit.
    """

    name: str
    bins: tuple[str, ...]
    place: Ints


def slices_of(exam: Exam) -> list[Slice]:
    """Cut the units by gap, history length, item age and events, new users and items, and type.

    A basket is put where its first target belongs. The gap runs from the last event that may be
    read to the target; an item's age from its first event to the target.
    """
    targets, questions = exam.targets, exam.questions
    first = targets.first_of_unit
    question, item = targets.question[first], targets.item[first]
    time = exam.test.times[targets.event[first]]
    stop, start = questions.stop[question], questions.start[question]
    user = questions.user[question]
    last = questions.histories.times[np.maximum(stop - 1, 0)]
    learned = np.zeros(len(questions.users), bool)
    learned[questions.users.rows(exam.train.events["user_id"])] = True
    cuts = [
        _spans("gap since the last event", time - last, stop > start, "no event before"),
        Slice("history length", _LENGTH_NAMES, np.digitize(stop - start, _LENGTH_BINS)),
        _spans("item age", time - exam.born[item], exam.born[item] < time, "its first event"),
        Slice("user", ("in training", "new"), (~learned[user]).astype(np.int64)),
        Slice("item", ("in training", "new"), (item >= questions.n_warm).astype(np.int64)),
        Slice(
            "training events of the item",
            _KNOWN_NAMES,
            np.digitize(exam.train_counts[item], _KNOWN_BINS),
        ),
    ]
    if exam.test.has("event_type"):
        cuts.append(_types(exam, targets.event[first]))
    return cuts


def _spans(name: str, span: Ints, real: npt.NDArray[np.bool_], otherwise: str) -> Slice:
    place = np.where(real, np.digitize(span, TIME_BINS), len(TIME_NAMES))
    return Slice(name, (*TIME_NAMES, otherwise), place)


def _types(exam: Exam, event: Ints) -> Slice:
    types = exam.questions.types
    names = [] if types is None else [str(one) for one in types.ids]
    rows = (
        np.full(len(event), -1)
        if types is None
        else types.rows(exam.test.events["event_type"])[event]
    )
    return Slice("event type", (*names, "none"), np.where(rows < 0, len(names), rows))
