"""PairShares: rows are kept until an event moves them, and no more of them than there is room."""

import numpy as np
import pytest

from recency.data.pairs import PairCounts
from recency.nn import pair_shares as module
from recency.nn.pair_shares import PairShares

HOUR = 3_600_000_000


def test_rows_are_shares_at_each_half_life() -> None:
    pairs = [PairCounts(3_600.0), PairCounts(2 * 3_600.0)]
    for one in pairs:
        one.add(1, [0], 0)
        one.add(2, [0], 2 * HOUR)
    shares = PairShares(pairs)
    others, found, known = shares.rows([0, 5])[0]
    assert others.tolist() == [1, 2] and known.tolist() == [1, 1]
    assert found == pytest.approx(np.array([[1 / 5, 4 / 5], [1 / 3, 2 / 3]]))
    nothing = shares.rows([5])[5]
    assert nothing[1].shape == (2, 0) and nothing[2].tolist() == [0, 0]


def test_a_row_is_looked_up_anew_once_forgotten() -> None:
    pairs = [PairCounts(3_600.0)]
    pairs[0].add(1, [0], 0)
    shares = PairShares(pairs)
    before = shares.rows([0])[0]
    pairs[0].add(2, [0], 0)
    assert shares.rows([0])[0] is before
    shares.forget([0, 77])
    assert shares.rows([0])[0][0].tolist() == [1, 2]
    shares.clear()
    assert shares.rows([0])[0] is not before


def test_the_oldest_rows_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 4)
    pairs = [PairCounts(3_600.0)]
    for item in range(1, 5):
        pairs[0].add(item, [0, 9], 0)
    shares = PairShares(pairs)
    for item in (1, 2, 3, 4, 0):
        assert len(shares.rows([item])[item][0]) == (4 if item == 0 else 2)
    assert shares._n_kept <= 4
