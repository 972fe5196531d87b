"""Tide: its half-lives to the number, its turns, its bounds, and its switches.

What every encoder owes is in ``tests/contract``.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.banks import BANKS, DAY, YEAR, bank_sizes, kept, ladder, mixed
from recency.nn.encoder import Clock
from recency.nn.recent import FADE, Recent, look_back
from recency.nn.tide import Tide


def clock(gaps: Tensor) -> Clock:
    passed = torch.cumsum((gaps.clamp(min=0).double() * 1e6).long(), dim=1)
    return Clock(gaps, 1_767_225_600_000_000 + passed)


def one_gap(seconds: float) -> Clock:
    return clock(torch.tensor([[seconds]], dtype=torch.float32))


def only_forgetting(forget: float) -> Tide:
    """Make a Tide of one block that writes nothing, with its forget gates at a logit."""
    tide = Tide(8, blocks=1).eval()
    modes = tide.forgetting.modes
    with torch.no_grad():
        tide.get_parameter("blocks.0.enter.weight").zero_()
        bias = tide.get_parameter("blocks.0.enter.bias").zero_()
        bias[-modes:] = forget
        bias[-modes - 16 : -modes] = -100.0  # write gates: closed
    return tide


def gradients(tide: Tide) -> list[Tensor]:
    found = [weight.grad for weight in tide.parameters() if weight.grad is not None]
    assert len(found) == len(list(tide.parameters()))
    return found


def memory(tide: Tide, state: Tensor) -> list[float]:
    """Give h [16] of the only block."""
    found: list[float] = state[0].tolist()
    return found


@torch.no_grad()
def moved(tide: Tide, h: list[float], *gaps: float) -> list[float]:
    state = torch.zeros(1, tide.state_size)
    state[0] = torch.tensor(h)
    for gap in gaps:
        _, state = tide.step(torch.zeros(1, 8), one_gap(gap), state)
    return memory(tide, state)


# --- numbers by hand -----------------------------------------------------------------------------


def test_after_a_half_life_of_seconds_a_half_is_left():
    """Forget gates closed: only time decays. 16 channels: 4 short, 8 long, 2 pairs."""
    tide = only_forgetting(forget=-100.0)
    short, long, _ = tide.half_lives()
    assert (len(short.seconds), len(long.seconds)) == (4, 8)
    for channel, seconds in enumerate((*short.seconds, *long.seconds)):
        if seconds <= 5 * YEAR:
            assert moved(tide, [1.0] * 16, seconds)[channel] == pytest.approx(0.5, rel=1e-5)
            assert moved(tide, [1.0] * 16, seconds, seconds)[channel] == pytest.approx(0.25, 1e-5)


def test_after_a_half_life_of_events_a_half_is_left():
    """Forget gates as they start, 1/8 open, and no time between: the first half-life is 2 events.

    The second is 2 * 10^(1/3) = 4.309 events, so that after two 2^(-2 / 4.309) = 0.7249 is left.
    """
    tide = only_forgetting(forget=math.log(1 / 7))
    short = tide.half_lives()[0]
    assert short.events.tolist() == pytest.approx([2, 4.308869, 9.283178, 20], rel=1e-5)
    found = moved(tide, [1.0] * 16, 0.0, 0.0)
    assert found[:2] == pytest.approx([0.5, 0.7249], abs=1e-4)


def test_a_pair_turns_by_a_quarter_in_a_quarter_of_its_period():
    """The first pair turns once a day, the second once a week: 6 h are 90 and 12.857 degrees."""
    tide = only_forgetting(forget=-100.0)
    periodic = tide.half_lives()[2]
    assert periodic.periods is not None and periodic.periods.tolist() == [DAY, 7 * DAY]
    left = 2 ** (-DAY / 4 / periodic.seconds)
    found = moved(tide, [0.0] * 12 + [1.0, 0.0, 1.0, 0.0], DAY / 4)[12:]
    turn = 2 * math.pi / 28
    expected = [0.0, left[0], left[1] * math.cos(turn), left[1] * math.sin(turn)]
    assert found == pytest.approx(expected, abs=1e-6)
    # A hundred whole days later the first points the same way again.
    left = 2 ** (-100 * DAY / periodic.seconds)
    found = moved(tide, [0.0] * 12 + [1.0, 0.0, 0.0, 0.0], 100.0 * DAY)[12:]
    assert found == pytest.approx([left[0], 0.0, 0.0, 0.0], abs=1e-6)


def test_a_first_event_decays_and_turns_nothing():
    tide = only_forgetting(forget=-100.0)
    h = [float(number) for number in range(16)]
    assert moved(tide, h, NO_GAP) == pytest.approx(h)


def test_what_is_written_is_scaled_by_the_decay_of_events_alone():
    """The value is tanh(1) = 0.761594, the write gate 1/2.

    First short channel, forget gate 1/8 open: e = 2^(-1/2), sqrt(1 - e^2) = sqrt(1/2), so that
    h = 0.707107 * 0.5 * 0.761594 = 0.269264, whatever the gap.
    """
    tide = only_forgetting(forget=math.log(1 / 7))
    bias = tide.get_parameter("blocks.0.enter.bias")
    with torch.no_grad():
        bias[:16] = 1.0
        bias[16:32] = 0.0
    for gap in (NO_GAP, 0.0, 100 * DAY):
        assert moved(tide, [0.0] * 16, gap)[0] == pytest.approx(0.269264, abs=1e-5)


def test_nothing_is_left_after_ages_yet_no_number_is_too_small_for_speed():
    left = kept(torch.tensor([5.0 * YEAR]), torch.tensor([-1.0 / 60, 0.0]))
    assert left.tolist() == [2.0**-43, 1.0]


# --- banks ---------------------------------------------------------------------------------------


def test_channels_are_shared_out_without_rest():
    for channels in range(8, 64, 2):
        short, long, periodic = bank_sizes(channels, BANKS)
        assert short + long + 2 * periodic == channels and min(short, long, periodic) >= 1
    assert bank_sizes(128, BANKS) == [32, 64, 16]
    assert bank_sizes(16, BANKS[2:]) == [8]
    assert bank_sizes(16, BANKS[:2]) == [5, 11]


def test_a_ladder_has_even_steps_and_a_mixed_one_the_same_rungs():
    assert ladder((1.0, 1_000.0), 4).tolist() == pytest.approx([1, 10, 100, 1_000])
    assert ladder((1.0, 100.0), 1).tolist() == pytest.approx([10])
    rungs = ladder((1.0, 1_000.0), 32)
    assert sorted(mixed(rungs)) == pytest.approx(rungs.tolist())
    assert abs(np.corrcoef(np.log(mixed(rungs)), np.arange(32))[0, 1]) < 0.2


def test_half_lives_start_where_the_banks_say():
    lives = Tide(16, blocks=3).half_lives()
    assert [(live.block, live.bank) for live in lives[:4]] == [
        (0, "short"),
        (0, "long"),
        (0, "periodic"),
        (1, "short"),
    ]
    for live, bank in zip(lives, BANKS * 3, strict=True):
        assert (live.events.min(), live.events.max()) == pytest.approx(bank.events, rel=1e-5)
        assert (live.seconds.min(), live.seconds.max()) == pytest.approx(bank.seconds, rel=1e-5)
        assert (live.periods is not None) is bank.turns


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_half_lives_stay_near_where_they_started_whatever_is_learned(extreme: float):
    tide = Tide(8)
    before = tide.half_lives()
    with torch.no_grad():
        tide.forgetting.shift.fill_(extreme)
    factor = math.exp(2) if extreme < 0 else math.exp(-2)
    for old, new in zip(before, tide.half_lives(), strict=True):
        np.testing.assert_allclose(new.events, old.events * factor, rtol=1e-5)
        np.testing.assert_allclose(new.seconds, old.seconds * factor, rtol=1e-5)


# --- long, quick and slow histories --------------------------------------------------------------

EVER = [0.0, 1e-6, 1.0, 5 * YEAR, 80 * YEAR]


@pytest.mark.parametrize("window", [0, 7])
@pytest.mark.parametrize("gap", EVER)
def test_any_gap_gives_finite_outputs_and_gradients(gap: float, window: int):
    torch.manual_seed(0)
    tide = Tide(8, window=window)
    with torch.no_grad():  # as far as learning may go
        tide.forgetting.shift.uniform_(-5, 5)
    gaps = torch.full((2, 1_000), gap)
    gaps[:, 0] = NO_GAP
    outputs, state = tide(30 * torch.randn(2, 1_000, 8), clock(gaps))
    outputs.square().sum().backward()
    assert outputs.isfinite().all() and state.isfinite().all()
    assert all(grad.isfinite().all() for grad in gradients(tide))
    assert state.half().isfinite().all()


def test_shut_gates_have_finite_gradients():
    tide = only_forgetting(forget=-200.0)
    outputs, _ = tide(torch.randn(1, 5, 8), clock(torch.zeros(1, 5)))
    outputs.square().sum().backward()
    assert all(grad.isfinite().all() for grad in gradients(tide))


def test_a_state_in_half_precision_goes_on_alike():
    torch.manual_seed(0)
    tide = Tide(8, window=5).eval()
    gaps = torch.tensor([[NO_GAP, 0.0, 60.0, 3e7, 2.0, 86_400.0]])
    x = torch.randn(1, 6, 8)
    with torch.no_grad():
        _, state = tide(x[:, :4], clock(gaps[:, :4]))
        exact, _ = tide(x[:, 4:], clock(gaps[:, 4:]), state)
        found, _ = tide(x[:, 4:], clock(gaps[:, 4:]), state.half().float())
    assert float((found - exact).abs().max()) < 2e-2


def test_in_bfloat16_the_memory_itself_stays_exact():
    """A decay of 0.9993 an event would be 1 in bfloat16."""
    torch.manual_seed(0)
    tide = Tide(8, window=3, dropout=0.0)
    x, gaps = torch.randn(2, 30, 8), clock(torch.full((2, 30), 60.0))
    with torch.autocast("cpu", torch.bfloat16):
        found, state = tide(x, gaps)
        found.float().square().sum().backward()
    assert state.dtype == torch.float32
    exact, _ = tide(x, gaps)
    assert float((found - exact).detach().abs().mean()) < 0.05


# --- switches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("banks", ["short", "long", "periodic", "long,short", "short, periodic"])
@pytest.mark.parametrize("time", [True, False])
def test_any_choice_of_banks_is_a_tide(banks: str, time: bool):
    tide = Tide(8, banks=banks, time=time)
    assert {live.bank for live in tide.half_lives()} == {name.strip() for name in banks.split(",")}
    assert tide.clone().config() == tide.config()
    outputs, _ = tide(torch.randn(2, 6, 8), clock(torch.full((2, 6), 3_600.0)))
    outputs.square().sum().backward()
    assert all(grad.abs().sum() > 0 for grad in gradients(tide))


@pytest.mark.parametrize("window", [0, 4])
def test_without_time_gaps_are_nothing_to_tide(window: int):
    torch.manual_seed(0)
    x = torch.randn(2, 9, 8)
    for time in (True, False):
        tide = Tide(8, window=window, time=time).eval()
        slow, quick = (tide(x, clock(torch.full((2, 9), gap)))[0] for gap in (10.0, 1e6))
        assert torch.equal(slow, quick) is not time
    assert all(np.isinf(live.seconds).all() and live.periods is None for live in tide.half_lives())


def test_outputs_are_what_blocks_add_and_not_the_inputs_themselves():
    torch.manual_seed(0)
    tide = Tide(8).eval()
    with torch.no_grad():
        for name, weight in tide.named_parameters():
            if "leave" in name:
                weight.zero_()
        outputs, _ = tide(torch.randn(2, 5, 8), clock(torch.ones(2, 5)))
    assert torch.equal(outputs, torch.zeros(2, 5, 8))


def test_the_state_is_as_wide_as_said():
    assert Tide(64).state_size == 2 * 128  # 1 KB in float32
    assert Tide(64, blocks=1, window=10).state_size == 128 + 10 + 10 * 64


def test_impossible_arguments_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        Tide(dim=3, blocks=9, dropout=1.0, window=-1, banks="short,weekly")
    told = str(caught.value)
    assert "5 faults" in told
    assert "Tide(dim=3): expected a whole number from 4" in told
    assert "Tide(blocks=9): expected a whole number from 1 to 8" in told
    assert "Tide(dropout=1.0): expected a share in [0, 1)" in told
    assert "Tide(window=-1): expected a whole number from 0" in told
    assert "Tide(banks='short,weekly'): expected some of 'short', 'long', 'periodic'" in told
    for banks in ("", "long,long"):
        with pytest.raises(ConfigError, match="each once"):
            Tide(banks=banks)
    with pytest.raises(ConfigError, match="dim=True"):
        Tide(dim=True)


# --- the head that looks back --------------------------------------------------------------------


def recent_outputs(head: Recent, x: Tensor, seconds: Tensor) -> Tensor:
    marks, ring = (
        torch.zeros(len(seconds), head.window),
        torch.zeros(len(seconds), head.window, 2 * head.size),
    )
    found: Tensor = head(x, look_back(marks, seconds), ring)[0]
    return found


def test_the_head_sees_so_many_events_and_not_one_more():
    torch.manual_seed(0)
    head = Recent(6, 4, window=3, time=True)
    x, seconds = torch.randn(11, 1, 6, requires_grad=True), torch.full((1, 11), 5.0)
    for at in range(11):
        (grad,) = torch.autograd.grad(recent_outputs(head, x, seconds)[at].sum(), x)
        seen = torch.nonzero(grad.abs().sum((1, 2))).flatten().tolist()
        assert seen == list(range(max(0, at - 3), at + 1))


def test_a_score_falls_with_time_by_hand():
    """Two events, queries and keys 0, values 1 and 0, no bias by order, a minute in between.

    The older one's score is -0.1 log(2), so that its share is 2^-0.1 / (1 + 2^-0.1) = 0.482679.
    """
    head = Recent(1, 1, window=1, time=True)
    with torch.no_grad():
        head.read.weight.copy_(torch.tensor([[0.0], [0.0], [1.0]]))
        head.read.bias.zero_()
    found = recent_outputs(
        head, torch.tensor([1.0, 0.0]).view(2, 1, 1), torch.tensor([[0.0, 60.0]])
    )
    assert FADE == 0.1
    assert found.flatten().tolist() == pytest.approx([1.0, 0.482679], abs=1e-6)


@pytest.mark.parametrize("length", [1, 3, 4, 9, 10])
def test_the_ring_goes_on_where_the_history_was_cut(length: int):
    torch.manual_seed(0)
    tide = Tide(8, window=4).eval()
    x, gaps = torch.randn(2, 13, 8), torch.exp(3 * torch.randn(2, 13))
    with torch.no_grad():
        whole, last = tide(x, clock(gaps))
        first, state = tide(x[:, :length], clock(gaps[:, :length]))
        second, after = tide(x[:, length:], clock(gaps[:, length:]), state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(after, last, rtol=0, atol=1e-5)
