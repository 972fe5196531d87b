"""The heap is kept while training goes on, and given back afterwards."""

import ctypes
import platform

import pytest

from recency.training import heap
from recency.training.heap import kept_heap


class Libc:
    """Note what is asked of the heap."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def mallopt(self, name: int, value: int) -> int:
        self.asked.append((name, value))
        return 1

    def malloc_trim(self, kept: int) -> int:
        self.asked.append((kept,))
        return 1


@pytest.fixture
def libc(monkeypatch) -> Libc:
    found = Libc()
    for name in heap._CHOSEN_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: found)
    return found


def test_what_was_kept_is_given_back_even_after_a_fault(libc):
    with pytest.raises(ZeroDivisionError), kept_heap():
        assert libc.asked == [(-3, 2**25), (-1, 2**30)]
        raise ZeroDivisionError
    assert libc.asked[2:] == [(-1, 2**26), (0,)]


def test_who_has_chosen_thresholds_is_left_alone(libc, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    with kept_heap():
        pass
    assert libc.asked == []


def test_another_libc_does_as_ever(libc, monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with kept_heap():
        pass
    assert libc.asked == []
