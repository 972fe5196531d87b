"""The losses: the values that their formulas give, whichever way they are computed."""

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recency.errors import ConfigError
from recency.nn import powers
from recency.nn.losses import (
    cosine,
    full_softmax,
    gbce,
    log_chances,
    sampled_softmax,
    softmax_nats,
)
from recency.nn.powers import half_softmax


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
@pytest.mark.parametrize("kept", [True, False])
def test_all_ways_give_the_value_and_gradients_of_plain_cross_entropy(
    n: int, with_bias: bool, kept: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(powers, "KEPT_CELLS", 10**9 if kept else 0)
    queries, table, bias, targets = parts(n)
    bias = bias if with_bias else None
    plain = functional.cross_entropy(functional.linear(queries, table, bias), targets)
    expected = value_and_gradients(plain, queries, table, bias)
    for loss in (
        full_softmax(queries, table, bias, targets),
        softmax_nats(queries, table, bias, targets).mean(),
    ):
        for found, right in zip(
            value_and_gradients(loss, queries, table, bias), expected, strict=True
        ):
            close(found, right)


@pytest.mark.parametrize("kept", [True, False])
def test_nats_pass_on_a_slope_of_each_target(kept: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(powers, "KEPT_CELLS", 10**9 if kept else 0)
    queries, table, bias, targets = parts(700)
    slopes = torch.linspace(-1, 2, 700)
    plain = functional.cross_entropy(
        functional.linear(queries, table, bias), targets, reduction="none"
    )
    expected = torch.autograd.grad((plain * slopes).sum(), (queries, table, bias))
    told = softmax_nats(queries, table, bias, targets)
    found = torch.autograd.grad((told * slopes).sum(), (queries, table, bias))
    close(told, plain)
    for one, right in zip(found, expected, strict=True):
        torch.testing.assert_close(one, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept", [True, False])
def test_half_the_digits_change_loss_and_gradients_little(
    kept: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(powers, "KEPT_CELLS", 10**9 if kept else 0)
    queries, table, bias, targets = parts(700)
    leaves = (queries, table, bias)
    exact = full_softmax(queries, table, bias, targets)
    slopes = torch.autograd.grad(exact, leaves)
    with half_softmax():
        mean = full_softmax(queries, table, bias, targets)
        each = softmax_nats(queries, table, bias, targets).mean()
    assert mean.dtype == torch.float32
    for loss in (mean, each):
        found = torch.autograd.grad(loss, leaves)
        assert abs(float(loss.detach() - exact.detach())) < 2e-3
        assert not torch.equal(found[1], slopes[1])  # it is rounded indeed
        for one, right in zip(found, slopes, strict=True):
            assert one.dtype == torch.float32
            assert float((one - right).norm() / right.norm()) < 0.01


def test_half_the_digits_hold_scores_that_lie_far_apart():
    """Scores 0 and 200: the powers of all others, from the target's on, are no float."""
    queries = torch.tensor([[1.0], [1.0]], requires_grad=True)
    table, targets = torch.tensor([[0.0], [200.0]]), torch.tensor([0, 1])
    with half_softmax():
        told = softmax_nats(queries, table, None, targets).tolist()
        loss = full_softmax(queries, table, None, targets)
    (slope,) = torch.autograd.grad(loss, queries)
    assert told == [pytest.approx(200, abs=1), pytest.approx(0, abs=1)]  # digits of 200
    assert slope.flatten().tolist() == [pytest.approx(100, rel=0.005), pytest.approx(0, abs=0.5)]


def test_a_loss_that_is_no_number_stays_none():
    queries, table, bias, targets = parts(3)
    with torch.no_grad():
        queries[1] = math.nan
    assert math.isnan(float(full_softmax(queries, table, bias, targets).detach()))


def test_a_target_without_a_chance_has_finite_nats():
    """Scores 0 and 200: the share e^-200 is no float32, its logarithm is -200."""
    queries = torch.tensor([[1.0], [1.0]], requires_grad=True)
    table, targets = torch.tensor([[0.0], [200.0]]), torch.tensor([0, 1])
    found = softmax_nats(queries, table, None, targets)
    assert found.tolist() == [200.0, 0.0]
    (slope,) = torch.autograd.grad(full_softmax(queries, table, None, targets), queries)
    assert slope.tolist() == [[100.0], [0.0]]


def test_nothing_is_computed_for_gradients_that_nobody_wants():
    queries, table, bias, targets = parts(300)
    with torch.no_grad():
        assert not full_softmax(queries, table, bias, targets).requires_grad
    plain = functional.cross_entropy(functional.linear(queries, table, bias), targets)
    close(full_softmax(queries.detach(), table.detach(), bias.detach(), targets), plain.detach())


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


# --- negatives drawn by popularity ---------------------------------------------------------------


def by_popularity() -> torch.Tensor:
    """Give chances of 31 items that fall to a thirtieth."""
    return log_chances(31.0 / torch.arange(1, 32))


def scored(chances: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Give one query for which each item's score is the logarithm of a given number."""
    return torch.zeros(1, 2), torch.zeros(len(chances), 2), torch.tensor(chances).log()


def test_a_known_value_of_drawn_negatives():
    """Items of weight 2, 1, 4, 1 drawn with chances .2, .4, .2, .2; item 0 is the target.

    Without it the chances are .5 and .25 for items 1 and 2. Of the draws 1, 2, 2, 0 the last is
    left out: R = (1/.5 + 4/.25 + 4/.25) / 3 = 34/3, and the loss -log(2 / (2 + 34/3)) = log(20/3).
    """
    log_q = torch.tensor([0.2, 0.4, 0.2, 0.2]).log()
    negatives = torch.tensor([1, 2, 2, 0])
    found = sampled_softmax(*scored([2.0, 1.0, 4.0, 1.0]), torch.tensor([0]), negatives, log_q)
    torch.testing.assert_close(found, torch.tensor(20 / 3).log())


def test_the_gradient_is_that_of_the_weighted_form_of_the_paper():
    queries, table, bias, targets = parts(40)
    log_q, negatives = by_popularity(), torch.arange(31).repeat(2)[:50]
    scores = functional.linear(queries, table, bias)
    own = scores.gather(1, targets[:, None])[:, 0]
    left = torch.log1p(-log_q[targets].exp())[:, None]
    drawn = scores[:, negatives] - (log_q[negatives] - left)
    drawn = drawn.masked_fill(targets[:, None] == negatives, -math.inf)
    count = (targets[:, None] != negatives).sum(1)
    rest = torch.logsumexp(drawn, 1)
    right = own.exp() / (own.exp() + rest.exp() / count)
    weighted = ((1 - right.detach()) * (rest - own)).mean()
    found = sampled_softmax(queries, table, bias, targets, negatives, log_q)
    for a, b in zip(
        value_and_gradients(found, queries, table, bias)[1:],
        value_and_gradients(weighted, queries, table, bias)[1:],
        strict=True,
    ):
        close(a, b)


@pytest.mark.parametrize("with_bias", [True, False])
def test_equal_chances_need_not_be_told(with_bias: bool):
    queries, table, bias, targets = parts(40)
    bias = bias if with_bias else None
    alike = log_chances(torch.full((31,), 7))
    negatives = torch.randint(31, (12,), generator=torch.Generator().manual_seed(3))
    told = sampled_softmax(queries, table, bias, targets, negatives, alike)
    close(told, sampled_softmax(queries, table, bias, targets, negatives))


@pytest.mark.parametrize("corrected", [True, False])
def test_samples_by_popularity_are_right_in_the_mean_if_corrected(corrected: bool):
    queries, table, bias, targets = parts(40)
    queries, log_q = 0.3 * queries, by_popularity()
    bias = bias + 0.5 * log_q  # popular items score more: uncorrected, they would count twice
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(log_q.exp(), 200 * 400, replacement=True, generator=generator)
    told = log_q if corrected else None
    found = [
        float(sampled_softmax(queries, table, bias, targets, d, told).detach())
        for d in draws.view(200, 400)
    ]
    exact = float(full_softmax(queries, table, bias, targets).detach())
    assert (sum(found) / len(found) == pytest.approx(exact, rel=0.01)) is corrected


def test_a_popular_sample_of_nothing_but_the_target_stays_finite():
    queries, table, bias, targets = parts(3)
    only = log_chances(torch.arange(31) == targets[0])
    loss = sampled_softmax(queries, table, bias, targets[:1].expand(3), targets[:1], only)
    assert float(loss.detach()) == 0.0
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (queries, table, bias)))


def test_chances_of_a_popularity_proposal():
    """Counts 16, 0, 1: their roots are 4, 0, 1 of 5; at power 0 the two that occur are alike."""
    counts = torch.tensor([16, 0, 1])
    close(log_chances(counts).exp(), torch.tensor([16 / 17, 0.0, 1 / 17]))
    close(log_chances(counts, 0.5).exp(), torch.tensor([0.8, 0.0, 0.2]))
    close(log_chances(counts, 0.0).exp(), torch.tensor([0.5, 0.0, 0.5]))
    with pytest.raises(ConfigError, match=r"power=-1.0\): expected a number of at least 0"):
        log_chances(counts, -1.0)


# --- generalised binary cross-entropy ------------------------------------------------------------


@pytest.mark.parametrize(("calibration", "beta"), [(1.0, 0.5), (0.75, 0.625), (0.0, 1.0)])
def test_a_known_value_of_gbce(calibration: float, beta: float):
    """Two of four negatives, so alpha = 1/2: beta is 1/2 at t = 1, .5 (.75 (1 - 2) + 2) at t = .75.

    Scores 0, 0, log 3: the target's chance is 1/2, the others' counter-chances 1/2 and 1/4, that
    is, 1, 1 and 2 times log 2, over three items.
    """
    negatives = torch.tensor([1, 2])
    query = scored([1.0, 1.0, 3.0, 5.0, 5.0])
    found = gbce(*query, torch.tensor([0]), negatives, calibration)
    torch.testing.assert_close(found, torch.tensor((beta + 3) * math.log(2) / 3))


@pytest.mark.parametrize("with_bias", [True, False])
def test_gbce_and_its_gradients_are_those_of_the_plain_definition(with_bias: bool):
    queries, table, bias, targets = parts(20)
    bias = bias if with_bias else None
    negatives = torch.randint(31, (12,), generator=torch.Generator().manual_seed(3))
    scores, total = functional.linear(queries, table, bias), torch.zeros(())
    for row, target in enumerate(targets.tolist()):
        others = [item for item in negatives.tolist() if item != target]
        alpha = len(others) / 30
        beta = alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha)
        chances = scores[row].sigmoid()
        told = beta * chances[target].log() + (1 - chances[others]).log().sum()
        total = total - told / (len(others) + 1)
    for a, b in zip(
        value_and_gradients(gbce(queries, table, bias, targets, negatives), queries, table, bias),
        value_and_gradients(total / len(targets), queries, table, bias),
        strict=True,
    ):
        close(a, b)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_of_all_items_is_the_plain_binary_loss(calibration: float):
    queries, table, bias, targets = parts(20)
    right = functional.one_hot(targets, 31).float()
    plain = functional.binary_cross_entropy_with_logits(
        functional.linear(queries, table, bias), right
    )
    close(gbce(queries, table, bias, targets, torch.randperm(31), calibration), plain)


@pytest.mark.parametrize(("calibration", "calibrated"), [(1.0, True), (0.75, False), (0.0, False)])
def test_fully_calibrated_gbce_is_least_at_the_true_chances(calibration: float, calibrated: bool):
    """Over all targets by their true chances and all single negatives, the gradient vanishes."""
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    bias = torch.logit(chances).requires_grad_()
    query, table = torch.zeros(1, 2), torch.zeros(4, 2)
    total = torch.zeros(())
    for target, other in product(range(4), range(4)):
        if target != other:
            pair = torch.tensor([target]), torch.tensor([other])
            total = total + chances[target] / 3 * gbce(query, table, bias, *pair, calibration)
    (slope,) = torch.autograd.grad(total, bias)
    assert (float(slope.abs().max()) < 1e-6) is calibrated


def test_gbce_of_nothing_but_the_target_and_of_sure_scores_stays_finite():
    queries, table, bias, targets = parts(3)
    alone = gbce(queries, table, bias, targets[:1].expand(3), targets[:1])
    sure = gbce(1e4 * queries, table, bias, targets, torch.arange(31))
    for loss in (alone, sure):
        found = torch.autograd.grad(loss, (queries, table, bias))
        assert loss.isfinite() and all(g.isfinite().all() for g in found)
    with pytest.raises(ConfigError, match=r"calibration=1.5\): expected a number in \[0, 1\]"):
        gbce(queries, table, bias, targets, targets, 1.5)


# --- cosine scores -------------------------------------------------------------------------------


def test_known_cosines():
    """(3, 4) and (4, 3) have the cosine 24/25, whatever their lengths; at 1/10 the score is 9.6."""
    queries, table = torch.tensor([[3.0, 4.0]]), torch.tensor([[40.0, 30.0], [-0.3, -0.4]])
    query, items = cosine(queries, table, temperature=0.1)
    close(query @ items.T, torch.tensor([[9.6, -10.0]]))
    assert float(cosine(queries, queries)[0].norm()) == pytest.approx(20.0)
    with pytest.raises(ConfigError, match=r"temperature=0.0\): expected a number above 0"):
        cosine(queries, table, 0.0)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "full": full_softmax,
    "nats": lambda *given, **named: softmax_nats(*given, **named).mean(),
    "sampled": partial(sampled_softmax, negatives=torch.arange(20)),
    "by popularity": partial(sampled_softmax, negatives=torch.arange(20), log_q=by_popularity()),
    "gbce": partial(gbce, negatives=torch.arange(20)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_works_on_cosines(name: str):
    queries, table, _, targets = parts(20)
    found = LOSSES[name](*cosine(queries, table), bias=None, targets=targets)
    longer = LOSSES[name](*cosine(5 * queries, 3 * table), bias=None, targets=targets)
    close(longer, found)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(found, (queries, table)))


def test_cosines_of_zero_vectors_and_of_bfloat16():
    queries, table = torch.zeros(1, 4, requires_grad=True), torch.ones(3, 4)
    (slope,) = torch.autograd.grad(
        full_softmax(*cosine(queries, table), None, torch.tensor([0])), queries
    )
    assert slope.isfinite().all()
    assert {v.dtype for v in cosine(queries.bfloat16(), table.bfloat16())} == {torch.float32}


@pytest.mark.parametrize("name", ["full", "sampled", "by popularity", "gbce"])
def test_every_loss_of_bfloat16_queries_is_float32(name: str):
    queries, table, bias, targets = parts(20)
    with torch.autocast("cpu", torch.bfloat16):
        loss = LOSSES[name](queries.bfloat16(), table, bias=bias, targets=targets)
    exact = LOSSES[name](queries.bfloat16().float(), table, bias=bias, targets=targets)
    assert loss.dtype == torch.float32
    close(loss, exact)
