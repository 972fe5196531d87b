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
    row = shares.rows([0, 5])[0]
    assert row.others.tolist() == [1, 2] and row.known.tolist() == [1, 1]
    assert row.shares == pytest.approx(np.array([[1 / 5, 4 / 5], [1 / 3, 2 / 3]]))
    nothing = shares.rows([5])[5]
    assert nothing.shares.shape == (2, 0) and nothing.known.tolist() == [0, 0]


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


def test_events_one_at_a_time_move_the_rows_as_if_looked_up_anew() -> None:
    random = np.random.default_rng(3)
    pairs = [PairCounts(3_600.0), PairCounts(float("inf"))]
    shares, n_items = PairShares(pairs), 6
    for n in range(400):
        item, before = int(random.integers(n_items)), random.integers(-1, n_items, 3).tolist()
        time = n * HOUR // 10 if n < 300 else (n + 10**6) * HOUR  # then decay is counted anew
        for one in pairs:
            one.add(item, before, time)
        shares.add(item, before, time)
        asked = random.integers(0, n_items, 2).tolist()
        for about, row in shares.rows(asked).items():
            fresh = PairShares(pairs).rows([about])[about]
            assert dense(row, n_items) == pytest.approx(dense(fresh, n_items), abs=1e-12)
            assert len(row.others) < 3 * n_items + 20  # repeats of a pair are joined in time
    assert shares._n_kept == sum(one.size for one in shares._kept.values())


def dense(row: module.Row, n_items: int) -> np.ndarray:
    found = np.zeros((len(row.scale), n_items))
    for line, shares in zip(found, row.shares, strict=True):
        np.add.at(line, row.others, shares)
    return found


def test_rows_that_nobody_asks_about_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 45)  # each has room for 18 or 21
    pairs = [PairCounts(3_600.0)]
    for item in range(1, 5):
        pairs[0].add(item, [0, 9], 0)
    shares = PairShares(pairs)
    for item in (1, 2, 1, 3, 0):
        assert len(shares.rows([item])[item][0]) == (4 if item == 0 else 2)
        assert shares._n_kept <= 45
    assert list(shares._kept) == [3, 0]
    assert list(shares.rows([3, 4])) == [3, 4] and list(shares._kept) == [3, 4]
