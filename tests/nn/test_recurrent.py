"""What the recurrent encoders refuse, and how they start."""

import pytest
import torch

from recency.errors import ConfigError
from recency.nn.encoder import Clock
from recency.nn.recurrent import GRU, LSTM, RNN


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_impossible_sizes_are_refused_together(kind):
    with pytest.raises(ConfigError) as caught:
        kind(dim=0, layers=1.5, dropout=1.0)
    told = str(caught.value)
    assert "3 faults" in told
    assert f"{kind.__name__}(dim=0): expected a whole number of at least 1" in told
    assert f"{kind.__name__}(layers=1.5): expected a whole number of at least 1" in told
    assert f"{kind.__name__}(dropout=1.0): expected a share in [0, 1)" in told


def test_the_state_is_as_wide_as_said():
    assert RNN(8).state_size == GRU(8).state_size == 8
    assert LSTM(8).state_size == 16
    assert GRU(8, layers=3).state_size == 24
    assert LSTM(8, layers=3).state_size == 48


def test_the_forget_gate_starts_open():
    for layer in range(2):
        cells = LSTM(4, layers=2).cells
        bias = getattr(cells, f"bias_ih_l{layer}") + getattr(cells, f"bias_hh_l{layer}")
        assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_recurrent_matrices_start_orthogonal(kind):
    for gate in torch.split(kind(6).cells.weight_hh_l0, 6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), rtol=0, atol=1e-5)


def test_dropout_of_one_layer_is_remembered_though_idle():
    assert LSTM(4, dropout=0.3).config() == {"dim": 4, "layers": 1, "dropout": 0.3}
    assert LSTM(4, layers=2, dropout=0.3).cells.dropout == 0.3


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch", [3, 70])
def test_the_gru_of_training_is_that_of_torch_with_its_gradients(layers: int, batch: int):
    torch.manual_seed(0)
    encoder = GRU(6, layers)
    x = torch.randn(batch, 9, 6, requires_grad=True)
    state = torch.randn(batch, encoder.state_size, requires_grad=True)
    clock = Clock(torch.zeros(batch, 9), torch.zeros(batch, 9, dtype=torch.int64))
    outputs, after = encoder(x, clock, state)
    starts = state.view(batch, layers, 6).transpose(0, 1).contiguous()
    expected, last = encoder.cells(x, starts)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(after.view(batch, layers, 6).transpose(0, 1), last)
    leaves = (x, state, *encoder.parameters())
    slopes = torch.randn_like(outputs)
    found = torch.autograd.grad((outputs * slopes).sum() + after.sin().sum(), leaves)
    right = torch.autograd.grad((expected * slopes).sum() + last.sin().sum(), leaves)
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
