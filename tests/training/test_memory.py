"""A batch too large for memory is told before training, or in words when it happens."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.errors import ConfigError, RecencyError
from recency.nn.attention import Transformer
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.nn.powers import CHUNK, KEPT_CELLS
from recency.nn.recurrent import GRU
from recency.training import loop, memory, teacher
from recency.training.choices import settle
from recency.training.config import TrainConfig
from recency.training.memory import Need, free_bytes, loss_bytes, refuse_too_large, step_need
from recency.training.plan import plan_training


def need_of(model: SequenceModel, histories: Histories, config: TrainConfig) -> Need:
    config = settle(config, model)[0]
    return step_need(model, plan_training(histories, config, None), config)


def test_activations_grow_with_cells_and_are_what_torch_saves(new_model, histories, config):
    model = new_model()
    small = need_of(model, histories, replace(config, tokens=160))
    large = need_of(model, histories, replace(config, tokens=1_600))
    assert small.cells == 160 and large.cells == 1_600
    assert large.activations == pytest.approx(10 * small.activations)
    # Of a cell, a GRU of width 16 keeps some inputs, gates and outputs: 16 numbers each.
    assert 10 * 64 < small.activations / small.cells < 60 * 64


def test_the_estimate_changes_neither_model_nor_randomness(new_model, histories, config):
    model = new_model().eval()
    before = torch.random.get_rng_state()
    need_of(model, histories, config)
    assert torch.equal(torch.random.get_rng_state(), before) and not model.training


def test_the_loss_counts_all_items_or_those_drawn():
    exact, sampled = TrainConfig(loss="softmax"), TrainConfig(loss="sampled", negatives=100)
    assert loss_bytes(10_000, 50, TrainConfig(loss="gbce", negatives=100)) == 10_000 * 100 * 16
    assert loss_bytes(10_000, 50, sampled) == 10_000 * 100 * 16
    assert loss_bytes(10**6, 50, sampled) == KEPT_CELLS * 16
    assert loss_bytes(100, 50, exact) == 100 * 50 * 16
    assert loss_bytes(10**6, 100_000, exact) == CHUNK * 100_000 * 16


def test_row_updates_need_less_for_the_table(histories):
    model = SequenceModel(GRU(8), 40_000, 0, InputConfig())
    asked = TrainConfig(loss="sampled", negatives=5, tokens=64)
    rows = need_of(model, histories, replace(asked, item_updates="rows"))
    dense = need_of(model, histories, replace(asked, item_updates="dense"))
    assert rows.table == 3 * 40_002 * 8 * 4 < dense.table


def test_too_large_a_batch_names_what_to_lower(new_model, histories, config, monkeypatch):
    large = replace(config, tokens=10**9)
    with pytest.raises(ConfigError) as caught:
        monkeypatch.setattr(loop, "free_bytes", lambda device: 2 * 10**9)
        loop.train(new_model(), histories, large)
    told = str(caught.value)
    assert "to fit into the 2.0 GB free, found batches of 1,000,000,000 cells" in told
    assert "lower TrainConfig(tokens=...) to " in told
    assert "max_len=16" in told and "dim=16" in told and "loss='sampled'" in told
    lower = int(told.split("tokens=...) to ")[1].split(" or less")[0].replace(",", ""))
    need = need_of(new_model(), histories, replace(config, tokens=lower))
    assert 10**9 < need.total < 2 * 10**9


def test_a_table_too_large_says_nothing_of_tokens(new_model):
    asked = TrainConfig(loss="sampled", negatives=5)
    with pytest.raises(ConfigError) as caught:
        refuse_too_large(Need(10, 10, 10**10, 5), 10**9, new_model(), asked)
    assert "tokens" not in str(caught.value) and "item_updates='rows'" in str(caught.value)
    refuse_too_large(Need(10, 10, 10**10, 5), None, new_model(), asked)  # nobody knows: go on


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError(),
    ],
)
def test_a_refused_allocation_becomes_advice(fault, new_model, histories, config, monkeypatch):
    def full(*_: object) -> None:
        raise fault

    monkeypatch.setattr(teacher.Teacher, "teach", full)
    with pytest.raises(RecencyError, match="ran out of memory.*lower TrainConfig\\(tokens"):
        loop.train(new_model(), histories, config)


def test_other_faults_stay_what_they_are(new_model, config):
    with (
        pytest.raises(RuntimeError, match="^shapes differ$"),
        memory.told_if_full(new_model(), config),
    ):
        raise RuntimeError("shapes differ")


def test_a_real_refusal_of_torch_is_understood(new_model, config):
    settled = settle(config, new_model())[0]
    with (
        pytest.raises(ConfigError, match="ran out of memory"),
        memory.told_if_full(new_model(), settled),
    ):
        torch.empty(2**55, dtype=torch.uint8)


def test_the_machine_says_what_is_free():
    free = free_bytes(torch.device("cpu"))
    assert free is not None and 10**7 < free < 10**14


def test_a_transformer_of_twice_the_width_needs_more():
    lengths = np.arange(9) * 100
    times = np.tile(np.arange(100, dtype=np.int64), 8) * 60_000_000
    histories = Histories(lengths, np.arange(800, dtype=np.int32) % 40, times)
    asked = TrainConfig(tokens=800, max_len=100)
    narrow, wide = (
        need_of(SequenceModel(Transformer(dim=dim), 40, 0, InputConfig()), histories, asked)
        for dim in (16, 32)
    )
    assert narrow.cells == wide.cells == 800
    assert 1.2 < wide.activations / narrow.activations < 2.0
