"""Arrivals: a view of them stays as it was, and many join histories as one by one would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.arrivals import Arrivals, Events, inserted
from recency.data.histories import Histories
from recency.data.timelines import Timelines

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 6)), max_size=30)


def events_of(rows: list[tuple[int, int, int]]) -> Events:
    """Rows of user, time and item."""
    users, times, items = np.array(rows, np.int64).reshape(-1, 3).T
    n = len(rows)
    return Events(users, items, times, np.full(n, -1), np.arange(n, dtype=np.float32))


def histories_of(rows: list[tuple[int, int, int]]) -> Histories:
    found, _ = inserted(
        Histories(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)),
        events_of(rows),
    )
    return found


def told(histories: Histories) -> list[list[tuple[int, int]]]:
    pairs = list(zip(histories.times.tolist(), histories.items.tolist(), strict=True))
    stops = histories.offsets.tolist()
    return [pairs[a:b] for a, b in zip(stops, stops[1:], strict=False)]


def slowly(rows: list[tuple[int, int, int]]) -> list[list[tuple[int, int]]]:
    """Sort each user's events by time, equal ones as they came."""
    n_users = 1 + max((user for user, _, _ in rows), default=-1)
    return [
        sorted(((time, item) for user, time, item in rows if user == one), key=lambda e: e[0])
        for one in range(n_users)
    ]


@given(old=ROWS, new=ROWS)
@settings(max_examples=100, deadline=None)
def test_events_go_where_their_time_belongs_and_ties_keep_their_order(
    old: list[tuple[int, int, int]], new: list[tuple[int, int, int]]
) -> None:
    base = histories_of(old)
    before = told(base)
    found, intact = inserted(base, events_of(new))
    assert told(found) == slowly(old + new) and told(base) == before
    for user, now in enumerate(told(found)):
        had = before[user] if user < len(before) else []
        same = intact.get(user, len(had))
        assert now[:same] == had[:same]
        late = [time for one, time, _ in new if one == user and had and time < had[-1][0]]
        assert (user in intact) == bool(late)
        if late:
            assert same == sum(time <= min(late) for time, _ in had)


def test_a_view_of_what_arrived_stays_as_it_is() -> None:
    arrivals = Arrivals()
    arrivals.add(events_of([(0, 1, 2), (1, 2, 3)]))
    view = arrivals.events
    for n in range(200):
        arrivals.add(events_of([(n, n, n)]))
    assert len(arrivals) == 202 and len(view) == 2 and view.items.tolist() == [2, 3]
    assert arrivals.events.since(200).users.tolist() == [198, 199]


@given(old=ROWS, first=ROWS, later=ROWS)
@settings(max_examples=60, deadline=None)
def test_folding_what_was_frozen_changes_no_history(
    old: list[tuple[int, int, int]],
    first: list[tuple[int, int, int]],
    later: list[tuple[int, int, int]],
) -> None:
    timelines = Timelines(histories_of(old))
    for row in first:
        timelines.add(events_of([row]))
    frozen = timelines.freeze()
    for row in later:
        timelines.add(events_of([row]))
    assert told(frozen.histories()) == slowly(old + first)
    timelines.fold(frozen, frozen.histories())
    everything = slowly(old + first + later)
    assert told(timelines.histories()) == everything
    users = np.arange(len(everything))
    assert told(timelines.histories(users)) == everything
    assert len(timelines.freeze().arrived) == len(later) if first else True


def test_a_fold_that_comes_too_late_does_nothing() -> None:
    timelines = Timelines(histories_of([(0, 1, 1)]))
    timelines.add(events_of([(0, 2, 2)]))
    frozen = timelines.freeze()
    timelines.fold()  # the flat arrays are replaced meanwhile
    timelines.add(events_of([(0, 3, 3)]))
    timelines.fold(frozen, frozen.histories())
    assert told(timelines.histories()) == [[(1, 1), (2, 2), (3, 3)]]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_insert_gives_the_same_back(n: int) -> None:
    base = histories_of([(0, 1, 1)] * n)
    assert inserted(base, events_of([]))[0] is base
