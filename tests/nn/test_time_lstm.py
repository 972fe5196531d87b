"""Time-LSTM: its equations by hand, its gradients, and gaps of every length."""

import math

import pytest
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.encoder import Clock
from recency.nn.time_lstm import TimeLSTM

YEAR = 365.25 * 86_400.0


def clock(*gaps: float, batch: int = 1) -> Clock:
    row = torch.tensor([gaps]).expand(batch, -1)
    return Clock(row, torch.zeros(row.shape, dtype=torch.int64))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        TimeLSTM(dim=0, variant=4, dropout=1.0)
    told = str(caught.value)
    assert "TimeLSTM(dim=0): expected a whole number of at least 1" in told
    assert "TimeLSTM(dropout=1.0): expected a share in [0, 1)" in told
    assert "TimeLSTM(variant=4): expected 1, 2 or 3" in told
    with pytest.raises(ConfigError, match=r"variant=True"):
        TimeLSTM(variant=True)


def numbered(variant: int) -> TimeLSTM:
    """A cell of width 1 whose weights are given below."""
    encoder = TimeLSTM(dim=1, variant=variant)
    n, times = (3 if variant == 3 else 4), (1 if variant == 1 else 2)
    w_x = [0.5, *([0.3] if n == 4 else []), -0.8, 0.9, 0.6, -0.4][: n + times]
    bias = [0.1, *([0.7] if n == 4 else []), 0.2, -0.3, 0.25, 0.15][: n + times]
    w_h = [0.4, *([-0.5] if n == 4 else []), 0.6, 0.35]
    peep = [0.2, *([-0.1] if n == 4 else []), 0.45]
    with torch.no_grad():
        encoder.inputs.weight.copy_(torch.tensor(w_x)[:, None])
        encoder.inputs.bias.copy_(torch.tensor(bias))
        encoder.recurrent.copy_(torch.tensor(w_h)[:, None])
        encoder.peepholes.copy_(torch.tensor(peep)[:, None])
        encoder.gap_gates.copy_(torch.tensor([0.12, -0.22][:times])[:, None])
        encoder.gap_output.fill_(-0.07)
    return encoder.eval()


def by_hand(variant: int, x: float, gap: float, h: float, c: float) -> tuple[float, float]:
    """One step with the weights of `numbered`, written out from the paper's equations."""
    d = math.log(1 + max(gap, 0.0) / 60)
    v_1 = 0.12 if variant == 1 else -math.log(1 + math.exp(0.12))  # V_T1 <= 0
    t_1 = sigmoid(0.6 * x + sigmoid(v_1 * d) + 0.25)
    t_2 = t_1 if variant == 1 else sigmoid(-0.4 * x + sigmoid(-0.22 * d) + 0.15)
    i = sigmoid(0.5 * x + 0.4 * h + 0.2 * c + 0.1)
    f = sigmoid(0.3 * x - 0.5 * h - 0.1 * c + 0.7)
    g = math.tanh(-0.8 * x + 0.6 * h + 0.2)
    if variant == 3:
        shown = (1 - i * t_1) * c + i * t_1 * g
        cell = (1 - i) * c + i * t_2 * g
    else:
        shown = f * c + i * t_1 * g
        cell = f * c + i * t_2 * g
    o = sigmoid(0.9 * x - 0.07 * d + 0.35 * h + 0.45 * shown - 0.3)
    return o * math.tanh(shown), cell


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_three_events_worked_by_hand(variant: int):
    encoder = numbered(variant)
    events = [(1.0, NO_GAP), (-0.5, 3600.0), (0.8, 0.0)]
    h = c = 0.0
    expected = []
    for x, gap in events:
        h, c = by_hand(variant, x, gap, h, c)
        expected.append(h)
    x_all = torch.tensor([[[x] for x, _ in events]])
    outputs, state = encoder(x_all, clock(*(gap for _, gap in events)))
    assert outputs.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert state.flatten().tolist() == pytest.approx([h, c], abs=1e-6)


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_the_gradients_by_hand_are_those_of_differences(
    variant: int, monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(0)
    encoder = TimeLSTM(dim=3, variant=variant).double()
    monkeypatch.setattr(Tensor, "float", lambda self: self)  # differences need all digits
    for weight in encoder.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    gaps = torch.tensor([[NO_GAP, 40.0, 9e4, 0.0], [5.0, 0.0, 7.0, 2e7]], dtype=torch.float64)
    when = Clock(gaps, torch.zeros(2, 4, dtype=torch.int64))
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    weights = dict(encoder.named_parameters())

    def run(x: Tensor, state: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        named = dict(zip(weights, values, strict=True))
        found: tuple[Tensor, Tensor] = torch.func.functional_call(encoder, named, (x, when, state))
        return found

    assert torch.autograd.gradcheck(run, (x, state, *weights.values()))


@pytest.mark.parametrize("variant", [2, 3])
def test_the_longer_the_gap_the_less_an_event_counts_now(variant: int):
    torch.manual_seed(0)
    encoder = TimeLSTM(dim=4, variant=variant)
    with torch.no_grad():
        encoder.gap_gates.add_(3.0)  # however large, V_T1 stays below 0
    assert encoder.time_weights()[0].max() < 0
    x = torch.randn(1, 1, 4)
    gates = [encoder._prepare(x, torch.tensor([[gap]]))[1] for gap in (0.0, 60.0, 86_400.0, YEAR)]
    for shorter, longer in zip(gates, gates[1:], strict=False):
        assert bool((longer < shorter).all())


@pytest.mark.parametrize("variant", [1, 2, 3])
@pytest.mark.parametrize("gap", [NO_GAP, 0.0, 1e-6, YEAR, 1e12])
def test_bursts_and_years_stay_finite(variant: int, gap: float):
    torch.manual_seed(0)
    encoder = TimeLSTM(dim=4, variant=variant)
    x = 30 * torch.randn(2, 50, 4)
    outputs, state = encoder(x, clock(*[gap] * 50, batch=2))
    (outputs.square().sum() + state.square().sum()).backward()
    assert bool(outputs.isfinite().all() and state.isfinite().all())
    assert all(bool(w.grad.isfinite().all()) for w in encoder.parameters() if w.grad is not None)
    assert state.abs().max() < 1_000


def test_a_gap_beyond_five_years_counts_as_five_years():
    encoder = TimeLSTM(dim=4)
    x = torch.randn(1, 1, 4)
    assert torch.equal(encoder(x, clock(6 * YEAR))[0], encoder(x, clock(900 * YEAR))[0])
    assert not torch.equal(encoder(x, clock(6 * YEAR))[0], encoder(x, clock(4 * YEAR))[0])


def test_a_memory_starts_by_keeping():
    assert TimeLSTM(2, variant=2).inputs.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert TimeLSTM(2, variant=3).inputs.bias.tolist() == [-1, -1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert TimeLSTM(8).state_size == 16


def test_half_precision_around_it_changes_little():
    torch.manual_seed(0)
    encoder, x, when = TimeLSTM(dim=8), torch.randn(2, 5, 8), clock(*[60.0] * 5, batch=2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = encoder(x.bfloat16(), when)
    torch.testing.assert_close(outputs, encoder(x, when)[0], rtol=0, atol=2e-2)
