"""Curves of age: read right between, at and beyond their knots, and learned by the right slopes."""

import math

import numpy as np
import torch

from recency.data.histories import PADDING
from recency.nn.fading import OWN_WINDOW, Context, Fading

YEAR = 365.25 * 86_400.0


def by_hats(table, x, longest):
    """Read a curve as a sum of hats, one a knot: slower, and differentiated by torch itself."""
    knots = len(table)
    place = torch.log1p(x.clamp(0, longest)) * ((knots - 1) / math.log1p(longest))
    hats = torch.relu(1 - (place.unsqueeze(-1) - torch.arange(knots)).abs())
    return hats @ table


def planted(dtype=torch.float32):
    torch.manual_seed(0)
    fading = Fading().to(dtype)
    with torch.no_grad():
        fading.by_events.normal_()
        fading.by_time.normal_()
    ages = torch.rand(40, 30, dtype=dtype) ** 6 * 1.5 * YEAR  # some beyond the last knot
    ages[0] = 0.0
    items = torch.randint(0, 5, (40, 30))
    items[:, 25:] = PADDING
    return fading, Context(items, ages)


def test_weights_and_slopes_are_those_of_hats():
    fading, context = planted(torch.float64)
    found = fading(context)
    ago = torch.arange(30, dtype=torch.float64)
    wanted = by_hats(fading.by_events, ago, float(OWN_WINDOW))
    wanted = wanted + by_hats(fading.by_time, context.ages, YEAR)
    there = context.items != PADDING
    assert torch.isneginf(found[~there]).all()
    assert torch.allclose(found[there], wanted[there], atol=1e-5)
    slope = torch.randn(40, 30, dtype=torch.float64)[there]
    for table in (fading.by_events, fading.by_time):
        mine, other = (
            torch.autograd.grad((one[there] * slope).sum(), table, retain_graph=True)[0]
            for one in (found, wanted)
        )
        assert torch.allclose(mine, other, atol=1e-4)
        assert mine.abs().max() > 0.1


def test_arrays_are_weighed_as_tensors_are():
    fading, context = planted()
    found = fading.logs(context.items.numpy(), context.ages.numpy())
    np.testing.assert_allclose(found, fading(context).detach().numpy(), atol=1e-4)
