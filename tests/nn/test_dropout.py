"""Dropout from random bytes: the share it drops, the mean it keeps, its gradient."""

import pytest
import torch

from recency.nn.dropout import Dropout


def dropped(share: float, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    result: torch.Tensor = Dropout(share)(x)
    return result


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_stays(share: float):
    found = dropped(share, torch.ones(401, 997))
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.003)
    assert float(found.mean()) == pytest.approx(1.0, rel=0.01)
    assert len(found.unique()) == 2


def test_every_place_of_a_word_is_dropped_as_often():
    """Of random words, a sign that is never set would show in each eighth byte."""
    by_place = (dropped(0.3, torch.ones(100_000, 8)) == 0).float().mean(0)
    assert (by_place - 77 / 256).abs().max() < 0.006


def test_the_gradient_is_the_mask_that_was_drawn():
    x = torch.randn(64, 33, requires_grad=True)
    found = dropped(0.25, x)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(found.detach(), x.detach() * gradient)


def test_the_seed_repeats_it_and_types_stay():
    x = torch.ones(5, 7, dtype=torch.bfloat16)
    assert torch.equal(dropped(0.5, x, seed=1), dropped(0.5, x, seed=1))
    assert dropped(0.5, x).dtype == torch.bfloat16


def test_nothing_is_dropped_in_evaluation_or_with_no_share():
    x = torch.randn(4, 4)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x


def test_shares_too_small_for_a_byte_are_dropped_all_the_same():
    found = dropped(0.0005, torch.ones(1_000_000))
    assert 300 < int((found == 0).sum()) < 700


def test_nearly_all_may_be_dropped():
    found = dropped(0.9999, torch.ones(100_000))
    assert 0 < int((found != 0).sum()) < 800
