"""The exam: questions, the targets that no recommender may see, and what became of each test event.

Decisions: events of one user at one instant share one question, because their order is not known:
none of them may be predicted from another. Whatever is left out is counted in `Counts`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from recency.data.log import Log
from recency.data.vocab import Id
from recency.errors import DataError
from recency.evaluation.candidates import Candidates
from recency.evaluation.protocol import Ints, Questions
from recency.evaluation.questions import is_repeat, past_of, questions_of
from recency.evaluation.settings import Reading, Settings

Flags = npt.NDArray[np.bool_]
Choose = Callable[[Questions, Reading, Ints], Candidates]


@dataclass(frozen=True)
class Targets:
    """Hold what is to be predicted: t targets, sorted by question, then by unit.

    A unit is what one value of a metric belongs to: an event, or a basket.

    Attributes:
        question: [t] position in the questions, ascending.
        unit: [t] unit, ascending.
        item: [t] item rows.
        event: [t] positions in the test log.
        reachable: [t] False for a target that is no candidate: all miss it.
    """

    question: Ints
    unit: Ints
    item: Ints
    event: Ints
    reachable: Flags

    def __len__(self) -> int:
        return len(self.question)

    @property
    def first_of_unit(self) -> Ints:
        """Give the position of each unit's first target, [n_units]."""
        return np.flatnonzero(np.diff(self.unit, prepend=-1))


@dataclass(frozen=True)
class Counts:
    """Count test events by what became of them.

    Attributes:
        n_events: Events of the test log.
        n_cold: Of them, events on items that training never saw.
        n_empty: Of them, events asked about without any history.
        n_repeats: Of them, events on an item of the user's history.
        n_cold_skipped: Left out, as ``reading="warm"`` asks about items of training only.
        n_outside: Left out, as the item is not among the given candidates.
        n_repeats_skipped: Left out, as ``repeats=False`` asks about new items only.
        n_doubles: Left out: second and further events on one item within a basket.
        n_not_drawn: Left out, as ``max_targets`` drew other users.
        n_targets: What is left: the targets.
        n_missed: Of them, targets that are no candidates and count as missed.
        n_units: Events or baskets; each has one value of each metric.
        n_questions: Different questions asked.
        n_users: Users asked about.
        n_items: Candidates; of a growing catalogue, at the end.
    """

    n_events: int
    n_cold: int
    n_empty: int
    n_repeats: int
    n_cold_skipped: int
    n_outside: int
    n_repeats_skipped: int
    n_doubles: int
    n_not_drawn: int
    n_targets: int
    n_missed: int
    n_units: int
    n_questions: int
    n_users: int
    n_items: int

    def to_dict(self) -> dict[str, int]:
        """Give all counts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Exam:
    """Hold questions with the targets that a recommender must not see.

    Attributes:
        settings: The protocol.
        questions: What is asked.
        targets: What is to be predicted.
        counts: What became of the test events.
        candidates: Which items may be recommended, and when.
        born: [n_items] first event of each item in microseconds.
        train_counts: [n_items] training events of each item.
        train: The log before the cut.
        test: The log asked about.
    """

    settings: Settings
    questions: Questions
    targets: Targets
    counts: Counts
    candidates: Candidates
    born: Ints
    train_counts: Ints
    train: Log
    test: Log


def build_exam(
    test: Log, settings: Settings, choose: Choose = Candidates.of, listed: Sequence[Id] = ()
) -> Exam:
    """Make questions and targets of a test log.

    Args:
        test: With ``test.past``, as `Log.split_at` gives it.
        settings: The protocol.
        choose: Says which items may be recommended when.
        listed: Items that may be candidates without an event.

    Raises:
        ConfigError: the test log does not know its past.
        DataError: ids of test and past differ in type, or no target is left.
    """
    train = past_of(test)
    asked = questions_of(test, settings.history, listed)
    item = asked.items.rows(test.events["item_id"])
    born = np.full(len(asked.items), np.iinfo(np.int64).max)
    np.minimum.at(born, asked.world.items, asked.world.times)
    candidates = choose(asked, settings.reading, born)
    found = _classify(asked, item, candidates, settings)
    double = _doubles(asked, item, test.times, found.kept, settings)
    drawn = _drawn(asked.user, found.kept & ~double, settings)
    if not drawn.any():
        raise DataError(_nothing_left(found.counts, settings))
    targets, questions = _targets(asked, item, test.times, drawn, found.reachable, settings)
    counts = Counts(
        **found.counts,
        n_doubles=int(double.sum()),
        n_not_drawn=int((found.kept & ~double & ~drawn).sum()),
        n_targets=len(targets),
        n_missed=int((~targets.reachable).sum()),
        n_units=int(targets.unit[-1]) + 1,
        n_questions=len(questions),
        n_users=len(np.unique(questions.user)),
        n_items=candidates.n_items,
    )
    train_counts = np.bincount(
        asked.items.rows(train.events["item_id"]), minlength=len(asked.items)
    )
    return Exam(settings, questions, targets, counts, candidates, born, train_counts, train, test)


@dataclass(frozen=True)
class _Found:
    """Hold what is known of each test event, all [n_events]."""

    kept: Flags
    reachable: Flags
    counts: dict[str, int]


def _classify(asked: Questions, item: Ints, candidates: Candidates, settings: Settings) -> _Found:
    cold = item >= asked.n_warm
    repeat = is_repeat(asked, item)
    cold_skipped = cold if settings.reading == "warm" else np.zeros_like(cold)
    # A cold item that counts as missed is no candidate by the reading, not by the given list.
    by_reading = cold if settings.reading in ("warm", "misses") else np.zeros_like(cold)
    outside = ~candidates.allowed[item] & ~by_reading
    repeats_skipped = ~cold_skipped & ~outside & repeat & (not settings.repeats)
    return _Found(
        kept=~(cold_skipped | outside | repeats_skipped),
        reachable=candidates.include(item, asked.at),
        counts={
            "n_events": len(item),
            "n_cold": int(cold.sum()),
            "n_empty": int((asked.stop == asked.start).sum()),
            "n_repeats": int(repeat.sum()),
            "n_cold_skipped": int(cold_skipped.sum()),
            "n_outside": int(outside.sum()),
            "n_repeats_skipped": int(repeats_skipped.sum()),
        },
    )


def _doubles(asked: Questions, item: Ints, times: Ints, kept: Flags, settings: Settings) -> Flags:
    """Mark, within a basket, the events on an item that the basket already has."""
    double = np.zeros(len(item), bool)
    if settings.targets == "basket":
        order = np.lexsort((item, times, asked.user))
        same = np.ones(max(len(order) - 1, 0), bool)
        for column in (asked.user, times, item):
            same &= np.diff(column[order]) == 0
        double[order[1:][same]] = True
    return double & kept


def _drawn(user: Ints, kept: Flags, settings: Settings) -> Flags:
    """Draw whole users at random until `max_targets` is reached; at least one user."""
    most = settings.max_targets
    if most is None or int(kept.sum()) <= most:
        return kept
    users, counts = np.unique(user[kept], return_counts=True)
    order = np.random.default_rng(settings.seed).permutation(len(users))
    fitting = int(np.searchsorted(np.cumsum(counts[order]), most, side="right"))
    return kept & np.isin(user, users[order[: max(1, fitting)]])


def _targets(
    asked: Questions,
    item: Ints,
    times: Ints,
    drawn: Flags,
    reachable: Flags,
    settings: Settings,
) -> tuple[Targets, Questions]:
    """Sort the targets, and ask each different question once."""
    event = np.flatnonzero(drawn)
    event = event[np.lexsort((times[event], asked.at[event], asked.user[event]))]
    user, at, time = asked.user[event], asked.at[event], times[event]
    opens = np.ones(len(event), bool)
    opens[1:] = (np.diff(user) != 0) | (np.diff(at) != 0)
    new_unit = np.ones(len(event), bool)
    if settings.targets == "basket":
        new_unit[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
    targets = Targets(
        question=np.cumsum(opens) - 1,
        unit=np.cumsum(new_unit) - 1,
        item=item[event],
        event=event,
        reachable=reachable[event],
    )
    return targets, replace(asked.take(event[opens]), repeats=settings.repeats)


def _nothing_left(counts: dict[str, int], settings: Settings) -> str:
    return (
        f"no target is left of {counts['n_events']:,} test events: "
        f"{counts['n_cold_skipped']:,} are on items that training never saw "
        f"(reading={settings.reading!r}), {counts['n_outside']:,} on items that are no candidates, "
        f"{counts['n_repeats_skipped']:,} repeat an item of the history "
        f"(repeats={settings.repeats}). Cut earlier, or choose another reading."
    )
