"""Garbage is searched for when nobody waits; what Python searches in between stays short."""

import gc
import weakref

import pytest

from recency.serving.garbage import Garbage


class Clock:
    """Tell the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Link:
    """Hold another one."""

    other: "Link"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def garbage(clock):
    one = Garbage(clock)
    one.begin()
    yield one
    one.end()


def circle():
    one, other = Link(), Link()
    one.other, other.other = other, one
    return one


def test_what_lives_is_not_walked_through_again(garbage):
    kept = [[n] for n in range(100_000)]  # far more than Python lets pass without a search
    young = sum(len(gc.get_objects(generation)) for generation in range(3))
    assert young < len(kept) / 4


def test_what_was_set_aside_is_freed_when_nobody_holds_it(garbage):
    one = Link()
    gc.collect()
    gone = weakref.ref(one)
    del one
    assert gone() is None


def test_a_circle_is_found_in_a_quiet_second_after_a_while(garbage, clock):
    gone = weakref.ref(circle())
    held = circle()
    later = weakref.ref(held)
    gc.collect(1)  # the first is found, the second set aside
    assert gone() is None
    del held
    gc.collect()
    assert later() is not None
    clock.now += 599
    assert not garbage.look(0, underway=False)
    clock.now += 2
    assert garbage.look(0, underway=False)
    assert later() is None


def test_nobody_who_waits_waits_for_a_search(garbage, clock):
    clock.now += 700
    assert not garbage.look(5, underway=False)  # five have come since
    clock.now += 0.9
    assert not garbage.look(5, underway=False)
    clock.now += 0.2
    assert not garbage.look(5, underway=True)
    clock.now += 0.9
    assert not garbage.look(5, underway=False)
    clock.now += 0.2
    assert garbage.look(5, underway=False)
    assert not garbage.look(5, underway=False)  # done


def test_a_server_that_is_never_quiet_searches_once_a_day(garbage, clock):
    clock.now += 86_399
    assert not garbage.look(1, underway=True)
    clock.now += 1
    assert garbage.look(2, underway=True)


def test_in_the_end_it_is_left_to_python(clock):
    callbacks = list(gc.callbacks)
    garbage = Garbage(clock)
    garbage.begin()
    assert gc.get_freeze_count()
    garbage.end()
    assert gc.callbacks == callbacks
    assert not gc.get_freeze_count()
