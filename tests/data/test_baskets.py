"""Baskets: what shares an instant, or lies within a gap of the first event."""

import numpy as np
import pytest

from recency.data.baskets import Baskets
from recency.data.histories import Histories

MINUTE = 60_000_000


@pytest.fixture
def histories() -> Histories:
    """User 0 at minutes 0, 0, 8, 15, 30; user 1 never; user 2 at 5 and 15."""
    return Histories(
        offsets=np.array([0, 5, 5, 7]),
        items=np.array([4, 4, 2, 4, -1, 1, 1], np.int32),
        times=np.array([0, 0, 8, 15, 30, 5, 15]) * MINUTE,
    )


def test_without_a_gap_a_basket_is_an_instant(histories):
    found = Baskets.of_histories(histories)
    assert found.starts.tolist() == [0, 2, 3, 4, 5, 6]
    assert found.of.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert found.number.tolist() == [0, 1, 2, 3, 0, 1]


def test_a_gap_is_counted_from_the_first_event(histories):
    found = Baskets.of_histories(histories, 600)
    # Ten minutes from 0 take in 8, not 15, though 15 is within ten minutes of 8.
    assert found.starts.tolist() == [0, 3, 4, 5]
    assert found.of.tolist() == [0, 0, 0, 1, 2, 3, 3]  # the tenth minute itself belongs to it


def test_a_later_event_moves_no_earlier_basket(histories):
    for gap in (0, 600):
        whole = Baskets.of_histories(histories, gap)
        for stop in range(1, 6):
            cut = histories.cut(np.array([stop, 5, 5]))
            assert Baskets.of_histories(cut, gap).of.tolist() == whole.of[:stop].tolist()


def test_an_item_is_one_line_of_a_basket(histories):
    found = Baskets.of_histories(histories)
    assert found.lines(histories.items).tolist() == [0, 2, 3, 5, 6]
    longer = Baskets.of_histories(histories, 600)
    assert longer.lines(histories.items).tolist() == [0, 2, 3, 5]
