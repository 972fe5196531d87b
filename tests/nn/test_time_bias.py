"""How old an event is, and what its age adds to a score, worked by hand."""

import math

import pytest
import torch

from recency.data.histories import NO_GAP
from recency.nn.encoder import Clock
from recency.nn.time import LONGEST
from recency.nn.time_bias import (
    KNOTS,
    Ages,
    BucketBias,
    FunctionalBias,
    seconds_passed,
    shrunk,
)

STEP = math.log(1 + LONGEST) / (KNOTS - 1)  # between knots, in log(1 + seconds)
START = 1_767_225_600_000_000


def ages(*seconds: float) -> Ages:
    """Let one event look at others so many seconds before it: [1, 1, n]."""
    looked_at = -torch.tensor([seconds], dtype=torch.float64)
    return Ages.between(torch.zeros(1, 1, dtype=torch.float64), looked_at)


def at_knot(place: float) -> float:
    return math.exp(STEP * place) - 1


def biases(bias: BucketBias | FunctionalBias, *seconds: float) -> list[list[float]]:
    """Give the biases of ages, head by head."""
    return bias(ages(*seconds))[0, :, 0].tolist()


def test_gaps_are_shrunk_to_what_half_precision_holds():
    gaps = torch.tensor([NO_GAP, 0.0, math.e - 1, LONGEST, 1e12])
    small = shrunk(gaps)
    five_years = math.log(1 + 5 * 365.25 * 86_400)  # 18.88
    assert small.tolist() == pytest.approx([0.0, 0.0, 1.0, five_years, five_years])
    back = torch.expm1(small.half().double())
    assert back[3].item() == pytest.approx(LONGEST, rel=0.01)


def test_a_bias_is_a_straight_line_between_knots():
    bias = BucketBias(heads=2)
    with torch.no_grad():
        bias.table[0, 4], bias.table[0, 5] = 1.0, 3.0
        bias.table[1] = torch.arange(float(KNOTS))
    found = biases(bias, at_knot(4), at_knot(4.25), at_knot(5), at_knot(5.5))
    assert found[0] == pytest.approx([1.0, 1.5, 3.0, 1.5], abs=1e-4)
    assert found[1] == pytest.approx([4.0, 4.25, 5.0, 5.5], abs=1e-4)


def test_the_ends_of_the_curve_are_now_and_five_years():
    bias = BucketBias(heads=1)
    with torch.no_grad():
        bias.table[0, 0], bias.table[0, -1] = 2.0, 7.0
    found = biases(bias, 0.0, -3_600.0, LONGEST, 40 * LONGEST)
    assert found[0] == pytest.approx([2.0, 2.0, 7.0, 7.0], abs=1e-4)


def test_a_bias_knows_a_second_from_the_same_instant():
    bias = BucketBias(heads=1)
    with torch.no_grad():
        bias.table[0, 0] = 1.0
    assert biases(bias, 0.0, 1.0)[0] == pytest.approx([1.0, 0.0], abs=1e-6)


def test_each_knot_learns_by_its_share():
    bias = BucketBias(heads=1)
    (bias(ages(at_knot(4.25), at_knot(4.5))) * torch.tensor([1.0, 10.0])).sum().backward()
    assert bias.table.grad is not None
    expected = [0.0] * KNOTS
    expected[4], expected[5] = 0.75 + 5.0, 0.25 + 5.0
    assert bias.table.grad[0].tolist() == pytest.approx(expected, abs=1e-3)


def test_the_function_is_a_power_of_the_age():
    bias = FunctionalBias(heads=2)
    with torch.no_grad():
        bias.height.copy_(torch.tensor([2.0, -1.0]))
        bias.log_scale.copy_(torch.tensor([3_600.0, 86_400.0]).log())
        bias.log_power.copy_(torch.tensor([1.0, 0.5]).log())
    hours = at_knot(14) / 3_600  # 1.4
    days = at_knot(20) / 86_400  # 2.3
    found = biases(bias, 0.0, at_knot(14), at_knot(20))
    assert found[0][:2] == pytest.approx([2.0, 2 / (1 + hours)], rel=1e-4)
    assert found[1][::2] == pytest.approx([-1.0, -1 / math.sqrt(1 + days)], rel=1e-4)


def test_scales_start_apart():
    scales = FunctionalBias(heads=3).log_scale.exp()
    assert scales.tolist() == sorted(scales.tolist())
    assert scales.min() > 3_600 and scales.max() < 30 * 86_400


def test_past_and_present_lie_on_one_axis():
    gaps = torch.tensor([[NO_GAP, 10.0, 0.0, 5.0, 86_400.0]])
    times = START + torch.tensor([[0, 10, 10, 15, 86_415]]) * 1_000_000
    whole = seconds_passed(torch.empty(1, 0), Clock(gaps, times))
    assert whole.tolist() == [[0.0, 10.0, 10.0, 15.0, 86_415.0]]
    later = seconds_passed(shrunk(gaps[:, :3]), Clock(gaps[:, 3:], times[:, 3:]))
    assert later.dtype == torch.float64
    assert later[0].tolist() == pytest.approx([-15.0, -5.0, -5.0, 0.0, 86_400.0], rel=1e-6)


def test_ages_are_told_apart_by_less_than_a_second_after_years():
    times = START + torch.tensor([[0, 100_000_000, 100_000_001]]) * 1_000_000  # three years on
    gaps = torch.tensor([[NO_GAP, 1e8, 1.0]])
    seconds = seconds_passed(torch.empty(1, 0), Clock(gaps, times))
    bias = BucketBias(heads=1)
    with torch.no_grad():
        bias.table[0, 0] = 1.0
    looked_at = bias(Ages.between(seconds[:, 2:], seconds))[0, 0, 0]
    assert looked_at.tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
