"""Tallies: counts strictly before an instant, as a slow loop gives them."""

import numpy as np
import pytest

from recency.data.histories import Histories
from recency.data.tallies import YEAR, Ledger, Tally, seasons


@pytest.fixture
def tally() -> tuple[Tally, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    keys, times = rng.integers(0, 5, 60), rng.integers(0, 20, 60) * 1_000_000
    amounts = np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60))
    return Tally(keys, times, amounts), keys, times, amounts


def test_counts_and_sums_are_those_strictly_before(tally):
    found, keys, times, amounts = tally
    asked, at = np.repeat(np.arange(-1, 7), 22), np.tile(np.arange(22) * 1_000_000, 8)
    counts, sums = found.before(asked, at)
    newest = found.newest(asked, at)
    for n, (key, instant) in enumerate(zip(asked, at, strict=True)):
        there = (keys == key) & (times < instant) & np.isfinite(amounts)
        assert counts[n] == there.sum()
        assert sums[n, 0] == pytest.approx(amounts[there].sum(), abs=1e-9)
        if there.any():
            assert newest[n] == (instant - times[there].max()) / 1e6
        else:
            assert np.isnan(newest[n])


def test_nothing_at_all_counts_as_nothing():
    empty = Tally(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    counts, sums = empty.before(np.array([1, 2]), np.array([5, 6]))
    assert counts.tolist() == [0, 0] and sums.tolist() == [[0], [0]]
    assert np.isnan(empty.newest(np.array([1]), np.array([5]))).all()


def test_a_ledger_keeps_unknown_items_apart_from_every_pair():
    times = np.arange(3) * 1_000_000
    histories = Histories(np.array([0, 2, 3]), np.array([0, -1, 1], np.int32), times)
    ledger = Ledger.of(histories, n_items=2)
    assert ledger.until == 2_000_001
    assert len(set(ledger.pairs(ledger.users, ledger.items).tolist())) == 3
    assert np.isnan(ledger.values).all() and (ledger.types == -1).all()


def test_a_pair_with_a_stranger_is_nobody_elses():
    histories = Histories(
        offsets=np.array([0, 1, 2]), items=np.array([1, -1], np.int32), times=np.array([0, 1])
    )
    ledger = Ledger.of(histories, n_items=2)
    known = set(ledger.pairs(ledger.users, ledger.items).tolist())
    strangers = ledger.pairs(np.array([0, 1, 2, -1]), np.array([-2, -2, -2, 1]))
    assert not known & set(strangers.tolist())


def test_seasons_come_round_after_a_year():
    at = np.array([0.0, 0.25, 0.5, 1.0]) * YEAR * 1e6
    found = np.stack(seasons(at.astype(np.int64)), axis=1)
    expected = [[0, 1, 0, 1], [1, 0, 0, -1], [0, -1, 0, 1], [0, 1, 0, 1]]
    assert found == pytest.approx(np.array(expected), abs=1e-6)
