"""Questions and targets, each rule by hand on eleven events.

ann  a0 b2 | c10 a11 d11       a and d share an instant
bob  b1 c3 | d13 b14           d was first seen at 11
cem  a4    |
new        | b12
"""

from collections.abc import Callable

import numpy as np
import pytest

from recency.data.log import Log
from recency.errors import ConfigError, DataError
from recency.evaluation.exam import Exam, build_exam
from recency.evaluation.settings import Reading, Settings

MINUTE = 60_000_000

Make = Callable[[str], Log]


def histories(exam: Exam) -> list[tuple[str, int, str]]:
    """Read the questions: who, at which minute, after which items."""
    asked, first = exam.questions, exam.train.start
    return [
        (
            str(asked.users.id_of(user)),
            int(at - first) // MINUTE,
            "".join(map(str, asked.items.take(asked.histories.items[start:stop]))),
        )
        for user, at, start, stop in zip(asked.user, asked.at, asked.start, asked.stop, strict=True)
    ]


def targets(exam: Exam) -> list[tuple[int, int, str, bool]]:
    """Read the targets: question, unit, item, whether it is a candidate."""
    found = exam.targets
    items = map(str, exam.questions.items.take(found.item))
    return list(
        zip(
            found.question.tolist(),
            found.unit.tolist(),
            items,
            found.reachable.tolist(),
            strict=True,
        )
    )


def counted(exam: Exam) -> dict[str, int]:
    """Give the counts that are not 0."""
    return {name: n for name, n in exam.counts.to_dict().items() if n}


SAME = {"n_events": 6, "n_cold": 2, "n_empty": 1, "n_repeats": 2}


def test_warm_leaves_out_what_training_never_saw(test_log: Log) -> None:
    exam = build_exam(test_log, Settings())
    assert histories(exam) == [("ann", 10, "ab"), ("ann", 11, "abc"), ("bob", 14, "bcd"),
                               ("new", 12, "")]  # fmt: skip
    assert targets(exam) == [(0, 0, "c", True), (1, 1, "a", True), (2, 2, "b", True),
                             (3, 3, "b", True)]  # fmt: skip
    assert counted(exam) == SAME | {
        "n_cold_skipped": 2, "n_targets": 4, "n_units": 4, "n_questions": 4, "n_users": 3,
        "n_items": 3,
    }  # fmt: skip
    assert exam.questions.items.ids.to_list() == ["a", "b", "c", "d"]
    assert exam.questions.n_warm == 3 and exam.train_counts.tolist() == [2, 2, 1, 0]


def test_misses_counts_cold_items_as_missed(test_log: Log) -> None:
    exam = build_exam(test_log, Settings(reading="misses"))
    assert histories(exam)[1:3] == [("ann", 11, "abc"), ("bob", 13, "bc")]
    # Two events of one instant: one question, two units, and neither is in the other's history.
    assert targets(exam) == [(0, 0, "c", True), (1, 1, "a", True), (1, 2, "d", False),
                             (2, 3, "d", False), (3, 4, "b", True), (4, 5, "b", True)]  # fmt: skip
    assert counted(exam) == SAME | {
        "n_targets": 6, "n_missed": 2, "n_units": 6, "n_questions": 5, "n_users": 3, "n_items": 3,
    }  # fmt: skip


def test_growing_lets_an_item_in_after_its_first_event(test_log: Log) -> None:
    exam = build_exam(test_log, Settings(reading="growing"))
    assert [one[2:] for one in targets(exam)] == [
        ("c", True), ("a", True), ("d", False), ("d", True), ("b", True), ("b", True)
    ]  # fmt: skip
    assert (exam.counts.n_missed, exam.counts.n_items) == (1, 4)
    d = np.array([3])
    born = int(exam.born[3])
    assert born == exam.train.start + 11 * MINUTE
    assert not exam.candidates.include(d, np.array([born])).any()
    assert exam.candidates.include(d, np.array([born + 1])).all()


def test_without_repeats_items_of_the_history_are_no_targets(test_log: Log) -> None:
    exam = build_exam(test_log, Settings(repeats=False))
    assert [(one[2]) for one in targets(exam)] == ["c", "b"]
    assert [user for user, _, _ in histories(exam)] == ["ann", "new"]
    assert counted(exam)["n_repeats_skipped"] == 2 and counted(exam)["n_cold_skipped"] == 2
    assert not exam.questions.repeats and build_exam(test_log, Settings()).questions.repeats


def test_an_item_twice_at_one_instant_is_no_repeat(make_log: Make) -> None:
    """Neither came before the other; only the third event has the item in its history."""
    log = make_log("ann a 0, bob b 0, ann b 5, ann b 5, ann b 6")
    exam = build_exam(log.split_at(log.start + MINUTE)[1], Settings(repeats=False))
    assert exam.counts.n_repeats == 1 and len(exam.targets) == 2


def test_frozen_asks_everything_at_the_cut_from_training_alone(test_log: Log) -> None:
    exam = build_exam(test_log, Settings(history="frozen", reading="growing"))
    assert histories(exam) == [("ann", 10, "ab"), ("bob", 10, "bc"), ("new", 10, "")]
    assert exam.questions.world_stop.tolist() == [5, 5, 5]
    assert [one[:3] for one in targets(exam)] == [
        (0, 0, "c"), (0, 1, "a"), (0, 2, "d"), (1, 3, "d"), (1, 4, "b"), (2, 5, "b")
    ]  # fmt: skip
    assert exam.counts.n_missed == 2  # at the cut nobody knew of d


def test_rolling_knows_the_world_strictly_before_the_question(test_log: Log) -> None:
    exam = build_exam(test_log, Settings(reading="misses"))
    asked = exam.questions
    assert asked.world_stop.tolist() == [5, 6, 9, 10, 8]
    assert (asked.world.times[asked.world_stop - 1] < asked.at).all()
    assert (asked.world.times[asked.world_stop] >= asked.at).all()
    assert (asked.histories.times[asked.stop[:4] - 1] < asked.at[:4]).all()
    assert len(asked.world) == 11


def test_a_basket_is_one_unit_without_doubles(make_log: Make) -> None:
    log = make_log("ann a 0, bob b 1, bob c 2, ann b 10, ann c 10, ann b 10, ann a 11, bob a 11")
    test = log.split_at(log.start + 10 * MINUTE)[1]
    exam = build_exam(test, Settings(targets="basket"))
    assert targets(exam) == [(0, 0, "b", True), (0, 0, "c", True), (1, 1, "a", True),
                             (2, 2, "a", True)]  # fmt: skip
    assert counted(exam) == {
        "n_events": 5, "n_repeats": 1, "n_doubles": 1, "n_targets": 4, "n_units": 3,
        "n_questions": 3, "n_users": 2, "n_items": 3,
    }  # fmt: skip
    frozen = build_exam(test, Settings(targets="basket", history="frozen"))
    assert [one[:2] for one in targets(frozen)] == [(0, 0), (0, 0), (0, 1), (1, 2)]


def test_a_double_that_is_left_out_anyway_is_counted_once(make_log: Make) -> None:
    log = make_log("ann a 0, bob b 1, ann new 10, ann new 10, ann b 11")
    exam = build_exam(log.split_at(log.start + 10 * MINUTE)[1], Settings(targets="basket"))
    assert (exam.counts.n_cold_skipped, exam.counts.n_doubles, exam.counts.n_targets) == (2, 0, 1)


def test_drawn_users_are_drawn_whole_and_by_seed(test_log: Log) -> None:
    for seed in range(8):
        exam = build_exam(test_log, Settings(reading="misses", max_targets=3, seed=seed))
        users = {user for user, _, _ in histories(exam)}
        whole = {"ann": 3, "bob": 2, "new": 1}
        assert len(exam.targets) == sum(whole[user] for user in users)
        assert len(exam.targets) <= 3 and exam.counts.n_users == len(users)
        assert exam.counts.n_not_drawn == 6 - len(exam.targets)
        again = build_exam(test_log, Settings(reading="misses", max_targets=3, seed=seed))
        assert histories(again) == histories(exam)
    drawn = {
        histories(build_exam(test_log, Settings(max_targets=1, seed=seed)))[0][0]
        for seed in range(12)
    }
    assert drawn == {"ann", "bob", "new"}  # at least one user, however many targets it has


@pytest.mark.parametrize("reading", ["warm", "misses", "growing"])
@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("kind", ["event", "basket"])
def test_every_event_is_accounted_for(
    test_log: Log, reading: Reading, repeats: bool, kind: str
) -> None:
    exam = build_exam(
        test_log,
        Settings(reading=reading, repeats=repeats, targets=kind, max_targets=2),  # type: ignore[arg-type]  # one of the two
    )
    c = exam.counts
    left_out = c.n_cold_skipped + c.n_outside + c.n_repeats_skipped + c.n_doubles + c.n_not_drawn
    assert c.n_targets + left_out == c.n_events == 6


# --- what it refuses -----------------------------------------------------------------------------


def test_a_test_log_without_its_past(test_log: Log, make_log: Make) -> None:
    with pytest.raises(ConfigError, match=r"does not know what came before.*log\.split_at\(cut\)"):
        build_exam(Log(test_log.events), Settings())
    with pytest.raises(ConfigError, match=r"expected events in the past of the test log, found no"):
        build_exam(make_log("ann a 0").since(0), Settings())
    assert test_log.past is not None
    with pytest.raises(ConfigError, match=r"expected events in the test log, found none"):
        build_exam(test_log.past.since(test_log.end), Settings())


def test_ids_of_two_types(test_log: Log) -> None:
    numbers = test_log.events.with_columns(item_id=test_log.events["item_id"].rank().cast(int))
    with pytest.raises(DataError, match=r"item_id of one type before and after the cut, found Str"):
        build_exam(Log.from_frame(numbers, past=test_log.past), Settings())


def test_no_target_left_says_where_they_went(make_log: Make) -> None:
    log = make_log("ann a 0, ann a 10, ann b 11")
    test = log.split_at(log.start + 10 * MINUTE)[1]
    with pytest.raises(
        DataError,
        match=r"no target is left of 2 test events: 1 are on items that training never saw "
        r"\(reading='warm'\), 0 on items that are no candidates, 1 repeat an item of the history",
    ):
        build_exam(test, Settings(repeats=False))


def test_all_faults_of_the_settings_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(
            ks=(0,),
            history="live",  # type: ignore[arg-type]  # on purpose
            reading="cold",  # type: ignore[arg-type]  # on purpose
            ties="low",  # type: ignore[arg-type]  # on purpose
            targets="user",  # type: ignore[arg-type]  # on purpose
            max_targets=0,
            resamples=0,
        )
    text = str(caught.value)
    for part in (
        "7 faults",
        "expected history as one of 'rolling', 'frozen', found 'live'",
        "expected reading as one of 'warm', 'misses', 'growing', 'listed', found 'cold'",
        "expected ties as one of 'mean', 'worst', 'best', found 'low'",
        "expected targets as one of 'event', 'basket', found 'user'",
        "expected k as one or more whole numbers from 1, found (0,)",
        "expected max_targets of at least 1 or None, found 0",
        "expected resamples of at least 1, found 0",
    ):
        assert part in text
    for ks in ((), (True,), (2.5,), (5, -1)):
        with pytest.raises(ConfigError, match="expected k as one or more whole numbers from 1"):
            Settings(ks=ks)  # type: ignore[arg-type]  # on purpose
    assert Settings(ks=(5, 10)).k == 5
