"""Augmentation varies what is read; what is asked stays true, and nothing gives a target away."""

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import NO_GAP, PADDING, UNKNOWN, Histories
from recency.errors import ConfigError
from recency.nn.model import SequenceModel
from recency.training.augmentation import Augmentation, Augmenter
from recency.training.checkpoints import weights_of
from recency.training.config import TrainConfig, TrainingStep
from recency.training.loop import train

SECOND = 1_000_000
N_ITEMS = 6
SHARE = st.sampled_from([0.0, 0.3, 1.0])
SHARES = st.builds(Augmentation, crop=SHARE, mask=SHARE, reorder=SHARE, substitute=SHARE)

# A user's events: (item, seconds since the event before), -1 for an item nobody knows.
EVENTS = st.tuples(st.integers(-1, N_ITEMS - 1), st.sampled_from([0, 0, 1, 90, 86_400]))
USERS = st.lists(st.lists(EVENTS, max_size=14), min_size=1, max_size=6)


def histories_of(users: list[list[tuple[int, int]]]) -> Histories:
    """Make histories whose values are the events' own positions, so that a cell tells its event."""
    steps = [np.cumsum([gap for _, gap in user], dtype=np.int64) for user in users]
    n = sum(map(len, users))
    return Histories(
        offsets=np.cumsum([0, *map(len, users)]),
        items=np.array([item for user in users for item, _ in user], np.int32),
        times=np.concatenate(steps).astype(np.int64) * SECOND + SECOND,
        types=(np.arange(n) % 3).astype(np.int16),
        values=np.arange(n, dtype=np.float32),
    )


def random_histories(n_users: int = 200, length: int = 20, ties: float = 0.5) -> Histories:
    generator = np.random.default_rng(0)
    steps = np.where(generator.random((n_users, length)) < ties, 0, 60)
    items = generator.integers(0, N_ITEMS, (n_users, length))
    return histories_of(
        [list(zip(*pair, strict=True)) for pair in zip(items.tolist(), steps.tolist(), strict=True)]
    )


def one_batch(histories: Histories, max_len: int = 100) -> tuple[TrainingWindows, TrainingBatch]:
    windows = TrainingWindows(histories, max_len=max_len)
    (batch,) = windows.epoch(10**6)
    return windows, batch


def augmented(config: Augmentation, histories: Histories, seed: int = 0) -> TrainingBatch:
    windows, batch = one_batch(histories)
    return Augmenter(config, windows).augment(batch, np.random.default_rng(seed))


# --- what must never change ----------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(USERS, SHARES, st.integers(2, 9), st.integers(0, 9))
def test_targets_stay_and_are_asked_from_strictly_earlier_events(users, config, max_len, seed):
    histories = histories_of(users)
    windows = TrainingWindows(histories, max_len=max_len)
    augmenter, rng = Augmenter(config, windows), np.random.default_rng(seed)
    for part in windows.epoch(30, np.random.default_rng(seed)):
        shown = augmenter.augment(part, rng)
        for name in ("targets", "at", "positions", "last_times"):
            np.testing.assert_array_equal(getattr(shown, name), getattr(part, name))
        assert (shown.sources >= 0).all()
        assert (shown.sources < shown.batch.lengths[shown.rows]).all()
        assert (shown.last_times < shown.at).all()


@settings(deadline=None, max_examples=50)
@given(USERS, SHARES, st.integers(0, 9))
def test_times_and_gaps_stay_true_and_the_newest_events_before_a_target_are_kept(
    users, config, seed
):
    histories = histories_of(users)
    windows = TrainingWindows(histories, max_len=100)
    for part in windows.epoch(10**6):
        shown = Augmenter(config, windows).augment(part, np.random.default_rng(seed))
        for row, source, position in zip(shown.rows, shown.sources, shown.positions, strict=True):
            stop = histories.group_start[position]
            mine = slice(stop - source - 1, stop)
            assert stop - source - 1 >= histories.offsets[histories.user_of[position]]
            read = shown.batch.times[row, : source + 1], shown.batch.gaps[row, : source + 1]
            np.testing.assert_array_equal(read[0], histories.times[mine])
            np.testing.assert_array_equal(read[1], histories.gaps[mine])
        real = np.arange(shown.batch.items.shape[1]) < shown.batch.lengths[:, None]
        assert (shown.batch.items[~real] == PADDING).all()
        assert (shown.batch.gaps[~real] == NO_GAP).all()
        assert (shown.batch.items[real] >= UNKNOWN).all()


@settings(deadline=None, max_examples=50)
@given(USERS, SHARE, st.integers(0, 9))
def test_reordering_keeps_the_events_of_every_instant_and_never_reaches_across(users, crop, seed):
    histories = histories_of(users)
    if not TrainingWindows(histories, max_len=100).n_targets:
        return
    shown = augmented(Augmentation(reorder=1.0, crop=crop), histories, seed).batch
    plain = one_batch(histories)[1].batch
    assert histories.types is not None
    for batch in (plain, shown):
        real = np.arange(batch.items.shape[1]) < batch.lengths[:, None]
        place = batch.values[real].astype(np.int64)  # which event a cell shows
        np.testing.assert_array_equal(batch.times[real], histories.times[place])
        np.testing.assert_array_equal(batch.items[real], histories.items[place])
        np.testing.assert_array_equal(batch.types[real], histories.types[place])
        for row, length in zip(batch.values, batch.lengths, strict=True):
            assert len(np.unique(row[:length])) == length
    if not crop:
        assert shown.items.shape == plain.items.shape
        for row, before, length in zip(shown.values, plain.values, plain.lengths, strict=True):
            assert set(row[:length]) == set(before[:length])


@settings(deadline=None, max_examples=50)
@given(USERS, st.integers(2, 9), st.integers(0, 9))
def test_no_substitute_is_an_item_that_its_row_asks_for(users, max_len, seed):
    histories = histories_of(users)
    windows = TrainingWindows(histories, max_len=max_len)
    augmenter = Augmenter(Augmentation(substitute=1.0), windows)
    for part in windows.epoch(30):
        shown = augmenter.augment(part, np.random.default_rng(seed))
        changed = shown.batch.items != part.batch.items
        assert (part.batch.items[changed] >= 0).all()  # neither padding nor unknown items
        for row in range(len(part.batch)):
            put_in = shown.batch.items[row, changed[row]]
            assert not np.isin(put_in, part.targets[part.rows == row]).any()


def test_substitutes_are_learned_from_nothing_after_the_newest_target():
    histories = random_histories()
    cut = int(np.quantile(histories.times, 0.5))
    later = histories.times >= cut
    corrupt = replace(
        histories, items=np.where(later, N_ITEMS - 1, histories.items).astype(np.int32)
    )
    parts = []
    for known in (histories, corrupt):
        windows = TrainingWindows(known, max_len=100, until=cut)
        (part,) = windows.epoch(10**6)
        parts.append(
            Augmenter(Augmentation(substitute=1.0), windows).augment(part, np.random.default_rng(0))
        )
    np.testing.assert_array_equal(parts[0].batch.items, parts[1].batch.items)


# --- how much is varied --------------------------------------------------------------------------


def near(found: float, share: float, n: int) -> bool:
    """Tell whether a share of n draws is within five deviations of its chance."""
    return abs(found - share) < 5 * np.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_shares_are_kept(share):
    histories = random_histories()
    plain = one_batch(histories)[1].batch
    n = int(plain.lengths.sum())
    masked = augmented(Augmentation(mask=share), histories).batch
    assert near((masked.items == UNKNOWN).sum() / n, share, n)
    hidden = masked.items == UNKNOWN
    assert (masked.types[hidden] == UNKNOWN).all() and np.isnan(masked.values[hidden]).all()
    assert (masked.times == plain.times).all()
    cropped = augmented(Augmentation(crop=share), histories)
    rows = len(plain)
    assert near((cropped.batch.lengths[:rows] < plain.lengths).mean(), share, rows)
    assert cropped.batch.lengths.sum() <= n  # what is read once is not read twice
    # A chosen instant of two events changes in half of the cases, of more in nearly all.
    reordered = augmented(Augmentation(reorder=share), histories).batch
    moved = (reordered.values != plain.values) & (plain.items >= 0)
    assert 0.3 * share < moved.sum() / n < share


def test_an_item_gives_way_to_one_of_its_own_world_but_never_to_what_is_asked():
    # Three worlds of two items each; everybody lives in one and is asked for item 6 at the end.
    rng = np.random.default_rng(0)
    items = 2 * np.repeat(rng.integers(0, 3, 300), 10) + rng.integers(0, 2, 3_000)
    items[9::10] = 6
    times = np.tile(np.arange(10), 300) * SECOND
    windows, part = one_batch(Histories(np.arange(301) * 10, items.astype(np.int32), times))
    last = part.targets == 6
    names = ("rows", "sources", "targets", "at", "positions")
    asked = replace(part, **{name: getattr(part, name)[last] for name in names})
    shown = Augmenter(Augmentation(substitute=0.4), windows).augment(asked, rng).batch
    real = part.batch.items >= 0
    changed = (shown.items != part.batch.items)[real]
    assert (shown.items // 2 == part.batch.items // 2)[real].all()
    # Near each item stand the other of its world and item 6, which is drawn in vain.
    assert near(changed.mean(), 0.4 / 2, len(changed))


def test_a_crop_asks_later_targets_as_if_nothing_were_known_from_before():
    histories = random_histories(n_users=50, ties=0.0)
    plain, shown = one_batch(histories)[1], augmented(Augmentation(crop=1.0), histories)
    n = len(plain.batch)
    assert n < len(shown.batch) <= 2 * n
    assert (shown.batch.lengths[:n] < plain.batch.lengths).all()
    halves = shown.batch.lengths[:n].sum() + shown.batch.lengths[n:].sum()
    assert halves == plain.batch.lengths.sum()
    # The place of the cut is anywhere: the first and the last possible one are both taken.
    assert shown.batch.lengths[:n].min() <= 2 and shown.batch.lengths[:n].max() >= 17


def test_a_view_keeps_the_newer_part_of_what_is_cropped():
    histories = random_histories(n_users=50)
    windows, part = one_batch(histories)
    view = Augmenter(Augmentation(crop=1.0, reorder=1.0), windows).view(
        part.batch, np.random.default_rng(0)
    )
    assert len(view) == len(part.batch) and (view.lengths < part.batch.lengths).all()
    assert (view.lengths > 0).all()
    for row in range(len(view)):
        length, whole = view.lengths[row], part.batch.lengths[row]
        np.testing.assert_array_equal(
            view.times[row, :length], part.batch.times[row, whole - length : whole]
        )


# --- repeatable ----------------------------------------------------------------------------------

EVERYTHING = Augmentation(crop=0.3, mask=0.1, reorder=0.5, substitute=0.2)


def test_the_same_draws_give_the_same_batch_and_off_gives_the_very_batch():
    histories = random_histories(n_users=20)
    one, again, other = (augmented(EVERYTHING, histories, seed) for seed in (1, 1, 2))
    for name, cells in asdict(one.batch).items():
        np.testing.assert_array_equal(cells, getattr(again.batch, name))
    assert (
        one.batch.items.shape != other.batch.items.shape
        or (one.batch.items != other.batch.items).any()
    )
    windows, part = one_batch(histories)
    off = Augmenter(Augmentation(), windows)
    assert off.augment(part, np.random.default_rng(0)) is part
    assert off.view(part.batch, np.random.default_rng(0)) is part.batch


class StoppedError(Exception):
    """Somebody pulled the plug."""


def same_bits(one: SequenceModel, other: SequenceModel) -> bool:
    pairs = zip(weights_of(one).values(), weights_of(other).values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_stopped_run_goes_on_to_the_very_same_bits(
    new_model: Callable[..., SequenceModel], histories: Histories, unjudged: TrainConfig, tmp_path
):
    varied = replace(unjudged, epochs=2, augmentation=EVERYTHING)
    straight, fresh, plain = new_model(), new_model(), new_model()
    train(straight, histories, varied)
    kept = replace(varied, checkpoint_dir=tmp_path)

    def stop(step: TrainingStep) -> None:
        if (step.stage, step.epoch, step.step) == ("train", 2, 2):
            raise StoppedError

    with pytest.raises(StoppedError):
        train(new_model(), histories, kept, progress=stop)
    train(fresh, histories, kept)
    assert same_bits(straight, fresh)
    train(plain, histories, replace(varied, augmentation=Augmentation()))
    assert not same_bits(straight, plain)


# --- settings ------------------------------------------------------------------------------------


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Augmentation(crop=1.1, mask=-0.1, reorder=True, substitute=float("nan"), half_life="0s")
    told = str(caught.value)
    assert "5 faults" in told
    for line in (
        "Augmentation(crop=1.1): expected a share in [0, 1].",
        "Augmentation(mask=-0.1): expected a share in [0, 1].",
        "Augmentation(reorder=True): expected a share in [0, 1].",
        "Augmentation(substitute=nan): expected a share in [0, 1].",
        "Augmentation(half_life='0s'): expected more than 0 seconds.",
    ):
        assert line in told
    with pytest.raises(ConfigError, match=r"Augmentation\(half_life='soon'\)"):
        Augmentation(half_life="soon")


def test_a_table_becomes_settings_and_settings_a_table():
    config = TrainConfig(augmentation=EVERYTHING)
    told = config.what_is_learned()
    assert told["augmentation"]["crop"] == 0.3
    assert TrainConfig(**told) == config
    assert not Augmentation().on and EVERYTHING.on
