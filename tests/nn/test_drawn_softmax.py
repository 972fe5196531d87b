"""The softmax over drawn items: values and gradients of its plain form, however it is computed."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recency.nn import powers
from recency.nn.losses import log_chances, sampled_nats
from recency.nn.powers import half_softmax

N_ITEMS, N_DRAWN = 31, 40  # items are drawn more than once, and targets are among them


def case(n: int, with_bias: bool = True) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
    """Give queries, table, bias, targets and drawn items."""
    generator = torch.Generator().manual_seed(n)
    queries = torch.randn(n, 8, generator=generator, requires_grad=True)
    table = torch.randn(N_ITEMS, 8, generator=generator, requires_grad=True)
    bias = torch.randn(N_ITEMS, generator=generator, requires_grad=True) if with_bias else None
    targets = torch.randint(N_ITEMS, (n,), generator=generator)
    return queries, table, bias, targets, torch.randint(N_ITEMS, (N_DRAWN,), generator=generator)


def plain(
    queries: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    drawn: Tensor,
    log_q: Tensor | None,
) -> Tensor:
    """Write the formula of `sampled_nats` down, in float64."""
    bias = None if bias is None else bias.double()
    scores = functional.linear(queries.double(), table.double(), bias)
    own, others = scores.gather(1, targets[:, None])[:, 0], scores[:, drawn]
    hit = targets[:, None] == drawn
    if log_q is None:
        rest = others + math.log(len(table) - 1)
    else:
        rest = others - log_q.double()[drawn] + torch.log1p(-log_q.double()[targets].exp())[:, None]
    mean = rest.masked_fill(hit, -math.inf).logsumexp(1) - (~hit).sum(1).log()
    return torch.logaddexp(own, mean) - own


@pytest.mark.parametrize("n", [1, 255, 700])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_values_and_gradients_are_those_of_the_formula(
    n: int, with_bias: bool, popular: bool, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(powers, "KEPT_CELLS", 10**9 if kept else 0)
    queries, table, bias, targets, drawn = case(n, with_bias)
    log_q = log_chances(torch.arange(N_ITEMS) + 1.0) if popular else None
    leaves = [one for one in (queries, table, bias) if one is not None]
    slopes = torch.linspace(-1, 2, n)
    expected = plain(queries, table, bias, targets, drawn, log_q)
    found = sampled_nats(queries, table, bias, targets, drawn, log_q)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    for one, right in zip(
        torch.autograd.grad((found * slopes).sum(), leaves),
        torch.autograd.grad((expected * slopes).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", [True, False])
def test_half_the_digits_change_loss_and_gradients_little(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(powers, "KEPT_CELLS", 10**9 if kept else 0)
    queries, table, bias, targets, drawn = case(700)
    assert bias is not None
    leaves = (queries, table, bias)
    exact = sampled_nats(queries, table, bias, targets, drawn)
    with half_softmax():
        half = sampled_nats(queries, table, bias, targets, drawn)
    assert half.dtype == torch.float32
    assert abs(float((half - exact).mean().detach())) < 2e-3
    for one, right in zip(
        torch.autograd.grad(half.mean(), leaves),
        torch.autograd.grad(exact.mean(), leaves),
        strict=True,
    ):
        assert not torch.equal(one, right)  # it is rounded indeed
        assert float((one - right).norm() / right.norm()) < 0.01


@pytest.mark.parametrize("half", [True, False])
def test_scores_may_lie_far_apart(half: bool) -> None:
    """The target has 0 and 200, what is drawn 200 and 0: the first powers are no floats."""
    queries = torch.tensor([[1.0], [1.0]], requires_grad=True)
    table = torch.tensor([[0.0], [200.0]])
    with half_softmax(half):
        told = sampled_nats(queries, table, None, torch.tensor([0, 1]), torch.tensor([0, 1]))
    (slope,) = torch.autograd.grad(told.sum(), queries)
    assert told.tolist() == [pytest.approx(200, abs=1), pytest.approx(0, abs=1)]  # digits of 200
    assert slope.flatten().tolist() == [pytest.approx(200, rel=0.005), pytest.approx(0, abs=0.5)]


def test_what_is_no_number_stays_none() -> None:
    queries, table, bias, targets, drawn = case(3)
    with torch.no_grad():
        queries[1] = math.nan
    told = sampled_nats(queries, table, bias, targets, drawn)
    assert told.isnan().tolist() == [False, True, False]
