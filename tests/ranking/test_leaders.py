"""Leaders: every cell that reaches the k-th best is found, whatever the size of the block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.errors import DataError
from recency.ranking.leaders import leaders, ranked
from recency.ranking.topk import top_k


@given(
    n=st.sampled_from([1, 5, 63, 700, 5_003]),
    k=st.integers(1, 12),
    levels=st.sampled_from([1, 3, 10_000]),
    share=st.sampled_from([1.0, 0.5]),
    seed=st.integers(0, 50),
)
@settings(max_examples=60, deadline=None)
def test_leaders_hold_the_best(n: int, k: int, levels: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, (3, n)).astype(np.float32) + 1
    values[random.random((3, n)) < 0.2] = 0
    rows, columns = leaders(values, k, share, least=0.5)
    assert (np.diff(rows) >= 0).all()
    found = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found) == len(rows)
    for row in range(3):
        kth = np.sort(values[row])[::-1][min(k, n) - 1]
        must = np.flatnonzero((values[row] >= kth) & (values[row] > 0.5))
        assert {(row, int(column)) for column in must} <= found
    values[values == 0] = -np.inf
    expected = top_k(values, k)
    listed = ranked(rows, columns, values[rows, columns], (3, k))
    assert listed[0].tolist() == expected[0].tolist()
    assert listed[1].tolist() == expected[1].tolist()


def test_what_is_near_enough_is_found_too() -> None:
    values = np.array([[5.0, 4.9, 4.0, -np.inf]])
    assert leaders(values, 1, spare=0.2)[1].tolist() == [0, 1]
    assert leaders(values, 1, spare=np.array([2.0]))[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [10, 4_000])
def test_nan_is_refused(n: int) -> None:
    values = np.zeros((2, n), np.float32)
    values[1, n // 2] = np.nan
    with pytest.raises(DataError, match="1 rows of scores hold NaN"):
        leaders(values, 3)
