"""LSTM with attention: shares by hand, the band's edge, gradients."""

import math

import pytest
import torch
from torch import Tensor

from recency.errors import ConfigError
from recency.nn import lstm_attention
from recency.nn.encoder import Clock
from recency.nn.lstm_attention import LSTMAttention


def clock(batch: int, length: int, gap: float = 60.0) -> Clock:
    gaps = torch.full((batch, length), gap)
    return Clock(gaps, torch.zeros(batch, length, dtype=torch.int64))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        LSTMAttention(dim=0, layers=0, window=1, dropout=-0.1)
    told = str(caught.value)
    assert "LSTMAttention(dim=0): expected a whole number of at least 1" in told
    assert "LSTMAttention(layers=0): expected a whole number of at least 1" in told
    assert "LSTMAttention(dropout=-0.1): expected a share in [0, 1)" in told
    assert "LSTMAttention(window=1): expected a whole number from 2 to 2048" in told
    with pytest.raises(ConfigError, match="window=4096"):
        LSTMAttention(window=4096)


def test_the_shares_of_two_states_worked_by_hand():
    encoder = LSTMAttention(dim=1, window=2)
    with torch.no_grad():
        encoder.query.weight.fill_(2.0)
        encoder.query.bias.fill_(-0.5)
        encoder.key.weight.fill_(3.0)
        encoder.score.fill_(4.0)
        encoder.combine.weight.copy_(torch.tensor([[1.0, 10.0]]))
    hidden = torch.tensor([[[0.2], [-0.1], [0.6]]])
    # The first state sees itself only.
    expected = [0.2 + 10 * 0.2]
    for before, now in ((0.2, -0.1), (-0.1, 0.6)):
        scores = [4 * sigmoid(2 * now - 0.5 + 3 * h) for h in (before, now)]
        share = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
        expected.append(now + 10 * (share * before + (1 - share) * now))
    found = encoder._attend(hidden, encoder.ring.empty(1, hidden))
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    # After an event before, the first state sees two.
    kept = encoder.ring.push(encoder.ring.empty(1, hidden), hidden[:, 0])
    found = encoder._attend(hidden[:, 1:], kept)
    assert found.flatten().tolist() == pytest.approx(expected[1:], abs=1e-6)


def test_attention_sees_as_far_as_its_window():
    torch.manual_seed(0)
    encoder = LSTMAttention(dim=4, window=3).eval()
    hidden = torch.randn(1, 8, 4)
    changed = hidden.clone()
    changed[:, 2] += 1.0
    empty = encoder.ring.empty(1, hidden)
    moved = (encoder._attend(changed, empty) - encoder._attend(hidden, empty)).abs().amax((0, 2))
    assert [bool(m > 1e-4) for m in moved] == [False, False, True, True, True] + [False] * 3


@pytest.mark.parametrize("cells", [1, 2**16])
def test_the_gradients_by_hand_are_those_of_differences(
    cells: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lstm_attention, "_CELLS", cells)  # one user at a time, and all at once
    torch.manual_seed(0)
    window, length = 3, 4
    sizes = [(2, length, 2), (2, window - 1 + length, 2), (2,), (2, window - 1 + length, 2)]
    parts = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    filled = torch.ones(2, window - 1 + length, dtype=torch.bool)
    filled[0, :2] = False

    def attend(*parts: Tensor) -> Tensor:
        found: Tensor = lstm_attention._Band.apply(*parts, filled)
        return found

    assert torch.autograd.gradcheck(attend, parts)


@pytest.mark.parametrize("length", [1, 3, 5, 12])
def test_reading_at_once_is_reading_one_by_one(length: int):
    torch.manual_seed(0)
    encoder = LSTMAttention(dim=4, layers=2, window=5).eval()
    x = torch.randn(3, 7 + length, 4)
    _, state = encoder(x[:, :7], clock(3, 7))
    outputs, last = encoder(x[:, 7:], clock(3, length), state)
    for at in range(length):
        output, state = encoder.step(x[:, 7 + at], clock(3, 1), state)
        torch.testing.assert_close(output, outputs[:, at], rtol=0, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-5)


def test_the_state_is_the_lstm_and_the_ring():
    assert LSTMAttention(8, layers=2, window=5).state_size == 2 * 2 * 8 + 5 * 8 + 1


def test_dropout_drops_outputs_and_no_memory():
    torch.manual_seed(0)
    encoder = LSTMAttention(dim=8, dropout=0.5)
    x = torch.randn(2, 6, 8)
    outputs, state = encoder(x, clock(2, 6))
    assert bool((outputs == 0).any())
    torch.testing.assert_close(state, encoder.eval()(x, clock(2, 6))[1])


@pytest.mark.parametrize("gap", [-1.0, 0.0, 1e12])
def test_bursts_and_years_stay_finite(gap: float):
    encoder = LSTMAttention(dim=4, window=3)
    outputs, state = encoder(30 * torch.randn(2, 50, 4), clock(2, 50, gap))
    outputs.square().sum().backward()
    assert bool(outputs.isfinite().all() and state.isfinite().all())
    assert all(bool(w.grad.isfinite().all()) for w in encoder.parameters() if w.grad is not None)
