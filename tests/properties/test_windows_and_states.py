"""Whatever the histories: targets are asked once, memories do not depend on how they were read."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.nn.inputs import InputConfig, Tensors
from recency.nn.model import SequenceModel
from recency.nn.recurrent import LSTM

N_ITEMS = 5
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z

# A user's events: (item, seconds since the event before), -1 for an item nobody knows.
EVENTS = st.tuples(st.integers(-1, N_ITEMS - 1), st.sampled_from([0, 0, 1, 90, 86_400]))
USERS = st.lists(st.lists(EVENTS, max_size=12), min_size=1, max_size=6)


def histories_of(users: list[list[tuple[int, int]]], start: int = START) -> Histories:
    steps = [np.cumsum([gap for _, gap in user], dtype=np.int64) for user in users]
    return Histories(
        offsets=np.cumsum([0, *map(len, users)]),
        items=np.array([item for user in users for item, _ in user], np.int32),
        times=start + np.concatenate(steps).astype(np.int64) * 1_000_000,
    )


def new_model(**inputs: bool) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(LSTM(4), N_ITEMS, 0, InputConfig(**inputs))  # type: ignore[arg-type]  # all bools
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return model.eval()


@settings(deadline=None)
@given(USERS, st.integers(2, 9), st.integers(1, 40), st.one_of(st.none(), st.integers(0, 9)))
def test_every_target_is_asked_once_from_strictly_earlier_events(users, max_len, tokens, seed):
    histories = histories_of(users)
    rng = None if seed is None else np.random.default_rng(seed)
    asked = []
    for part in TrainingWindows(histories, max_len=max_len).epoch(tokens, rng):
        assert (part.last_times < part.at).all()
        assert part.batch.items.shape[1] <= max_len
        after = part.sources + 1
        inside = after < part.batch.lengths[part.rows]
        next_times = part.batch.times[part.rows[inside], after[inside]]
        assert (next_times >= part.at[inside]).all()  # the newest event that may be read
        asked += list(zip(part.targets.tolist(), part.at.tolist(), strict=True))
    users_of, first = histories.user_of, histories.offsets[:-1]
    wanted = (histories.group_start > first[users_of]) & (histories.items >= 0)
    expected = zip(histories.items[wanted].tolist(), histories.times[wanted].tolist(), strict=True)
    assert sorted(asked) == sorted(expected)


@settings(deadline=None, max_examples=25)
@given(USERS, st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_a_state_does_not_depend_on_where_reading_paused(users, pauses):
    model, histories = new_model(), histories_of(users)
    begin, end = histories.offsets[:-1], histories.offsets[1:]
    pause = np.minimum(begin + np.array(pauses[: len(users)]), end)
    with torch.no_grad():
        whole = model.advance(Tensors.from_batch(histories.gather(begin, end)))
        half = model.advance(Tensors.from_batch(histories.gather(begin, pause)))
        both = model.advance(Tensors.from_batch(histories.gather(pause, end)), half)
    torch.testing.assert_close(both, whole, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(USERS, st.integers(-(10**15), 10**15))
def test_where_only_gaps_are_read_a_shift_of_all_times_changes_nothing(users, shift):
    model = new_model(calendar=False)
    with torch.no_grad():
        here, there = (
            model.advance(Tensors.from_batch(h.gather(h.offsets[:-1], h.offsets[1:])))
            for h in (histories_of(users), histories_of(users, START + shift))
        )
    assert torch.equal(here, there)
