"""Timelines: whatever way events arrive, histories are those of the sorted log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data import timelines as module
from recency.data.arrivals import Events
from recency.data.histories import Histories
from recency.data.timelines import Timelines

EVENT = st.tuples(st.integers(0, 3), st.integers(0, 6))  # user, time


def events_of(rows: list[tuple[int, int]], first_item: int) -> Events:
    """Number the events by arrival: the item row tells them apart."""
    n = len(rows)
    return Events(
        users=np.array([user for user, _ in rows], np.int64),
        items=np.arange(first_item, first_item + n, dtype=np.int64),
        times=np.array([time for _, time in rows], np.int64),
        types=np.arange(n, dtype=np.int64) % 3,
        values=np.arange(n).astype(np.float32),
    )


def histories_of(events: Events, n_users: int = 4) -> Histories:
    """Sort by user and time, stably: the definition of what Timelines must hold."""
    order = np.lexsort((events.times, events.users))
    counts = np.bincount(events.users, minlength=n_users)
    return Histories(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=events.items[order].astype(np.int32),
        times=events.times[order],
        types=events.types[order].astype(np.int16),
        values=events.values[order],
    )


def same(a: Histories, b: Histories) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("offsets", "items", "times", "types", "values")
    )


@given(
    old=st.lists(EVENT, max_size=12),
    parts=st.lists(st.lists(EVENT, max_size=5), max_size=4),
    bulk=st.sampled_from([1, 3, 1_024]),
)
@settings(max_examples=150, deadline=None)
def test_any_arrival_gives_the_sorted_log(
    old: list[tuple[int, int]], parts: list[list[tuple[int, int]]], bulk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BULK", bulk)
        everything = events_of([*old, *(event for part in parts for event in part)], 0)
        n_old = len(old)
        timelines = Timelines(histories_of(take(everything, 0, n_old)))
        at = n_old
        for part in parts:
            before = timelines.histories(np.arange(4))
            intact = timelines.add(take(everything, at, at + len(part)))
            at += len(part)
            after = timelines.histories(np.arange(4))
            for user in range(4):
                n = intact.get(user, int(before.lengths[user]))
                first, second = before.offsets[user], after.offsets[user]
                kept = slice(first, first + n), slice(second, second + n)
                assert np.array_equal(before.items[kept[0]], after.items[kept[1]])
        assert same(timelines.histories(np.arange(4)), histories_of(everything))
        assert [timelines.count(u) for u in range(4)] == histories_of(everything).lengths.tolist()
        assert timelines.n_events == len(everything)


def test_selection_keeps_the_given_order() -> None:
    base = histories_of(events_of([(0, 1), (2, 1), (2, 5)], 0))
    timelines = Timelines(base)
    timelines.add(events_of([(2, 3), (0, 9)], 3))
    chosen = timelines.histories(np.array([2, 0, 3]))
    assert chosen.lengths.tolist() == [3, 2, 0]
    assert chosen.items.tolist() == [1, 3, 2, 0, 4]
    assert timelines.newest == 9


def test_events_of_later_users_are_kept() -> None:
    timelines = Timelines(histories_of(events_of([(0, 1)], 0), n_users=1))
    timelines.add(events_of([(7, 2)], 1))
    assert timelines.count(7) == 1
    assert timelines.histories().lengths.tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


@given(
    old=st.lists(EVENT, max_size=12),
    parts=st.lists(st.lists(EVENT, max_size=5), min_size=1, max_size=4),
    user=st.integers(0, 3),
    folded=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_dropped_user_has_never_been(
    old: list[tuple[int, int]], parts: list[list[tuple[int, int]]], user: int, folded: bool
) -> None:
    everything = events_of([*old, *(event for part in parts for event in part)], 0)
    timelines = Timelines(histories_of(take(everything, 0, len(old))))
    at, dropped_at = len(old), 0
    for place, part in enumerate(parts):
        timelines.add(take(everything, at, at + len(part)))
        at += len(part)
        if place == len(parts) // 2:
            frozen = timelines.freeze()
            n_gone, dropped_at = timelines.count(user), at
            assert timelines.drop(user).n_events == n_gone
            timelines.fold(frozen, frozen.histories())  # was taken before: brings nothing back
            assert timelines.count(user) == 0
    if folded:
        timelines.fold()
    kept = (everything.users != user) | (np.arange(len(everything)) >= dropped_at)
    expected = histories_of(everything.where(kept))
    assert same(timelines.histories(np.arange(4)), expected)
    assert timelines.n_events == expected.n_events
    assert timelines.newest == (int(expected.times.max()) if expected.n_events else None)


@given(
    old=st.lists(EVENT, max_size=12),
    new=st.lists(EVENT, max_size=12),
    pair=st.permutations([0, 1, 2, 3]),
)
@settings(max_examples=100, deadline=None)
def test_moved_events_stand_behind_those_of_their_time(
    old: list[tuple[int, int]], new: list[tuple[int, int]], pair: list[int]
) -> None:
    source, target = pair[:2]
    everything = events_of([*old, *new], 0)
    timelines = Timelines(histories_of(take(everything, 0, len(old))))
    timelines.add(take(everything, len(old), len(everything)))
    before = timelines.histories(np.array([target]))
    moved, intact = timelines.move(source, target)
    after = timelines.histories(np.array([target]))
    n_same = intact.get(target, before.n_events)
    assert np.array_equal(before.items[:n_same], after.items[:n_same])
    # As if all of the source's had come after all of the target's, under the target's name.
    last = everything.users == source
    users = np.where(last, target, everything.users)
    order = np.argsort(last, kind="stable")
    joint = take(everything, 0, len(everything))
    events = Events(users, joint.items, joint.times, joint.types, joint.values)
    chosen = Events(*(getattr(events, name)[order] for name in vars(events)))
    assert same(timelines.histories(np.arange(4)), histories_of(chosen))
    assert moved.n_events == int(last.sum()) and timelines.n_events == len(everything)


def take(events: Events, start: int, stop: int) -> Events:
    return Events(
        events.users[start:stop],
        events.items[start:stop],
        events.times[start:stop],
        events.types[start:stop],
        events.values[start:stop],
    )


@given(
    old=st.lists(EVENT, max_size=12),
    parts=st.lists(st.lists(EVENT, max_size=5), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_newest_events_are_the_last_of_the_histories(
    old: list[tuple[int, int]], parts: list[list[tuple[int, int]]]
) -> None:
    everything = events_of([*old, *(event for part in parts for event in part)], 0)
    timelines = Timelines(histories_of(take(everything, 0, len(old))))
    at = len(old)
    for part in parts:
        timelines.add(take(everything, at, at + len(part)))
        at += len(part)
    users = np.flatnonzero([timelines.count(user) for user in range(4)])
    if not len(users):
        return
    known = timelines.histories(users)
    expected = known.gather(known.offsets[1:] - 1, known.offsets[1:])
    newest = timelines.newest_events(users)
    for name in ("items", "times", "gaps", "types", "values", "lengths"):
        np.testing.assert_array_equal(getattr(newest, name), getattr(expected, name))
