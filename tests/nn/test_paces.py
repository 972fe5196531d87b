"""Paces: as many returns as came, and people told apart as far as is true."""

import pytest
import torch

from recency.nn.paces import Paces

DAY = 86_400.0


def test_fresh_paces_change_nothing():
    paces = Paces()
    sums = torch.rand(4, len(paces.pace), dtype=torch.float64)
    assert paces.even
    assert torch.equal(paces.speeds(sums), torch.ones_like(sums))


def test_what_is_told_too_surely_is_leant_back():
    torch.manual_seed(0)
    paces = Paces()
    n, spans = 20_000, len(paces.pace)
    true = 0.05 * torch.exp(0.5 * torch.randn(n, dtype=torch.float64))
    sums = torch.full((n, spans), 1e-9, dtype=torch.float64)
    sums[:, 2] = true**2 / 0.05  # twice as far apart, on the scale of logarithms
    found = torch.zeros_like(sums)
    found[:, 2] = torch.bernoulli(true)
    exposed = torch.where(sums > 1e-6, sums, torch.zeros_like(sums))
    paces.settle(sums, exposed, found)
    assert float(paces.lean[2]) == pytest.approx(-0.5, abs=0.1)
    hazards = sums[:, 2] * paces.speeds(sums)[:, 2]
    assert float(hazards.sum() / found.sum()) == pytest.approx(1, abs=0.06)
    others = [0, 1, *range(3, spans)]
    assert torch.allclose(paces.pace[others], torch.ones(spans - 1))
    assert torch.allclose(paces.lean[others], torch.zeros(spans - 1))


def test_a_hazard_is_paced_in_the_spans_that_a_wait_went_through():
    paces = Paces()
    paces.pace[2] = 3.0  # from one day to three
    ends = (paces.ends() / DAY)[None].double()  # a hazard of one a day
    waits = torch.tensor([[0.5, 2.0, 5.0]], dtype=torch.float64)
    paced = paces.paced(waits, ends, waits * DAY)
    assert paced.tolist() == [pytest.approx([0.5, 1 + 3, 1 + 6 + 2])]
