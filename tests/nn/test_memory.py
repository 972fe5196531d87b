"""The memory network: a write and a read by hand, half-lives, gradients."""

import math

import pytest
import torch

from recency.errors import ConfigError
from recency.nn import memory
from recency.nn.encoder import Clock
from recency.nn.memory import MemoryNetwork

HOUR, YEAR = 3_600.0, 365.25 * 86_400.0


def clock(*gaps: float, batch: int = 1) -> Clock:
    row = torch.tensor([gaps]).expand(batch, -1)
    return Clock(row, torch.zeros(row.shape, dtype=torch.int64))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        MemoryNetwork(dim=-1, slots=1, dropout=2.0)
    told = str(caught.value)
    assert "MemoryNetwork(dim=-1): expected a whole number of at least 1" in told
    assert "MemoryNetwork(dropout=2.0): expected a share in [0, 1)" in told
    assert "MemoryNetwork(slots=1): expected a whole number of at least 2" in told


def test_two_writes_and_reads_worked_by_hand():
    encoder = MemoryNetwork(dim=1, slots=2)
    with torch.no_grad():
        encoder.keys.copy_(torch.tensor([[1.0], [-1.0]]))
        encoder.lives.copy_(torch.tensor([HOUR, 2 * HOUR]).log())
        encoder.inputs.weight.copy_(torch.tensor([[0.5], [1.5], [2.0], [0.8], [-0.7]]))
        encoder.inputs.bias.copy_(torch.tensor([0.1, 0.0, -0.2, 0.3, 0.4]))
        encoder.question.weight.fill_(1.2)
        encoder.question.bias.fill_(0.3)
        encoder.combine.weight.copy_(torch.tensor([[1.0, 10.0]]))
    h, slots, expected = 0.0, [0.0, 0.0], []
    # An hour leaves a half of the first slot, and the root of a half of the second.
    for x, left in ((1.0, (1.0, 1.0)), (-0.6, (0.5, 0.5**0.5))):
        z = sigmoid(0.5 * x + 0.1)
        h = (1 - z) * h + z * math.tanh(1.5 * x)
        first = sigmoid(2 * (2.0 * x - 0.2))  # softmax of v and -v
        e, a = sigmoid(0.8 * x + 0.3), math.tanh(-0.7 * x + 0.4)
        slots = [
            keep * slot * (1 - w * e) + w * a
            for keep, slot, w in zip(left, slots, (first, 1 - first), strict=True)
        ]
        asked = sigmoid(2 * (1.2 * h + 0.3))
        expected.append(h + 10 * (asked * slots[0] + (1 - asked) * slots[1]))
    outputs, state = encoder(torch.tensor([[[1.0], [-0.6]]]), clock(-1.0, HOUR))
    assert outputs.flatten().tolist() == pytest.approx(expected, abs=1e-5)
    assert state.flatten().tolist() == pytest.approx([h, *slots], abs=1e-6)


def test_half_lives_start_between_an_hour_and_a_year():
    lives = MemoryNetwork(dim=2, slots=5).half_lives()
    assert lives[0].item() == pytest.approx(HOUR, rel=1e-4)
    assert lives[-1].item() == pytest.approx(YEAR, rel=1e-4)
    torch.testing.assert_close(lives[1:] / lives[:-1], torch.full((4,), (YEAR / HOUR) ** 0.25))


def test_a_slot_left_alone_for_its_half_life_holds_half():
    encoder = MemoryNetwork(dim=2, slots=3)
    for slot, life in enumerate(encoder.half_lives().tolist()):
        left = encoder._retention(torch.tensor([-1.0, 0.0, life, 2 * life]))[:, slot]
        assert left.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.25], abs=1e-4)


@pytest.mark.parametrize("stretch", [2, 16])
def test_the_gradients_by_hand_are_those_of_differences(
    stretch: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "_STRETCH", stretch)  # memories kept within and not at all
    torch.manual_seed(0)
    length, batch, slots, dim = 5, 2, 3, 2
    shapes = [(length, batch, slots)] * 2 + [(length, batch, dim)] * 2
    shapes += [(length, batch, slots), (batch, slots, dim)]
    parts = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(memory._Memory.apply, parts)


@pytest.mark.parametrize("gap", [-1.0, 0.0, 1e-6, YEAR, 1e12])
def test_bursts_and_years_stay_finite(gap: float):
    torch.manual_seed(0)
    encoder = MemoryNetwork(dim=4)
    outputs, state = encoder(30 * torch.randn(2, 300, 4), clock(*[gap] * 300, batch=2))
    (outputs.square().sum() + state.square().sum()).backward()
    assert bool(outputs.isfinite().all() and state.isfinite().all())
    assert all(bool(w.grad.isfinite().all()) for w in encoder.parameters() if w.grad is not None)
    assert state.abs().max() < 1_000


def test_a_burst_writes_each_of_its_events():
    torch.manual_seed(0)
    encoder = MemoryNetwork(dim=4).eval()
    x = torch.randn(1, 6, 4)
    _, state = encoder(x, clock(*[0.0] * 6))
    for at in range(6):
        changed = x.clone()
        changed[:, at] += 1
        _, other = encoder(changed, clock(*[0.0] * 6))
        assert (other - state).abs().max() > 1e-3


def test_the_state_is_the_controller_and_the_slots():
    assert MemoryNetwork(dim=8, slots=5).state_size == 8 + 5 * 8
