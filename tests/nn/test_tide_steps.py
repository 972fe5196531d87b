"""Tide steps: what NumPy reads is what torch reads (contract 3), for whatever events."""

from typing import Any

import numpy as np
import pytest
import torch

from recency.data.histories import NO_GAP, UNKNOWN, Batch
from recency.nn.inputs import InputConfig, Tensors
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.nn.tide import Tide
from recency.nn.tide_steps import TideSteps

N_ITEMS, N_TYPES = 12, 3
GAPS = [NO_GAP, 0.0, 1e-3, 0.5, 1.0, 59.0, 86_400.0, 3.3e6, 1.5e8, 9e9]
TIMES = [0, 1_767_225_600_000_000, 1_709_164_800_123_456, 1_743_296_400_000_000, -(10**15)]


def model_of(settings: dict[str, Any], seed: int = 0, **inputs: object) -> SequenceModel:
    torch.manual_seed(seed)
    tide = Tide(**settings)
    config = InputConfig(time_zone="Europe/Berlin", **inputs)  # type: ignore[arg-type]  # settings
    model = SequenceModel(tide, N_ITEMS, N_TYPES, config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # none stays the 0 or 1 that it started with
            weight.add_(0.1 * torch.randn_like(weight))
        if model.events.calendar is not None:
            model.events.calendar.show_year(True)
    return model


def batch_of(n: int, seed: int) -> Batch:
    random = np.random.default_rng(seed)
    values = random.choice([np.nan, -3.0, 0.0, 2.5, 1e6], (n, 1)).astype(np.float32)
    return Batch(
        items=random.integers(UNKNOWN, N_ITEMS + 3, (n, 1)),
        times=random.choice(TIMES, (n, 1)),
        gaps=random.choice(GAPS, (n, 1)).astype(np.float32),
        types=random.integers(UNKNOWN, N_TYPES + 2, (n, 1)),
        values=values,
        lengths=np.ones(n, np.int64),
    )


@pytest.mark.parametrize(
    ("tide", "inputs"),
    [
        ({"dim": 16}, {}),
        ({"dim": 8, "blocks": 3, "banks": "short,long"}, {"calendar": False}),
        ({"dim": 6, "blocks": 1, "banks": "periodic,short"}, {"gap": False, "value": False}),
        ({"dim": 8}, {"event_type": False}),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_states_are_those_of_the_model(
    tide: dict[str, Any], inputs: dict[str, object], seed: int
) -> None:
    """Event by event, from the model's own state: what is rounded may add up over many."""
    model = model_of(tide, seed, **inputs)
    steps = TideSteps.of(model)
    assert steps is not None
    chain = theirs = np.zeros((40, model.state_size), np.float32)
    for events in range(12):
        batch = batch_of(40, events)
        ours, chain = steps.step(batch, theirs), steps.step(batch, chain)
        with torch.no_grad():
            theirs = model.step(Tensors.from_batch(batch), torch.from_numpy(theirs)).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)  # torch rounds, too
    np.testing.assert_allclose(chain, theirs, rtol=1e-3, atol=1e-4)
    assert np.abs(theirs).max() > 0.1


def test_rows_of_items_that_move_are_read_where_they_lie() -> None:
    model = model_of({"dim": 8})
    steps = TideSteps.of(model)
    assert steps is not None
    model.grow(N_ITEMS + 3, N_TYPES)
    with torch.no_grad():
        model.items.add_(1.0)
    batch, before = batch_of(30, 1), np.zeros((30, model.state_size), np.float32)
    with torch.no_grad():
        expected = model.step(Tensors.from_batch(batch), torch.from_numpy(before)).numpy()
    np.testing.assert_allclose(steps.step(batch, before), expected, atol=1e-5)


def test_gates_wide_open_and_shut_stay_finite() -> None:
    model = model_of({"dim": 8})
    with torch.no_grad():
        for block in model.encoder.blocks:  # type: ignore[union-attr]  # a Tide has blocks
            block.enter.weight *= 1e3
    steps, batch = TideSteps.of(model), batch_of(30, 2)
    assert steps is not None
    found = steps.step(batch, np.zeros((30, model.state_size), np.float32))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("encoder", [GRU(dim=8), Tide(dim=8, window=4), Tide(dim=8, time=False)])
def test_other_models_have_no_such_form(encoder: Tide | GRU) -> None:
    assert TideSteps.of(SequenceModel(encoder, N_ITEMS).eval()) is None
