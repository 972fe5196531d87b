import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data import counts as module
from recency.data.counts import DecayedCounts

DAY = 86_400_000_000


def test_by_hand() -> None:
    counts = DecayedCounts(86_400.0)
    counts.add(np.array([0, 1, -1]), np.array([0, DAY, DAY]))
    # Two days after the first event item 0 has 1/4 and item 1 has 1/2; unknown items count nowhere.
    assert counts.at(2 * DAY, 3).tolist() == pytest.approx([0.25, 0.5, 0.0])
    assert counts.log_counts(2 * DAY, 3).tolist() == [-2.0, -1.0, -np.inf]


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4_000)), min_size=1, max_size=30)


@given(EVENTS, st.integers(1, 5), st.sampled_from([0, 3, 256]))
@settings(deadline=None)
def test_any_order_and_any_grouping_count_the_same(
    events: list[tuple[int, int]], size: int, few: int
) -> None:
    items = np.array([item for item, _ in events])
    days = np.array([day for _, day in events])
    counts = DecayedCounts(2 * 86_400.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        for start in range(0, len(events), size):  # late events and jumps of years included
            part = slice(start, start + size)
            counts.add(items[part], days[part] * DAY)
    at = int(days.max())
    expected = np.zeros(5)
    np.add.at(expected, items, np.exp2(-(at - days) / 2))
    assert counts.at(at * DAY, 5) == pytest.approx(expected, rel=1e-8, abs=1e-200)


def test_nothing_counted() -> None:
    counts = DecayedCounts(1.0, n_items=2)
    counts.add(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    assert counts.at(0, 2).tolist() == [0, 0]
