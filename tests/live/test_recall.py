"""The experts' memories at any instant are those of a count of all events before it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.arrivals import Events
from recency.data.histories import Histories
from recency.data.timelines import Timelines
from recency.live import recall as module
from recency.live.recall import Recall
from recency.nn.experts import ExpertConfig
from recency.nn.memories import Memories

CONFIG = ExpertConfig(pair=("2h",), crowd=("1h", "10h"))
HOUR, N_ITEMS = 3_600_000_000, 5

event = st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 12))
moves = st.lists(
    st.one_of(st.lists(event, min_size=1, max_size=4), st.integers(0, 14)), max_size=12
)


def events_of(rows: list[tuple[int, int, int]]) -> Events:
    users, items, hours = np.array(rows, np.int64).T
    none = np.full(len(rows), -1)
    return Events(users, items, hours * HOUR, none, none.astype(np.float32))


def square(memories: Memories) -> np.ndarray:
    found = np.zeros((N_ITEMS, N_ITEMS))
    for item in range(N_ITEMS):
        ((parts, total),) = memories.pairs[0].rows([item])
        for columns, weights in parts:
            if total > 1e-9:
                np.add.at(found[item], columns, weights / total)
    return found


def check(found: Memories, known: Histories) -> None:
    """Compare memories with a count of all that is known."""
    expected = Memories.of(CONFIG, known.user_of, known.items, known.times)
    np.testing.assert_allclose(found.shares(N_ITEMS), expected.shares(N_ITEMS), atol=1e-12)
    np.testing.assert_allclose(square(found), square(expected), atol=1e-9)


def check_after(moves: list[Any], change: Callable[[Timelines, Recall], None]) -> None:
    """Play events and questions, with a change half-way, and check what is remembered."""
    timelines = Timelines(empty())
    recall = Recall(CONFIG, timelines)
    for place, move in enumerate(moves):
        if isinstance(move, list):
            events = events_of(move)
            timelines.add(events)
            recall.take(events)
        else:
            recall.at(move * HOUR)
        if place == len(moves) // 2:
            change(timelines, recall)
    check(recall.at(20 * HOUR), timelines.histories())


def empty() -> Histories:
    return Histories(
        offsets=np.zeros(4, np.int64),
        items=np.empty(0, np.int32),
        times=np.empty(0, np.int64),
        types=None,
        values=None,
    )


@given(moves)
@settings(max_examples=150, deadline=None)
def test_any_order_of_events_and_questions_gives_the_same_memories(moves):
    timelines = Timelines(empty())
    recall = Recall(CONFIG, timelines)
    for move in moves:
        if isinstance(move, list):
            events = events_of(move)
            timelines.add(events)
            recall.take(events)
            continue
        found = recall.at(move * HOUR)
        histories = timelines.histories()
        users = np.arange(histories.n_users)
        past = histories.cut(histories.stops_before(users, np.full(len(users), move * HOUR)))
        check(found, past)


def test_a_clock_that_runs_ahead_is_waited_for():
    timelines = Timelines(empty())
    recall = Recall(CONFIG, timelines)
    recall.at(HOUR)
    for move in ([(0, 1, 1), (1, 2, 9)], [(0, 3, 2)]):
        timelines.add(events_of(move))
        recall.take(events_of(move))
    first = recall.at(3 * HOUR)
    assert first.shares(N_ITEMS)[0] == pytest.approx([0, 1 / 3, 0, 2 / 3, 0])
    assert recall.at(4 * HOUR) is first  # nothing was counted anew
    assert recall.at(10 * HOUR).shares(N_ITEMS)[0][2] > 0.9


def test_it_lags_where_many_events_wait_until_a_question_counts_them(monkeypatch):
    monkeypatch.setattr(module, "_NOTICED", 3)
    timelines = Timelines(empty())
    recall = Recall(CONFIG, timelines)
    recall.at(0)
    for waiting, row in enumerate([(0, 1, 1), (1, 2, 2), (0, 3, 3), (2, 1, 4)]):
        assert recall.lags == (waiting >= 3)
        timelines.add(events_of([row]))
        recall.take(events_of([row]))
    check(recall.at(5 * HOUR), timelines.histories())
    assert not recall.lags


def test_where_a_log_tells_days_alone_others_are_known_up_to_the_day():
    timelines = Timelines(empty())
    recall = Recall(replace(CONFIG, resolution="1d"), timelines)
    yesterday, today = events_of([(0, 1, 23)]), events_of([(1, 2, 25), (2, 3, 30)])
    for events in (yesterday, today):
        timelines.add(events)
        recall.take(events)
        assert recall.at(31 * HOUR).shares(N_ITEMS)[0] == pytest.approx([0, 1, 0, 0, 0])
    assert (recall.at(48 * HOUR).shares(N_ITEMS)[0] > 0).tolist() == [0, 1, 1, 1, 0]
    assert recall.at(47 * HOUR).shares(N_ITEMS)[0] == pytest.approx([0, 1, 0, 0, 0])


def test_questions_about_one_past_instant_are_counted_once():
    timelines = Timelines(empty())
    timelines.add(events_of([(0, 1, 1), (1, 2, 5), (0, 3, 9)]))
    recall = Recall(CONFIG, timelines)
    recall.at(10 * HOUR)
    past = recall.at(6 * HOUR)
    assert recall.at(6 * HOUR) is past
    late = events_of([(1, 4, 2)])
    timelines.add(late)
    recall.take(late)
    assert recall.at(6 * HOUR) is not past  # a late event changes the past
    assert recall.at(6 * HOUR).shares(N_ITEMS)[0][4] > 0


@given(moves, st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_memories_after_a_user_is_dropped_are_those_of_a_log_without_the_user(moves, user):
    def drop(timelines: Timelines, recall: Recall) -> None:
        gone = timelines.drop(user)
        recall.drop(user, gone, timelines.histories())

    check_after(moves, drop)


@given(moves, st.permutations([0, 1, 2]))
@settings(max_examples=150, deadline=None)
def test_memories_after_a_move_are_those_of_a_log_of_the_one_user(moves, order):
    source, target, _ = order

    def move(timelines: Timelines, recall: Recall) -> None:
        moved, _ = timelines.move(source, target)
        recall.move(source, target, moved)

    check_after(moves, move)


def test_a_user_whose_part_was_by_far_the_largest_leaves_no_rounding_errors():
    """A pair of 30 half-lives ago, and one of now that is taken away again."""
    timelines = Timelines(empty())
    recall = Recall(CONFIG, timelines)
    rows = [(0, 1, 0), (0, 2, 0), (0, 3, 0), (1, 1, 100), (1, 2, 100)]
    timelines.add(events_of(rows))
    recall.at(101 * HOUR)
    gone = timelines.drop(1)
    recall.drop(1, gone, timelines.histories())
    ((parts, total),) = recall.at(101 * HOUR).pairs[0].rows([1])
    shares = np.zeros(N_ITEMS)
    for columns, weights in parts:
        np.add.at(shares, columns, weights / total)
    assert total > 0
    expected = np.array([0, 0, 1, 2**-0.5, 0]) / (1 + 2**-0.5)
    assert shares == pytest.approx(expected, abs=1e-12)
