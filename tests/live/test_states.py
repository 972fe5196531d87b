"""States: whatever is asked, in whatever order, the answer is that of reading the whole history."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.histories import Histories
from recency.live import states as module
from recency.live.states import States, outputs_at
from recency.nn.encoder import Encoder
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU, LSTM, RNN
from recency.nn.tide import Tide

N_ITEMS = 12


def random_histories(lengths: list[int], seed: int = 0) -> Histories:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = [np.sort(rng.integers(0, 10**14, n)) for n in lengths]
    return Histories(
        offsets=offsets,
        items=rng.integers(-1, N_ITEMS + 2, offsets[-1]).astype(np.int32),
        times=np.concatenate([*times, np.empty(0, np.int64)]),
    )


def model_of(encoder: Encoder) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(encoder, N_ITEMS).eval()


@torch.no_grad()
def read_whole(model: SequenceModel, histories: Histories, user: int, stop: int) -> torch.Tensor:
    start = histories.offsets[user : user + 1]
    if stop == start[0]:
        return torch.zeros(model.dim)
    batch = histories.gather(start, np.array([stop]))
    return model(Tensors.from_batch(batch))[0][0, -1]


@pytest.mark.parametrize("encoder", [RNN(8), GRU(8, layers=2), LSTM(8, layers=2)])
@given(
    lengths=st.lists(st.integers(0, 23), min_size=1, max_size=8),
    segment=st.sampled_from([3, 256]),
    tokens=st.sampled_from([10, 65_536]),
)
@settings(max_examples=15, deadline=None)
def test_outputs_at_equals_reading_each_history_alone(
    encoder: Encoder, lengths: list[int], segment: int, tokens: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEGMENT", segment)
        patch.setattr(module, "_TOKENS", tokens)
        model, histories = model_of(encoder), random_histories(lengths)
        rng = np.random.default_rng(1)
        users = rng.integers(0, len(lengths), 20)
        stops = histories.offsets[users] + rng.integers(0, np.array(lengths)[users] + 1)
        found = outputs_at(model, histories, users, stops)
        for row, (user, stop) in enumerate(zip(users, stops, strict=True)):
            torch.testing.assert_close(
                found[row], read_whole(model, histories, user, stop), atol=1e-5, rtol=0
            )


def test_few_events_of_few_users_are_read_step_by_step() -> None:
    model = model_of(Tide(dim=8))
    whole, users = random_histories([9, 1, 6, 4]), np.arange(4)
    states, found = States(model), torch.empty(0)
    for stops in ([3, 1, 0, 4], [9, 1, 5, 4], [9, 1, 6, 4]):
        ends = whole.offsets[:-1] + np.array(stops)
        found = states.outputs(users, whole.cut(ends))
        for user in users.tolist():
            expected = read_whole(model, whole, user, int(ends[user]))
            torch.testing.assert_close(found[user], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("encoder", [RNN(8), GRU(8), LSTM(8, layers=2)])
def test_states_follow_events_and_forget_what_changed(encoder: Encoder) -> None:
    model = model_of(encoder)
    whole = random_histories([9, 4, 6, 0])
    states = States(model)
    users = np.array([2, 0, 1, 3])

    def check(stops: list[int]) -> None:
        known = whole.cut(whole.offsets[:-1] + np.array(stops)).select(users)
        found = states.outputs(users, known)
        for row, user in enumerate(users):
            expected = read_whole(model, whole, user, int(whole.offsets[user]) + stops[user])
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=0)

    check([5, 0, 6, 0])
    check([7, 1, 6, 0])
    check([9, 4, 6, 0])
    whole.items[2] = (whole.items[2] + 1) % N_ITEMS  # user 0's third event was another one
    states.forget({0: 2, 1: 4})
    check([9, 4, 6, 0])
    assert len(states) == 4
