import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data import newest
from recency.data.newest import newest_begins

TIMES = st.lists(st.integers(-(10**4), 10**16), min_size=1, max_size=60)


@given(TIMES, st.floats(0, 1), st.booleans(), st.sampled_from([3, 2**21]))
def test_it_is_the_sorted_one(times: list[int], share: float, late: bool, block: int) -> None:
    events = np.array(times, np.int64)
    since = sorted(times)[len(times) // 2] if late else None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(newest, "BLOCK", block)
        found = newest_begins(events, share, since)
    counted = np.sort(events if since is None else events[events >= since])
    assert found == counted[min(int((1 - share) * len(counted)), len(counted) - 1)]


def test_equal_times_need_no_pass_more() -> None:
    assert newest_begins(np.full(9, 5), 0.1) == 5
