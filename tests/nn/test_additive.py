"""The additive base tells a planted curve and stays within what it saw; tastes are solved for."""

import numpy as np
import pytest
import torch

from recency.nn.additive import Additive
from recency.nn.tastes import fit_factors, tastes_before

N = 3_000


def planted() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    facts = rng.normal(size=(N, 3))
    facts[:, 2] = rng.poisson(0.3, N)  # a count that hardly differs
    truth = np.abs(facts[:, 0]) - 0.5 * facts[:, 1]
    return torch.from_numpy(facts).float(), torch.from_numpy(truth).float()


@pytest.mark.parametrize("kind", ["value", "chance"])
def test_a_curve_is_found(kind):
    facts, truth = planted()
    rng = np.random.default_rng(1)
    base = Additive(3, kind)
    assert not base(facts).any()
    drawn = (torch.sigmoid(truth).numpy() > rng.random(N)).astype(np.float32)
    labels = torch.from_numpy(drawn) if kind == "chance" else truth
    assert base.fit(facts, labels, np.arange(N))
    wrong = (base(facts) - truth).square().mean().sqrt()
    assert wrong < (0.45 if kind == "chance" else 0.2) * truth.std()


def test_facts_that_tell_more_together_are_multiplied():
    facts, _ = planted()
    truth = facts[:, 0] * facts[:, 1]
    alone, together = Additive(3, "value"), Additive(3, "value", together=(0, 1))
    for base in (alone, together):
        assert base.fit(facts, truth, np.arange(N))
    wrong = [float((base(facts) - truth).square().mean()) for base in (alone, together)]
    assert wrong[0] > 0.5 > 0.1 > wrong[1]


def test_nothing_is_said_beyond_what_was_seen():
    facts, truth = planted()
    base = Additive(3, "value")
    base.fit(facts, truth, np.arange(N))
    far, edge = facts[:1].clone(), facts[:1].clone()
    far[0, 1], edge[0, 1] = 1e6, facts[:, 1].max()
    assert torch.allclose(base(far), base(edge), atol=1e-4)


def test_too_few_lessons_change_nothing():
    facts, truth = planted()
    base = Additive(3, "value")
    assert not base.fit(facts[:50], truth[:50], np.arange(50))
    assert not base.fitted


def test_tastes_know_a_user_of_whom_nothing_was_fitted():
    rng = np.random.default_rng(0)
    side = np.repeat([1.0, -1.0], 20)  # of each item; users like one side
    users, items = np.repeat(np.arange(60), 30), rng.integers(0, 40, 60 * 30)
    wrong = np.where(users % 2, 1.0, -1.0) * side[items]
    factors = fit_factors(users, items, wrong, 40)
    new = (np.full(6, 99), np.arange(6), np.arange(6) * 10, np.ones(6))  # likes the first side
    asked = np.array([99, 99, 99, 7]), np.array([10, 30, -1, 10]), np.array([60, 60, 60, 60])
    told = tastes_before(factors.astype(float), new, *asked)
    assert told[0] > 0.5 and told[1] < -0.5
    assert told[2] == 0 and told[3] == 0  # of a strange item, or of a strange user
    early = tastes_before(factors.astype(float), new, asked[0], asked[1], np.zeros(4, int))
    assert not early.any()  # nothing of the same instant or later


def test_what_stands_beside_the_lessons_alone_is_taken_back():
    """Of what is a no few are kept, which makes the odds in the lessons so much higher."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=400_000)
    true = -5 + 1.5 * x
    y = rng.random(len(x)) < 1 / (1 + np.exp(-true))
    r = np.where(x > 0, 0.05, 0.002)  # more are kept where there is more to tell
    kept = y | (rng.random(len(x)) < r)
    facts = torch.from_numpy(x[kept].astype(np.float32))[:, None]
    labels, beside = torch.from_numpy(y[kept].astype(np.float32)), -np.log(r[kept])
    base = Additive(1, "chance")
    assert base.fit(facts, labels, np.arange(kept.sum()), beside)
    asked = torch.linspace(-1.5, 2.5, 9)[:, None]
    assert base(asked).numpy() == pytest.approx((-5 + 1.5 * asked[:, 0]).numpy(), abs=0.4)
