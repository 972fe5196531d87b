"""What a late event changes: the pairs within a window of it, and nothing else."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.pairs import WINDOW, PairCounts
from recency.nn.experts import ExpertConfig
from recency.nn.memories import Memories

CONFIG = ExpertConfig(pair=("60h", "600h"), crowd=("1h",))
HOUR, N_ITEMS = 3_600_000_000, 6
History = list[tuple[int, int]]  # time in microseconds, item

histories = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=60)
arrivals = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, N_ITEMS - 1)), min_size=1, max_size=3
)


def counted(history: History) -> Memories:
    times, items = np.array(history, np.int64).T
    return Memories.of(CONFIG, np.zeros(len(items), np.int64), items, times)


def square(memories: Memories) -> Any:
    """Give what goes with each item, [items, half-lives, items]."""
    found = np.zeros((N_ITEMS, len(CONFIG.pair), N_ITEMS))
    for item, row in memories.beside.rows(range(N_ITEMS)).items():
        for half_life, shares in enumerate(row.shares):
            if row.scale[half_life] < 1e9:  # more is what rounding left of nothing
                np.add.at(found[item, half_life], row.others, shares)
    return found


def with_late(history: History, late: History) -> History:
    return sorted([*history, *late], key=lambda row: row[0])


@given(histories, arrivals)
def test_late_events_are_counted_as_if_they_had_been_in_time(items, late):
    before = [(2 * n * HOUR, item) for n, item in enumerate(items)]
    fresh = [((2 * place + 1) * HOUR, item) for place, item in late]
    memories, now = counted(before), with_late(before, fresh)
    square(memories)  # rows are kept from now on
    memories.revise(0, before, now, fresh)
    np.testing.assert_allclose(square(memories), square(counted(now)), atol=1e-9)
    memories.revise(0, now, before, [])
    np.testing.assert_allclose(square(memories), square(counted(before)), atol=1e-9)


@pytest.mark.parametrize("place", [0, 50, 199])
def test_what_lies_far_behind_a_late_event_is_not_counted_again(place, monkeypatch):
    before = [(2 * n * HOUR, n % N_ITEMS) for n in range(200)]
    late = [((2 * place + 1) * HOUR, 3)]
    memories, n_added = counted(before), 0
    add = PairCounts.add

    def counting(self: PairCounts, *arguments: Any) -> None:
        nonlocal n_added
        n_added += 1
        add(self, *arguments)

    monkeypatch.setattr(PairCounts, "add", counting)
    memories.revise(0, before, with_late(before, late), late)
    behind = min(WINDOW, 199 - place)
    assert n_added == len(CONFIG.pair) * (2 * behind + 1)
