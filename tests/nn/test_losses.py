"""The loss over the whole catalogue: one value, whichever way it is computed."""

import pytest
import torch
from torch.nn import functional

from recency.nn.losses import chunked_softmax, full_softmax, sampled_softmax


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def parts(n: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(n, 8, generator=generator, requires_grad=True)
    table = torch.randn(31, 8, generator=generator, requires_grad=True)
    bias = torch.randn(31, generator=generator, requires_grad=True)
    return queries, table, bias, torch.randint(0, 31, (n,), generator=generator)


def value_and_gradients(loss, queries, table, bias):
    leaves = [leaf for leaf in (queries, table, bias) if leaf is not None]
    return [loss.detach(), *torch.autograd.grad(loss * 3.0, leaves)]


@pytest.mark.parametrize("n", [1, 512, 513, 1_500])
@pytest.mark.parametrize("with_bias", [True, False])
def test_all_ways_give_the_value_and_gradients_of_plain_cross_entropy(n: int, with_bias: bool):
    queries, table, bias, targets = parts(n)
    bias = bias if with_bias else None
    plain = functional.cross_entropy(functional.linear(queries, table, bias), targets)
    expected = value_and_gradients(plain, queries, table, bias)
    for loss in (
        full_softmax(queries, table, bias, targets),
        chunked_softmax(queries, table, bias, targets, 100),
    ):
        for found, right in zip(
            value_and_gradients(loss, queries, table, bias), expected, strict=True
        ):
            close(found, right)


def test_a_torch_without_the_fused_loss_gives_the_same(monkeypatch: pytest.MonkeyPatch):
    queries, table, bias, targets = parts(1_500)
    fused = full_softmax(queries, table, bias, targets)
    monkeypatch.delattr(functional, "linear_cross_entropy", raising=False)
    close(full_softmax(queries, table, bias, targets), fused)


def test_a_known_value():
    """Three items, equal scores: -log(1/3). One item ahead by log 2: -log(2/4) and -log(1/4)."""
    queries, targets = torch.tensor([[0.0], [1.0], [1.0]]), torch.tensor([2, 0, 1])
    table = torch.tensor([[2.0], [1.0], [1.0]]).log()
    found = full_softmax(queries, table, None, targets)
    three, two, four = torch.tensor([3.0, 2.0, 4.0]).log()
    torch.testing.assert_close(found, (three + two + four) / 3)


def test_the_loss_of_bfloat16_queries_is_float32():
    queries, table, bias, targets = parts(700)
    with torch.autocast("cpu", torch.bfloat16):
        loss = full_softmax(queries.bfloat16(), table, bias, targets)
    assert loss.dtype == torch.float32
    exact = functional.cross_entropy(
        functional.linear(queries.bfloat16().float(), table, bias), targets
    )
    close(loss, exact)


def test_a_sample_of_all_items_is_exact():
    queries, table, bias, targets = parts(40)
    exact = full_softmax(queries, table, bias, targets)
    found = sampled_softmax(queries, table, bias, targets, torch.randperm(31))
    for a, b in zip(
        value_and_gradients(found, queries, table, bias),
        value_and_gradients(exact, queries, table, bias),
        strict=True,
    ):
        close(a, b)


def test_samples_are_right_in_the_mean():
    queries, table, bias, targets = parts(40)
    queries = 0.3 * queries
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(31, (200,), generator=generator) for _ in range(200)]
    found = [float(sampled_softmax(queries, table, bias, targets, d).detach()) for d in draws]
    exact = float(full_softmax(queries, table, bias, targets).detach())
    assert sum(found) / len(found) == pytest.approx(exact, rel=0.01)


def test_a_sample_of_nothing_but_the_target_stays_finite():
    queries, table, bias, targets = parts(3)
    loss = sampled_softmax(queries, table, bias, targets[:1].expand(3), targets[:1])
    assert float(loss.detach()) == 0.0
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (queries, table, bias)))
