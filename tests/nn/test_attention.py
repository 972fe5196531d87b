"""What the Transformer attends to, worked by hand, and what it refuses."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.errors import ConfigError
from recency.nn.attention import Attention, FeedForward, Glance, Stretch, TimeBias, Transformer
from recency.nn.encoder import Clock
from recency.nn.time import LONGEST
from recency.nn.time_bias import KNOTS, Ages, BucketBias

START = 1_767_225_600_000_000
STEP = math.log(1 + LONGEST) / (KNOTS - 1)
VARIANTS = [
    {"feed_forward": feed_forward, "time_bias": time_bias}
    for feed_forward in ("gated", "plain")
    for time_bias in ("none", "buckets", "functional")
]


def clock_of(gaps: Tensor) -> Clock:
    passed = torch.cumsum((gaps.clamp(min=0).double() * 1e6).long(), dim=1)
    return Clock(gaps, START + passed)


def histories(batch: int, length: int, dim: int = 8, seed: int = 0) -> tuple[Tensor, Clock]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, length, dim, generator=generator)
    gaps = torch.exp(4 * torch.randn(batch, length, generator=generator))
    gaps[:, ::4] = 0.0
    gaps[:, 0] = NO_GAP
    return x, clock_of(gaps)


def part(clock: Clock, start: int, stop: int) -> Clock:
    return Clock(clock.gaps[:, start:stop], clock.times[:, start:stop])


def plain_attention(time_bias: TimeBias = "none", window: int = 3) -> Attention:
    """Make an attention of one head whose query, key, value and output are what it reads."""
    attention = Attention(2, heads=1, window=window, time_bias=time_bias)
    with torch.no_grad():
        for product in (attention.query, attention.key, attention.value, attention.output):
            product.weight.copy_(torch.eye(2))
        attention.output.bias.zero_()
        attention.distance.zero_()
    return attention


def stretch(length: int, ages: Ages | None = None) -> Stretch:
    places = torch.arange(length)
    return Stretch(slice(0, length), slice(0, length), places[:, None] - places, None, ages)


def test_weights_are_a_softmax_of_products_and_distances():
    attention = plain_attention()
    with torch.no_grad():
        attention.distance.copy_(torch.tensor([[0.0, math.log(2), math.log(3)]]))
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]])
    # q . k of the last row: 2, 0 and 4; of the second: 0 and 1. All over sqrt(2).
    second = (2.0, math.exp(1 / math.sqrt(2)))
    last = (3 * math.exp(2 / math.sqrt(2)), 2.0, math.exp(4 / math.sqrt(2)))
    expected = [
        [1.0, 0.0],
        [second[0] / sum(second), second[1] / sum(second)],
        [(last[0] + 2 * last[2]) / sum(last), last[1] / sum(last)],
    ]
    found = attention(x, x[:, :0], [stretch(3)])
    torch.testing.assert_close(found, torch.tensor([expected]))
    glance = Glance(torch.zeros(1, 1, 2, dtype=torch.bool), None)
    torch.testing.assert_close(attention.glance(x[:, 2], x[:, :2], glance), found[:, 2])


def test_no_weight_lies_outside_the_window():
    attention = plain_attention(window=2)
    x = torch.tensor([[[9.0, 0.0], [0.0, 0.0], [0.0, 1.0]]])
    found = attention(x, x[:, :0], [stretch(3)])
    own = math.exp(1 / math.sqrt(2))
    torch.testing.assert_close(found[0, 2], torch.tensor([0.0, own / (1 + own)]))


def test_places_of_a_ring_without_events_have_no_weight():
    attention = plain_attention()
    ring = torch.tensor([[[0.0, 0.0], [0.0, 3.0]]])
    x = torch.tensor([[1.0, 0.0]])
    found = attention.glance(x, ring, Glance(torch.tensor([[[True, False]]]), None))
    own = math.exp(1 / math.sqrt(2))
    torch.testing.assert_close(found, torch.tensor([[own / (1 + own), 3 / (1 + own)]]))


def test_the_time_bias_prefers_events_of_the_age_it_has_learned():
    attention = plain_attention("buckets")
    knot = 14  # 1 h 24 min
    with torch.no_grad():
        attention.query.weight.zero_()  # only ages count
        assert isinstance(attention.time, BucketBias)
        attention.time.table[0, knot] = math.log(6)
    wanted = math.exp(STEP * knot) - 1
    seconds = torch.tensor([[0.0, 10 * wanted, 11 * wanted]], dtype=torch.float64)
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    found = attention(x, x[:, :0], [stretch(3, Ages.between(seconds, seconds))])
    # Weights 1 : 6 : 1 of the events 11, 1 and 0 times as old; and 1 : 1 where no age fits.
    expected = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [1 / 8, 6 / 8]]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    glance = Glance(torch.zeros(1, 1, 2, dtype=torch.bool), Ages.between(seconds[:, 2:], seconds))
    torch.testing.assert_close(attention.glance(x[:, 2], x[:, :2], glance), found[:, 2])


def test_feed_forwards_by_hand():
    plain, gated = FeedForward(1, gated=False), FeedForward(1, gated=True)
    with torch.no_grad():
        plain.hidden.weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [0.0]]))
        plain.hidden.bias.copy_(torch.tensor([0.0, 0.0, -1.0, 5.0]))
        plain.output.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        plain.output.bias.fill_(0.5)
        # Of the eight units inside, the first has gate x and value 3 x + 1; the others are shut.
        gated.hidden.weight.zero_()
        gated.hidden.bias.zero_()
        gated.hidden.weight[0], gated.hidden.weight[8], gated.hidden.bias[8] = 1.0, 3.0, 1.0
        gated.output.weight.fill_(1.0)
        gated.output.bias.fill_(0.25)
    assert plain(torch.tensor([2.0])).item() == 2.0 + 300.0 + 5_000.0 + 0.5
    assert plain(torch.tensor([-2.0])).item() == 20.0 + 5_000.0 + 0.5
    silu = 2.0 / (1 + math.exp(-2.0))
    assert gated(torch.tensor([2.0])).item() == pytest.approx(7 * silu + 0.25)


def test_inside_it_is_as_wide_as_said():
    assert FeedForward(64, gated=False).hidden.out_features == 256
    assert FeedForward(64, gated=True).output.in_features == 176
    plain, gated = (
        sum(weight.numel() for weight in FeedForward(64, is_gated).parameters())
        for is_gated in (False, True)
    )
    assert gated == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("blocks", [1, 3])
def test_an_event_is_felt_as_far_as_said_and_no_further(settings, blocks):
    torch.manual_seed(0)
    encoder = Transformer(8, blocks=blocks, window=5, **settings).eval()
    x, clock = histories(2, 20)
    other = x.clone()
    other[:, 0] = -x[:, 0]
    change = (encoder(other, clock)[0] - encoder(x, clock)[0]).abs().amax(dim=(0, 2))
    reach = blocks * (5 - 1)
    assert change[reach] > 0
    assert change[reach + 1 :].max() < 1e-6


@pytest.mark.parametrize("settings", VARIANTS)
def test_long_histories_in_stretches_segments_and_steps_are_the_same(settings):
    torch.manual_seed(0)
    encoder = Transformer(8, window=30, **settings).eval()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if name.endswith("distance"):
                weight.normal_()
    x, clock = histories(3, 180)
    outputs, last = encoder(x, clock)
    state = None
    for start, stop in pairwise((0, 3, 60, 61, 175, 180)):
        found, state = encoder(x[:, start:stop], part(clock, start, stop), state)
        torch.testing.assert_close(found, outputs[:, start:stop], rtol=0, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-5)
    state = encoder.initial_state(3)
    for at in range(40):
        found, state = encoder.step(x[:, at], part(clock, at, at + 1), state)
        torch.testing.assert_close(found, outputs[:, at], rtol=0, atol=1e-5)


def test_users_with_short_and_long_histories_go_side_by_side():
    torch.manual_seed(0)
    encoder = Transformer(8, window=10).eval()
    x, clock = histories(2, 12)
    _, state = encoder(x[:, :6], part(clock, 0, 6))
    state[0] = 0.0  # forgets all it knew
    mixed, _ = encoder(x[:, 6:], part(clock, 6, 12), state)
    stepped, _ = encoder.step(x[:, 6], part(clock, 6, 7), state)
    alone, _ = encoder(x[:1, 6:], Clock(clock.gaps[:1, 6:], clock.times[:1, 6:]))
    torch.testing.assert_close(mixed[:1], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(stepped[:1], alone[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("gap", [0.0, 1e-6, 50 * LONGEST])
def test_bursts_and_gaps_of_centuries_stay_finite(settings, gap):
    encoder = Transformer(8, window=6, **settings)
    x, _ = histories(2, 12)
    x.requires_grad_()
    gaps = torch.full((2, 12), gap)
    outputs, state = encoder(x, clock_of(gaps))
    outputs.square().sum().backward()
    assert outputs.isfinite().all() and state.half().isfinite().all()
    grads = [x.grad, *(weight.grad for weight in encoder.parameters())]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("settings", VARIANTS)
def test_a_state_survives_half_precision(settings):
    torch.manual_seed(0)
    encoder = Transformer(8, window=10, **settings).eval()
    x, clock = histories(4, 30)
    outputs, _ = encoder(x, clock)
    _, state = encoder(x[:, :20], part(clock, 0, 20))
    found, _ = encoder(x[:, 20:], part(clock, 20, 30), state.half().float())
    torch.testing.assert_close(found, outputs[:, 20:], rtol=0, atol=2e-2)


def test_only_the_time_bias_minds_the_gaps():
    x, clock = histories(2, 10)
    other = clock_of(torch.where(clock.gaps > 0, clock.gaps * 1_000, clock.gaps))
    blind, timed = Transformer(8, time_bias="none"), Transformer(8, time_bias="functional")
    assert torch.equal(blind.eval()(x, clock)[0], blind(x, other)[0])
    assert not torch.equal(timed.eval()(x, clock)[0], timed(x, other)[0])


def test_the_state_is_as_wide_as_said():
    assert Transformer(8, blocks=3, window=5).state_size == 4 * (3 * 8 + 1) + 1
    assert Transformer(64, blocks=2, window=100).state_size == 99 * 129 + 1


def test_outputs_start_small_enough_for_soft_scores():
    x, clock = histories(4, 20, dim=32)
    outputs, _ = Transformer(32).eval()(x, clock)
    assert outputs.std().item() == pytest.approx(0.3, abs=0.02)


def test_heads_start_by_preferring_recent_events():
    distance = Attention(4, heads=2, window=3, time_bias="none").distance
    expected = [[0.0, -math.log(2), -math.log(3)], [0.0, -math.log(2) / 4, -math.log(3) / 4]]
    torch.testing.assert_close(distance.detach(), torch.tensor(expected))


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        Transformer(0, 1.5, True, 1, "wide", "late", 1.0)  # type: ignore[arg-type]
    told = str(caught.value)
    assert "7 faults" in told
    assert "Transformer(dim=0): expected a whole number of at least 1." in told
    assert "Transformer(blocks=1.5): expected a whole number of at least 1." in told
    assert "Transformer(heads=True): expected a whole number of at least 1." in told
    assert "Transformer(window=1): expected a whole number of at least 2." in told
    assert "Transformer(feed_forward='wide'): expected 'gated' or 'plain'." in told
    assert "Transformer(time_bias='late'): expected 'none' or 'buckets' or 'functional'." in told
    assert "Transformer(dropout=1.0): expected a share in [0, 1)." in told


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"dim=10, heads=4\): expected a multiple of the heads"):
        Transformer(10, heads=4)
    with pytest.raises(ConfigError, match=r"window=2050\): expected 2049 events at most"):
        Transformer(8, window=2050)
