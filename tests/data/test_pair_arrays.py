"""Pair arrays: what is frozen stays, what is folded back or restored counts the same."""

import numpy as np
import pytest

from recency.data import pairs as module
from recency.data.pairs import PairCounts

HOUR = 3_600_000_000


def counted(pairs: PairCounts, n_items: int) -> np.ndarray:
    """Give the shares of all items beside each: [n_items, n_items]."""
    table = np.zeros((n_items, n_items))
    for item, (parts, total) in enumerate(pairs.rows(range(n_items))):
        for columns, weights in parts:
            np.add.at(table[item], columns, weights / total)
    return table


def shown(pairs: PairCounts, first: int, last: int, n_items: int) -> None:
    for n in range(first, last):
        pairs.add(n * 3 % n_items, [n * 5 % n_items, n * 7 % n_items], n * HOUR)


@pytest.mark.parametrize("half_life", [86_400.0, float("inf"), 300.0])
def test_counts_stay_the_same_while_they_are_frozen_and_folded(half_life: float) -> None:
    plain, pairs = PairCounts(half_life), PairCounts(half_life)
    shown(plain, 0, 60, 9)
    shown(pairs, 0, 30, 9)
    frozen = pairs.freeze()
    expected = counted(pairs, 9)
    shown(pairs, 30, 60, 9)
    assert counted(pairs, 9) == pytest.approx(counted(plain, 9), abs=1e-12)
    pairs.fold(frozen, frozen.merged())
    assert counted(pairs, 9) == pytest.approx(counted(plain, 9), abs=1e-12)
    restored = PairCounts(half_life)
    restored.restore(frozen.arrays())
    assert counted(restored, 9) == pytest.approx(expected, abs=1e-12)
    shown(restored, 30, 60, 9)
    assert counted(restored, 9) == pytest.approx(counted(plain, 9), abs=1e-12)


def test_a_second_copy_holds_what_the_first_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEWEST_MERGED", 8)  # merged many times
    plain, pairs = PairCounts(86_400.0), PairCounts(86_400.0)
    shown(plain, 0, 90, 9)
    for first in (0, 30, 60):
        shown(pairs, first, first + 30, 9)
        frozen = pairs.freeze()  # the ones before never come back
    restored = PairCounts(86_400.0)
    restored.restore(frozen.merged().arrays())
    for one in (pairs, restored):
        assert counted(one, 9) == pytest.approx(counted(plain, 9), abs=1e-12)


def test_nothing_counted_is_restored_too() -> None:
    pairs = PairCounts(60.0)
    pairs.restore(PairCounts(60.0).freeze().arrays())
    assert pairs.rows([0, 1]) == [([], 0.0), ([], 0.0)]
    shown(pairs, 0, 5, 4)
    assert sum(total for _, total in pairs.rows(range(4))) > 0
