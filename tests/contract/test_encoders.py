"""What every encoder promises: reading at once and step by step agree, and the future stays out.

An encoder that is added to the library is added to `ENCODERS`, and nothing else is needed.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.nn.encoder import Clock, Encoder
from recency.nn.recurrent import GRU, LSTM, RNN

ENCODERS: dict[str, Callable[[], Encoder]] = {
    "rnn": lambda: RNN(8),
    "gru": lambda: GRU(8),
    "lstm": lambda: LSTM(8),
    "rnn, 2 layers": lambda: RNN(8, layers=2, dropout=0.5),
    "gru, 3 layers": lambda: GRU(8, layers=3, dropout=0.5),
    "lstm, 2 layers": lambda: LSTM(8, layers=2, dropout=0.5),
}
BATCH, LENGTH = 5, 37


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS[request.param]().eval()


def histories(encoder: Encoder, seed: int = 1) -> tuple[Tensor, Clock]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, LENGTH, encoder.dim, generator=generator)
    gaps = torch.exp(4 * torch.randn(BATCH, LENGTH, generator=generator))
    gaps[:, ::5] = 0.0  # bursts at one instant
    gaps[:, 0] = NO_GAP
    passed = torch.cumsum((gaps.clamp(min=0) * 1e6).long(), dim=1)
    return x, Clock(gaps, 1_767_225_600_000_000 + passed)


def part(clock: Clock, rows: slice | Tensor, columns: slice) -> Clock:
    return Clock(clock.gaps[rows, columns], clock.times[rows, columns])


def test_shapes_and_types(encoder: Encoder):
    outputs, state = encoder(*histories(encoder))
    assert outputs.shape == (BATCH, LENGTH, encoder.dim) and outputs.dtype == torch.float32
    assert state.shape == (BATCH, encoder.state_size) and state.dtype == torch.float32


def test_forward_equals_repeated_step(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    state = encoder.initial_state(BATCH)
    for at in range(LENGTH):
        output, state = encoder.step(x[:, at], part(clock, slice(None), slice(at, at + 1)), state)
        close(output, outputs[:, at])
    close(state, last)


@pytest.mark.parametrize("cuts", [(1,), (10, 11, 30), (36,)])
def test_a_history_read_in_segments_is_the_same_history(encoder: Encoder, cuts: tuple[int, ...]):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    state: Tensor | None = None
    parts = []
    for start, stop in zip((0, *cuts), (*cuts, LENGTH), strict=True):
        columns = slice(start, stop)
        found, state = encoder(x[:, columns], part(clock, slice(None), columns), state)
        parts.append(found)
    assert state is not None
    close(torch.cat(parts, dim=1), outputs)
    close(state, last)


def test_no_state_is_the_initial_state(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    again, state = encoder(x, clock, encoder.initial_state(BATCH))
    assert torch.equal(outputs, again) and torch.equal(last, state)


def test_later_events_never_change_earlier_outputs(encoder: Encoder):
    x, clock = histories(encoder)
    other_x, other_clock = histories(encoder, seed=2)
    cut = 20
    mixed = torch.cat((x[:, :cut], other_x[:, cut:]), dim=1)
    gaps = torch.cat((clock.gaps[:, :cut], other_clock.gaps[:, cut:]), dim=1)
    times = torch.cat((clock.times[:, :cut], other_clock.times[:, cut:]), dim=1)
    before, after = encoder(x, clock)[0], encoder(mixed, Clock(gaps, times))[0]
    close(after[:, :cut], before[:, :cut])
    assert (after[:, cut:] - before[:, cut:]).abs().max() > 1e-2  # the change was one


def test_padding_on_the_right_changes_nothing(encoder: Encoder):
    x, clock = histories(encoder)
    real = encoder(x, clock)[0]
    padded_x = torch.cat((x, torch.full((BATCH, 9, encoder.dim), 7.0)), dim=1)
    gaps = torch.cat((clock.gaps, torch.full((BATCH, 9), NO_GAP)), dim=1)
    times = torch.cat((clock.times, torch.zeros(BATCH, 9, dtype=torch.int64)), dim=1)
    padded = encoder(padded_x, Clock(gaps, times))[0]
    close(padded[:, :LENGTH], real)


def test_the_order_and_company_of_users_change_nothing(encoder: Encoder):
    x, clock = histories(encoder)
    outputs, last = encoder(x, clock)
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled, state = encoder(x[order], part(clock, order, slice(None)))
    close(shuffled, outputs[order])
    close(state, last[order])
    alone, _ = encoder(x[2:3], part(clock, slice(2, 3), slice(None)))
    close(alone, outputs[2:3])


def test_evaluation_repeats_and_training_drops_out(encoder: Encoder):
    x, clock = histories(encoder)
    assert torch.equal(encoder(x, clock)[0], encoder(x, clock)[0])
    drops = float(encoder.config()["dropout"] or 0) > 0
    encoder.train()
    assert torch.equal(encoder(x, clock)[0], encoder(x, clock)[0]) is not drops


def test_a_clone_has_the_configuration_and_weights_of_its_own(encoder: Encoder):
    twin = encoder.clone()
    assert type(twin) is type(encoder) and twin.config() == encoder.config()
    assert twin.state_size == encoder.state_size
    shapes = [(name, w.shape) for name, w in encoder.state_dict().items()]
    assert shapes == [(name, w.shape) for name, w in twin.state_dict().items()]
    own = {w.data_ptr() for w in encoder.parameters()}
    assert not own & {w.data_ptr() for w in twin.parameters()}


def test_weights_saved_and_loaded_give_the_same_bits(encoder: Encoder):
    x, clock = histories(encoder)
    twin = encoder.clone().eval()
    twin.load_state_dict(encoder.state_dict())
    assert torch.equal(twin(x, clock)[0], encoder(x, clock)[0])


def test_every_weight_learns(encoder: Encoder):
    x, clock = histories(encoder)
    encoder(x, clock)[0].square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
