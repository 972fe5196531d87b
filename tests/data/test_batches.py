"""Training batches: which targets are asked, from where, and how windows are cut and packed."""

import numpy as np
import pytest

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import NO_GAP, UNKNOWN, Histories
from recency.errors import ConfigError
from recency.training.plan import tokens_for

SECOND = 1_000_000


def histories_of(*users: list[tuple[int, int]]) -> Histories:
    """Histories from (item, second) pairs, a list a user."""
    events = [event for user in users for event in user]
    return Histories(
        offsets=np.cumsum([0, *map(len, users)]),
        items=np.array([item for item, _ in events], np.int32),
        times=np.array([second for _, second in events], np.int64) * SECOND,
    )


def random_histories(seed: int, n_users: int = 40, longest: int = 60, ties: float = 0.4):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, longest, n_users)
    n = int(lengths.sum())
    steps = np.where(generator.random(n) < ties, 0, generator.integers(1, 100, n))
    times = np.concatenate(
        [np.cumsum(part) for part in np.split(steps, np.cumsum(lengths)[:-1])] or [steps]
    )
    return Histories(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=generator.integers(UNKNOWN, 30, n).astype(np.int32),
        times=times * SECOND,
    )


def asked(parts: list[TrainingBatch]) -> list[tuple[int, int, int, int]]:
    """List (source item, its time, target item, its time) of every target, sorted."""
    found = [
        (
            int(part.batch.items[row, source]),
            int(part.batch.times[row, source]),
            int(target),
            int(at),
        )
        for part in parts
        for row, source, target, at in zip(
            part.rows, part.sources, part.targets, part.at, strict=True
        )
    ]
    return sorted(found)


def expected(histories: Histories, since: int = 0, until: int = 2**62):
    """List the same by the definition, event by event."""
    found = []
    for user in range(histories.n_users):
        events = range(histories.offsets[user], histories.offsets[user + 1])
        for at in events:
            earlier = [p for p in events if histories.times[p] < histories.times[at]]
            wanted = since <= histories.times[at] < until and histories.items[at] >= 0
            if earlier and wanted:
                source = earlier[-1]
                cells = (histories.items, histories.times)
                found.append((*(int(c[source]) for c in cells), *(int(c[at]) for c in cells)))
    return sorted(found)


# --- what is asked -------------------------------------------------------------------------------


def test_a_group_at_one_instant_is_asked_from_the_event_before_it():
    histories = histories_of([(0, 0), (1, 10), (2, 10), (3, 10), (4, 20)])
    (part,) = TrainingWindows(histories, max_len=10).epoch(100)
    assert part.sources.tolist() == [0, 0, 0, 3]  # the last one from the group's last event
    assert part.targets.tolist() == [1, 2, 3, 4]
    assert part.at.tolist() == [10 * SECOND] * 3 + [20 * SECOND]
    assert part.last_times.tolist() == [0] * 3 + [10 * SECOND]
    assert part.batch.items.tolist() == [[0, 1, 2, 3]]  # what is asked from nothing is not read


def test_first_events_and_unknown_items_are_no_targets_but_unknown_items_are_read():
    histories = histories_of([(5, 0), (UNKNOWN, 1), (6, 2)], [(7, 0), (8, 0)], [(9, 5)])
    windows = TrainingWindows(histories, max_len=10)
    assert windows.n_targets == 1
    (part,) = windows.epoch(100)
    assert part.batch.items.tolist() == [[5, UNKNOWN]]
    assert part.sources.tolist() == [1] and part.targets.tolist() == [6]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_len", [2, 3, 7, 20, 500])
@pytest.mark.parametrize("shuffled", [True, False])
def test_every_target_is_asked_once_an_epoch_from_its_own_source(seed, max_len, shuffled):
    histories = random_histories(seed)
    rng = np.random.default_rng(seed) if shuffled else None
    parts = list(TrainingWindows(histories, max_len=max_len).epoch(64, rng))
    assert asked(parts) == expected(histories)
    assert all(part.batch.items.shape[1] <= max_len for part in parts)


@pytest.mark.parametrize("seed", range(3))
def test_targets_can_be_limited_by_time_on_both_sides(seed):
    histories = random_histories(seed)
    since, until = 300 * SECOND, 1_200 * SECOND
    windows = TrainingWindows(histories, max_len=9, since=since, until=until)
    parts = list(windows.epoch(64, np.random.default_rng(0)))
    assert asked(parts) == expected(histories, since, until)
    assert all(part.batch.times.max() < until for part in parts)  # nothing later is read


def test_targets_can_be_thinned_evenly():
    histories = histories_of([(n, n) for n in range(101)])
    windows = TrainingWindows(histories, max_len=300, max_targets=11)
    (part,) = windows.epoch(1_000)
    assert windows.n_targets == 11
    gaps = np.diff(part.targets)
    assert part.targets[0] == 1 and part.targets[-1] == 100 and set(gaps.tolist()) <= {9, 10}


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_len", [2, 5, 10, 11])
def test_a_target_has_half_a_window_of_context_or_all_there_is(max_len):
    histories = histories_of([(n, n) for n in range(200)], [(n, n) for n in range(7)])
    for seed in range(20):
        for part in TrainingWindows(histories, max_len=max_len).epoch(
            50, np.random.default_rng(seed)
        ):
            before = part.sources + 1  # events read, the source included
            there_is = part.at // SECOND
            assert (before >= np.minimum(there_is, max_len // 2)).all()


def test_a_window_is_read_once_where_one_is_enough():
    histories = histories_of([(n, n) for n in range(21)])
    for seed in range(5):
        (part,) = TrainingWindows(histories, max_len=20).epoch(999, np.random.default_rng(seed))
        assert part.batch.items.tolist() == [list(range(20))]


def test_long_histories_are_read_at_most_twice_and_borders_move():
    histories = histories_of([(n, n) for n in range(2_001)])
    borders = set()
    for seed in range(8):
        parts = list(TrainingWindows(histories, max_len=20).epoch(100, np.random.default_rng(seed)))
        read = sum(int(part.batch.lengths.sum()) for part in parts)
        assert read <= 2 * 2_000 + 20
        borders |= {int(start) for part in parts for start in part.batch.items[:, 0]}
    assert len(borders) > 500  # not always the same eighth of the starts


def test_gaps_are_true_where_a_window_starts_inside_a_history():
    histories = histories_of([(n, 3 * n) for n in range(100)])
    parts = list(TrainingWindows(histories, max_len=10).epoch(50, np.random.default_rng(0)))
    starts = np.concatenate([part.batch.gaps[:, 0] for part in parts])
    firsts = np.concatenate([part.batch.items[:, 0] for part in parts]) == 0
    assert firsts.sum() == 1
    assert (starts[firsts] == NO_GAP).all() and (starts[~firsts] == 3.0).all()


def test_a_late_start_has_context_before_it():
    histories = histories_of([(n, n) for n in range(100)])
    windows = TrainingWindows(histories, max_len=10, since=90 * SECOND)
    (part,) = [p for p in windows.epoch(500) if 90 in p.targets]
    row = int(part.rows[part.targets.tolist().index(90)])
    assert part.batch.items[row, 0] == 84  # five events before the first source


# --- windows that follow one another -------------------------------------------------------------


def carried(histories: Histories, seed: int, max_len: int = 16, tokens: int = 48, **more):
    windows = TrainingWindows(histories, max_len=max_len, **more)
    return windows, windows.epoch(tokens, np.random.default_rng(seed), carried=True)


@pytest.mark.parametrize("seed", range(6))
def test_windows_that_follow_ask_every_target_once_and_read_every_event_once(seed):
    histories = random_histories(seed)
    windows, epoch = carried(histories, seed)
    parts = list(epoch)
    assert epoch.n_slots
    assert asked(parts) == expected(histories)
    places = np.sort(np.concatenate([part.positions for part in parts]))
    assert np.array_equal(places, windows.positions)
    assert sum(int(part.batch.lengths.sum()) for part in parts) <= histories.n_events


@pytest.mark.parametrize("seed", range(6))
def test_a_window_begins_where_the_one_before_ended_in_an_earlier_batch_without_padding(seed):
    histories = histories_of(*([(n, n) for n in range(20 * u)] for u in range(1, 9)))
    _, epoch = carried(histories, seed)
    ended: dict[int, int] = {}
    followed = 0
    for part in epoch:
        assert part.slots is not None and part.follows is not None
        rows = zip(part.slots.tolist(), part.follows.tolist(), part.batch.items, strict=True)
        before = dict(ended)  # two windows of one history never meet in a batch
        for slot, follows, items in rows:
            if follows:
                assert items[0] == before[slot] + 1
                followed += 1
            elif slot >= 0:
                assert slot not in before
            if slot >= 0:
                ended[slot] = int(items[-1])  # padding only in windows that nothing follows
    assert followed > 10 and len(ended) == epoch.n_slots


def test_windows_that_follow_come_in_as_many_batches_as_those_that_overlap():
    histories = histories_of(*([(n, n) for n in range(200)] for _ in range(60)))
    windows = TrainingWindows(histories, max_len=16)
    overlapping = list(windows.epoch(640, np.random.default_rng(0)))
    following = list(windows.epoch(640, np.random.default_rng(0), carried=True))
    assert len(following) == pytest.approx(len(overlapping), rel=0.2)
    cells = [sum(part.batch.items.size for part in parts) for parts in (following, overlapping)]
    assert cells[0] < 0.65 * cells[1]


def test_the_length_of_windows_that_follow_changes_from_epoch_to_epoch():
    histories = histories_of(*([(n, n) for n in range(50)] for _ in range(9)))
    widths = {max(p.batch.items.shape[1] for p in carried(histories, seed)[1]) for seed in range(9)}
    assert len(widths) > 2 and widths <= set(range(12, 17))


def test_a_late_start_has_context_before_windows_that_follow():
    histories = histories_of(*([(n, n) for n in range(100)] for _ in range(6)))
    _, epoch = carried(histories, 0, since=40 * SECOND)
    firsts = [
        int(row[0])
        for part in epoch
        for row, follows in zip(part.batch.items, part.follows, strict=True)
        if not follows
    ]
    assert len(firsts) == 6 and all(31 <= first <= 33 for first in firsts)


@pytest.mark.parametrize("alone", [True, False])
def test_windows_overlap_where_they_cannot_follow(alone):
    """One history has more windows than there are batches; or most of it is not asked about."""
    if alone:
        histories, more = histories_of([(n, n) for n in range(400)]), {}
    else:
        histories = histories_of(*([(n, n) for n in range(400)] for _ in range(9)))
        more = {"since": 390 * SECOND, "replayed": 3}
    windows, epoch = carried(histories, 0, tokens=900 if alone else 48, **more)
    assert epoch.n_slots == 0
    assert sum(len(part.positions) for part in epoch) == windows.n_targets
    assert all(part.slots is None and part.follows is None for part in epoch)


# --- batches -------------------------------------------------------------------------------------


def test_batches_keep_the_budget_and_waste_little():
    histories = random_histories(0, n_users=2_000, longest=100)
    epoch = TrainingWindows(histories, max_len=50).epoch(500, np.random.default_rng(0))
    parts = list(epoch)
    assert len(parts) == len(epoch)
    assert max(part.batch.items.size for part in parts) <= 500
    cells = sum(part.batch.items.size for part in parts)
    real = sum(int(part.batch.lengths.sum()) for part in parts)
    assert real / cells > 0.95
    shapes = {part.batch.items.shape for part in parts}
    assert len({width for _, width in shapes}) <= 16 + 16 + 10  # 1..16, 17..32, 34..50
    for part in parts:
        longest, width = int(part.batch.lengths.max()), part.batch.items.shape[1]
        assert longest <= width <= longest * 17 / 16


SHAPES = {
    "a shop": lambda rng: 1 + rng.lognormal(2.5, 1.0, 10_000),
    "news, short histories": lambda rng: 1 + rng.lognormal(1.2, 0.8, 40_000),
    "films, long histories": lambda rng: 20 + rng.lognormal(4.5, 1.0, 1_000),
    "tiny": lambda rng: rng.integers(1, 100, 60),
}


@pytest.mark.parametrize("max_len", [50, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_is_a_small_share_of_any_log(shape, max_len):
    rng = np.random.default_rng(0)
    lengths = SHAPES[shape](rng).astype(np.int64)
    n = int(lengths.sum())
    histories = Histories(
        offsets=np.append(0, np.cumsum(lengths)),
        items=np.zeros(n, np.int32),
        times=np.arange(n) * SECOND,
    )
    windows = TrainingWindows(histories, max_len=max_len)
    parts = [part.batch for part in windows.epoch(tokens_for(windows.n_targets), rng)]
    real, cells = sum(int(one.lengths.sum()) for one in parts), sum(one.items.size for one in parts)
    assert 1 - real / cells < (0.10 if shape == "tiny" else 0.05)


def test_blocks_change_no_target(monkeypatch):
    whole = TrainingWindows(random_histories(4, ties=0.7), max_len=9)
    monkeypatch.setattr("recency.data.histories.BLOCK", 7)
    parts = TrainingWindows(random_histories(4, ties=0.7), max_len=9)
    assert parts.positions.tolist() == whole.positions.tolist()
    assert parts._sources.tolist() == whole._sources.tolist()
    assert parts.positions.dtype == np.int64 and parts.nbytes == 8 * parts.n_targets


def test_a_window_longer_than_the_budget_is_a_batch_of_its_own():
    histories = histories_of([(n, n) for n in range(31)])
    (part,) = TrainingWindows(histories, max_len=50).epoch(8)
    assert part.batch.items.shape == (1, 30)


def test_the_same_generator_gives_the_same_epoch_and_another_does_not():
    windows = TrainingWindows(random_histories(1), max_len=8)
    one, same, other = (
        [p.targets.tolist() for p in windows.epoch(40, np.random.default_rng(seed))]
        for seed in (3, 3, 4)
    )
    assert one == same != other


def test_short_and_long_batches_come_mixed():
    epoch = TrainingWindows(random_histories(2, n_users=2_000), max_len=50).epoch(
        200, np.random.default_rng(0)
    )
    widths = np.array([part.batch.items.shape[1] for part in epoch])
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.2


# --- nothing and nonsense ------------------------------------------------------------------------


@pytest.mark.parametrize("users", [[], [[]], [[(1, 0)]], [[(1, 0), (2, 0)], []]])
def test_nothing_to_ask_gives_no_batches(users):
    windows = TrainingWindows(histories_of(*users), max_len=5)
    assert windows.n_targets == 0
    assert list(windows.epoch(10)) == list(windows.epoch(10, np.random.default_rng(0))) == []


def test_a_window_too_short_to_ask_from_is_refused():
    with pytest.raises(ConfigError, match="expected max_len of at least 2 events, found 1"):
        TrainingWindows(histories_of([(1, 0), (2, 1)]), max_len=1)
