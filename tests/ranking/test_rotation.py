"""What was shown steps back, and comes forward again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.ranking.rotation import Impressions

HOUR = 3_600_000_000


def test_the_loss_by_hand() -> None:
    shown = Impressions()
    shown.note("u", ["a", "b"], 0)
    shown.note("u", ["a"], HOUR)
    found = shown.losses("u", 2 * HOUR, rate=0.8, half_life=3600)
    # b: shown two half-lives ago, 1 - 0.8 / 4. a: also one ago, 1 - 0.8 (1 - 3/4 * 1/2).
    assert np.exp(found["b"]) == pytest.approx(0.8)
    assert np.exp(found["a"]) == pytest.approx(0.5)
    assert shown.losses("v", 2 * HOUR, 0.8, 3600) == {}


@given(st.floats(0.01, 1), st.lists(st.integers(1, 100), min_size=2, max_size=6))
def test_a_loss_only_fades(rate: float, ages: list[int]) -> None:
    shown = Impressions()
    shown.note("u", ["a"], 0)
    losses = [shown.losses("u", age * HOUR, rate, 7200.0)["a"] for age in sorted(ages)]
    assert all(one <= two for one, two in zip(losses, losses[1:], strict=False))
    assert np.log(1e-9) - 1e-9 <= min(losses) and max(losses) <= 0
    assert shown.losses("u", 10_000 * HOUR, rate, 7200.0)["a"] == pytest.approx(0)


def test_what_is_shown_at_the_instant_or_later_does_not_count() -> None:
    shown = Impressions()
    shown.note("u", ["a"], 5)
    assert shown.losses("u", 5, 1.0, 60.0) == {}
    assert shown.losses("u", 6, 1.0, 60.0)["a"] == pytest.approx(np.log(1e-9), rel=0.5)


def test_memory_is_bounded() -> None:
    shown = Impressions(most=10, lists=2)
    for n in range(50):
        shown.note(f"u{n % 7}", ["a", "b", "c"], n)
    assert len(shown) == 9 and [shown.count(f"u{n}") for n in (5, 6, 0, 1)] == [3, 3, 3, 0]
    shown.note("u6", [], 60)
    assert shown.count("u6") == 3
    lists = Impressions(lists=2)
    for n in range(5):
        lists.note("u", ["a", f"b{n}"], n)
    assert len(lists) == 4 and set(lists.losses("u", 9, 0.5, 60.0)) == {"a", "b3", "b4"}


def test_a_list_told_twice_is_shown_once() -> None:
    shown = Impressions()
    for _ in range(2):
        shown.note("u", ["a", "b"], 1)
    assert shown.count("u") == len(shown) == 2


def test_users_are_forgotten_and_joined() -> None:
    shown = Impressions()
    shown.note("a", ["x"], 1)
    shown.note("b", ["y"], 2)
    shown.merge("a", "b")
    assert shown.count("a") == 0 and set(shown.losses("b", 3, 0.5, 60.0)) == {"x", "y"}
    shown.forget("b")
    assert len(shown) == 0
    shown.forget("nobody")
