import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recency.data.appearances import NEVER, Appearances

events = st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 99)), max_size=40)


@given(events, st.integers(1, 5), st.integers(0, 25))
def test_counts_and_first_instants(rows: list[tuple[int, int]], step: int, n_items: int) -> None:
    one = Appearances()
    for start in range(0, len(rows), step):
        part = np.array(rows[start : start + step], np.int64).reshape(-1, 2)
        one.add(part[:, 0], part[:, 1])
    for item in range(n_items):
        times = [time for which, time in rows if which == item]
        assert one.counts(n_items)[item] == len(times)
        assert one.first(n_items)[item] == min(times, default=NEVER)
    assert len(one.counts(n_items)) == len(one.first(n_items)) == n_items
