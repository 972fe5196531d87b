"""Moving only the item vectors that a batch touches: the rule of AdamW, row by row."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recency.data.histories import PADDING, UNKNOWN
from recency.nn.inputs import SPECIAL, InputConfig, Tensors
from recency.nn.losses import Sample
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.training.checkpoints import weights_of
from recency.training.config import TrainConfig, TrainingStep
from recency.training.loop import train
from recency.training.row_optimizer import as_lent, lent_rows, touched
from recency.training.schedule import make_optimizer

N_ITEMS = 30
ROWS = TrainConfig(loss="sampled", negatives=6, item_updates="rows", weight_decay=0.3, lr=0.1)
DENSE = replace(ROWS, item_updates="dense")


def new_model(temperature: float | None = None) -> SequenceModel:
    torch.manual_seed(0)
    inputs = InputConfig(dropout=0.0, hidden_items=0.0, value=False)
    return SequenceModel(GRU(8), N_ITEMS, 0, inputs, temperature=temperature)


def batch(*items: int) -> Tensors:
    """One history of the given items, one a minute."""
    row = torch.tensor([items], dtype=torch.int32)
    times = torch.arange(len(items)).mul(60_000_000)[None]
    gaps = torch.full(row.shape, 60.0)
    return Tensors(row, times, gaps, torch.zeros_like(row), gaps, torch.tensor([len(items)]))


def step(
    model: SequenceModel, optimizer: torch.optim.Optimizer, read: Tensors, sample: Sample
) -> tuple[float, float]:
    """Learn the item after each event by one step; give loss and norm."""
    targets = torch.roll(read.items[0].long(), -1).clamp(0, N_ITEMS - 1)
    with lent_rows(optimizer, model, read, targets, sample) as (given, drawn):
        loss = model.loss(model(given)[0][0], targets, drawn)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    return float(loss.detach()), float(norm)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("log_q", [None, torch.linspace(-5, -3, N_ITEMS)])
def test_one_step_is_that_of_the_whole_table_for_the_rows_touched(temperature, log_q):
    read, sample = batch(3, 4, 29, 4, 7), Sample(torch.tensor([0, 3, 15, 15]), log_q)
    rows, dense = new_model(temperature), new_model(temperature)
    before = weights_of(rows)
    told = [
        step(model, make_optimizer(model, config), read, replace(sample, n_items=N_ITEMS))
        for model, config in ((rows, ROWS), (dense, DENSE))
    ]
    assert told[0] == pytest.approx(told[1], rel=1e-5)
    moved = torch.tensor([0, 3, 4, 7, 15, 29])
    asleep = np.setdiff1d(np.arange(N_ITEMS), moved)
    after, wanted = weights_of(rows), weights_of(dense)
    for name in after.keys() - {"items", "bias"}:
        close(after[name], wanted[name])
    close(after["bias"][moved], wanted["bias"][moved])
    close(after["items"][:SPECIAL], wanted["items"][:SPECIAL])
    close(after["items"][moved + SPECIAL], wanted["items"][moved + SPECIAL])
    assert (after["items"][moved + SPECIAL] != before["items"][moved + SPECIAL]).all()
    # Untouched rows stay bit by bit; the dense rule makes them smaller.
    assert torch.equal(after["items"][asleep + SPECIAL], before["items"][asleep + SPECIAL])
    assert (wanted["items"][asleep + SPECIAL] != before["items"][asleep + SPECIAL]).all()


def test_where_every_step_touches_every_row_both_rules_are_one():
    everything = Sample(torch.arange(N_ITEMS), n_items=N_ITEMS)
    rows, dense = new_model(), new_model()
    optimizers = make_optimizer(rows, ROWS), make_optimizer(dense, DENSE)
    for start in range(6):
        for model, optimizer in zip((rows, dense), optimizers, strict=True):
            step(model, optimizer, batch(*range(start, start + 5)), everything)
    for name, weights in weights_of(rows).items():
        close(weights, weights_of(dense)[name])


def test_a_row_that_slept_wakes_as_it_fell_asleep():
    """Steps that do not touch a row change neither it nor what its next step is."""
    sample = Sample(torch.tensor([1, 2]), n_items=N_ITEMS)
    model = new_model()
    optimizer = make_optimizer(model, ROWS)
    step(model, optimizer, batch(5, 6), sample)
    memory = {name: t[5].clone() for name, t in optimizer.state[model.bias].items()}
    assert memory["step"] == 1
    for _ in range(3):
        step(model, optimizer, batch(8, 9), sample)
    for name, kept in memory.items():
        assert optimizer.state[model.bias][name][5] == kept
    step(model, optimizer, batch(5, 6), sample)
    assert optimizer.state[model.bias]["step"][[5, 8, 1, 20]].tolist() == [2, 3, 5, 0]


def test_a_fault_inside_a_step_gives_the_table_back():
    model = new_model()
    optimizer, table = make_optimizer(model, ROWS), model.items
    with (
        pytest.raises(ZeroDivisionError),
        lent_rows(optimizer, model, batch(1, 2), torch.tensor([3]), Sample(torch.tensor([4]))),
    ):
        assert len(model.items) == 4 + SPECIAL and model.n_items == 4
        raise ZeroDivisionError
    assert model.items is table and model.n_items == N_ITEMS


def test_items_are_written_as_places_and_sentinels_stay():
    rows = touched(N_ITEMS, torch.tensor([[7, PADDING], [UNKNOWN, 40]]), torch.tensor([3, 7]))
    assert rows.tolist() == [3, 7]
    items = as_lent(batch(7, PADDING, UNKNOWN, 40, 3), rows).items
    assert items.tolist() == [[1, PADDING, UNKNOWN, UNKNOWN, 0]]
    assert items.dtype == torch.int32


class Stopped(Exception):
    """Ends a run from outside."""


@pytest.mark.parametrize("loss", ["sampled", "mixed"])
def test_a_run_learns_and_goes_on_from_its_checkpoint_with_the_same_bits(
    loss, new_model, histories, unjudged, tmp_path
):
    config = replace(unjudged, loss=loss, negatives=8, item_updates="rows", epochs=8)
    whole, stopped, resumed = new_model(), new_model(), new_model()
    result = train(whole, histories, config)
    assert result.history[-1].loss < 1.6 < result.history[0].loss

    def stop(told: TrainingStep) -> None:
        if told.epoch == 3:
            raise Stopped

    kept = replace(config, checkpoint_dir=tmp_path)
    with pytest.raises(Stopped):
        train(stopped, histories, kept, progress=stop)
    train(resumed, histories, kept)
    for name, weights in weights_of(whole).items():
        assert torch.equal(weights, weights_of(resumed)[name]), name
