import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.histories import (
    NO_GAP,
    PADDING,
    UNKNOWN,
    Histories,
    ragged_positions,
    stable_order,
)
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import DataError


def log_of(rows: list[tuple[int, int, int]], **columns: list[object]) -> Log:
    """Make a log from (user, item, second) rows."""
    table = pl.DataFrame(
        rows,
        schema={"user_id": pl.Int64, "item_id": pl.Int64, "timestamp": pl.Int64},
        orient="row",
    ).with_columns(**{name: pl.Series(cells) for name, cells in columns.items()})
    times = (pl.col("timestamp") * 1_000_000).cast(pl.Datetime("us", "UTC"))
    return Log.from_frame(table.with_columns(timestamp=times))


def build(log: Log) -> Histories:
    users = Vocab.from_ids(log.events["user_id"])
    items = Vocab.from_ids(log.events["item_id"])
    types = Vocab.from_ids(log.events["event_type"]) if log.has("event_type") else None
    return Histories.build(log, users, items, types)


# User 7: items 1 and 2 at second 10 (a tie), 3 at 15. User 8: item 2 at 12.
ROWS = [(7, 1, 10), (7, 2, 10), (8, 2, 12), (7, 3, 15)]


def test_a_small_log_by_hand() -> None:
    h = build(log_of(ROWS, value=[1.0, None, 2.0, 3.0], event_type=["v", "b", "v", "v"]))
    assert h.offsets.tolist() == [0, 3, 4]
    assert h.items.tolist() == [0, 1, 2, 1]
    assert h.times.tolist() == [10_000_000, 10_000_000, 15_000_000, 12_000_000]
    assert h.gaps.tolist() == [NO_GAP, 0.0, 5.0, NO_GAP]
    assert h.group_start.tolist() == [0, 0, 2, 3]
    assert h.user_of.tolist() == [0, 0, 0, 1]
    assert h.types is not None and h.types.tolist() == [0, 1, 0, 0]
    assert h.values is not None and np.isnan(h.values[1])
    assert h.values[[0, 2, 3]].tolist() == [1.0, 3.0, 2.0]
    assert (h.n_users, h.n_events, h.lengths.tolist()) == (2, 4, [3, 1])
    assert h.nbytes == 3 * 8 + 4 * (4 + 8 + 2 + 4)


def test_gather_pads_on_the_right_and_keeps_true_gaps() -> None:
    h = build(log_of(ROWS))
    batch = h.gather(np.array([1, 3]), np.array([3, 4]))
    assert batch.items.tolist() == [[1, 2], [1, PADDING]]
    assert batch.gaps.tolist() == [[0.0, 5.0], [NO_GAP, NO_GAP]]
    assert batch.times[1, 1] == 0
    assert (batch.types == UNKNOWN).all() and np.isnan(batch.values).all()
    assert batch.lengths.tolist() == [2, 1] and len(batch) == 2
    assert h.gather(np.array([0]), np.array([0])).items.shape == (1, 0)


def test_an_item_outside_the_vocabulary_is_unknown_and_a_user_is_an_error() -> None:
    log = log_of(ROWS)
    users, items = Vocab.from_ids(log.events["user_id"]), Vocab.from_ids(pl.Series([3]))
    assert Histories.build(log, users, items).items.tolist() == [UNKNOWN, UNKNOWN, 0, UNKNOWN]
    with pytest.raises(DataError, match=r"1 users of the log are not in the vocabulary.*\[8\]"):
        Histories.build(log, Vocab.from_ids(pl.Series([7])), items)


EVENT = st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 20))


@given(st.lists(EVENT, min_size=1, max_size=40), st.integers(-1, 22))
def test_stops_before_is_a_binary_search_in_each_slice(
    rows: list[tuple[int, int, int]], second: int
) -> None:
    h = build(log_of(rows))
    users = np.tile(np.arange(h.n_users), 20)  # many are searched all at once, few one by one
    stops = h.stops_before(users, np.full(len(users), second * 1_000_000))
    few = h.stops_before(users[: h.n_users], np.full(h.n_users, second * 1_000_000))
    assert np.array_equal(stops, np.tile(few, 20))
    for user, stop in enumerate(few):
        times = h.times[h.offsets[user] : h.offsets[user + 1]]
        assert stop - h.offsets[user] == (times < second * 1_000_000).sum()


def test_to_cut_nothing_copies_nothing() -> None:
    h = build(log_of(ROWS))
    assert h.cut(h.offsets[1:]) is h
    assert h.cut(h.offsets[:-1]).n_events == 0


@given(st.lists(EVENT, min_size=1, max_size=40))
def test_groups_are_the_events_of_one_user_at_one_instant(rows: list[tuple[int, int, int]]) -> None:
    h = build(log_of(rows))
    for position in range(h.n_events):
        peers = (h.user_of == h.user_of[position]) & (h.times == h.times[position])
        assert h.group_start[position] == np.flatnonzero(peers)[0]


@given(st.lists(EVENT, min_size=1, max_size=40), st.permutations(range(5)))
def test_select_is_indexing_by_user(rows: list[tuple[int, int, int]], order: list[int]) -> None:
    h = build(log_of(rows))
    users = np.array([u for u in order if u < h.n_users])
    chosen = h.select(users)
    for row, user in enumerate(users):
        ours = slice(chosen.offsets[row], chosen.offsets[row + 1])
        theirs = slice(h.offsets[user], h.offsets[user + 1])
        assert chosen.items[ours].tolist() == h.items[theirs].tolist()
        assert chosen.gaps[ours].tolist() == h.gaps[theirs].tolist()


@given(st.lists(EVENT, min_size=1, max_size=40), st.integers(0, 10_000))
def test_gathered_gaps_are_those_of_the_events(rows: list[tuple[int, int, int]], seed: int) -> None:
    h = build(log_of(rows))
    rng = np.random.default_rng(seed)
    users = rng.integers(0, h.n_users, 6)
    starts = h.offsets[users] + rng.integers(0, h.lengths[users] + 1)
    stops = rng.integers(starts, h.offsets[users + 1] + 1)
    batch = h.gather(starts, stops)
    for gaps, start, stop in zip(batch.gaps, starts, stops, strict=True):
        assert gaps[: stop - start].tobytes() == h.gaps[start:stop].tobytes()
        assert (gaps[stop - start :] == NO_GAP).all()


@given(st.lists(EVENT, min_size=1, max_size=40), st.integers(1, 50))
def test_blocks_part_the_users(rows: list[tuple[int, int, int]], most: int) -> None:
    h = build(log_of(rows))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("recency.data.histories.BLOCK", most)
        blocks = list(h.blocks())
    assert [user for first, last in blocks for user in range(first, last)] == list(range(h.n_users))
    assert all(h.lengths[a:b].sum() <= most or b == a + 1 for a, b in blocks)


@given(st.lists(st.integers(0, 9)))
def test_the_stable_order_is_a_stable_argsort(rows: list[int]) -> None:
    found = stable_order(np.array(rows, np.int64))
    assert found.tolist() == np.argsort(np.array(rows, np.int64), kind="stable").tolist()


def test_ragged_positions() -> None:
    assert ragged_positions(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ragged_positions(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []
