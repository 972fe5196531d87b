"""What an encoder reads of an event."""

from typing import Any

import numpy as np
import pytest
import torch

from recency.data.histories import NO_GAP, PADDING, UNKNOWN, Batch
from recency.errors import ConfigError
from recency.nn.inputs import EventEmbedding, InputConfig, Tensors, ValueEncoding

DAY = 86_400_000_000


def batch(items, times=None, gaps=None, types=None, values=None) -> Batch:
    """One user's events; what is not given is the same for all."""
    n = len(items)

    def row(cells, empty, kind):
        return np.asarray([[empty] * n if cells is None else cells], dtype=kind)

    return Batch(
        items=row(items, 0, np.int64),
        times=row(times, 0, np.int64),
        gaps=row(gaps, 60.0, np.float32),
        types=row(types, UNKNOWN, np.int64),
        values=row(values, np.nan, np.float32),
        lengths=np.array([n]),
    )


def embed(embedding: EventEmbedding, table: torch.Tensor, **cells) -> torch.Tensor:
    return embedding(table, Tensors.from_batch(batch(**cells)))[0]


@pytest.fixture
def table() -> torch.Tensor:
    torch.manual_seed(0)
    rows = torch.randn(6, 8)  # padding, unknown, four items
    rows[0] = 0
    return rows


def test_each_part_can_be_read_or_left_out(table: torch.Tensor):
    parts: dict[str, dict[str, Any]] = {
        "event_type": {"types": [0, 1]},
        "value": {"values": [1.0, 5.0]},
        "gap": {"gaps": [1.0, 86_400.0]},
        "calendar": {"times": [0, DAY // 2]},
    }
    for name, cells in parts.items():
        for wanted in (True, False):
            choice: dict[str, Any] = {**dict.fromkeys(parts, False), name: wanted}
            embedding = EventEmbedding(8, 2, InputConfig(**choice)).eval()
            if embedding.calendar is not None:
                torch.nn.init.normal_(embedding.calendar.project.weight)
            one, other = embed(embedding, table, items=[3, 3], **cells)
            assert torch.allclose(one, other) is not wanted, (name, wanted)


def test_items_are_told_apart_and_strangers_are_one(table: torch.Tensor):
    embedding = EventEmbedding(8, 0, InputConfig()).eval()
    found = embed(embedding, table, items=[0, 1, UNKNOWN, 4, 9])
    assert not torch.allclose(found[0], found[1])
    # An item beyond the table was seen after the weights were learned.
    assert torch.equal(found[2], found[3]) and torch.equal(found[2], found[4])


def test_an_event_type_beyond_the_table_is_unknown(table: torch.Tensor):
    embedding = EventEmbedding(8, 2, InputConfig()).eval()
    found = embed(embedding, table, items=[1, 1, 1], types=[UNKNOWN, 2, 1])
    assert torch.equal(found[0], found[1]) and not torch.allclose(found[0], found[2])


def test_a_log_without_types_has_no_vectors_for_them():
    assert EventEmbedding(8, 0, InputConfig()).types is None


def test_no_gap_and_no_time_at_padding_do_no_harm(table: torch.Tensor):
    embedding = EventEmbedding(8, 2, InputConfig()).eval()
    found = embed(embedding, table, items=[1, PADDING], gaps=[NO_GAP, NO_GAP])
    assert found.isfinite().all()


def test_hidden_items_are_hidden_in_training_only():
    embedding = EventEmbedding(8, 0, InputConfig(hidden_items=0.5))
    items = torch.arange(1_000).repeat(2, 1)
    items[:, 900:] = PADDING
    torch.manual_seed(0)
    hidden = (embedding.tokens(items, 1_002)[:, :900] == 1).float().mean()
    assert 0.4 < float(hidden) < 0.6
    assert (embedding.tokens(items, 1_002)[:, 900:] == 0).all()
    assert torch.equal(embedding.eval().tokens(items, 1_002), items + 2)


def test_the_padding_vector_never_learns(table: torch.Tensor):
    rows = table.requires_grad_()
    embedding = EventEmbedding(8, 0, InputConfig())
    embed(embedding, rows, items=[1, PADDING]).square().sum().backward()
    assert rows.grad is not None and rows.grad[0].abs().sum() == 0 < rows.grad[3].abs().sum()


# --- values --------------------------------------------------------------------------------------


def test_values_on_any_scale_are_made_comparable():
    generator = np.random.default_rng(0)
    prices = np.exp(generator.normal(10, 1, 1_000)).astype(np.float32)
    prices[::10] = np.nan
    encoding = ValueEncoding(4)
    encoding.calibrate(prices)
    known = torch.from_numpy(prices[np.isfinite(prices)])
    scaled = (torch.asinh(known) - encoding.mean) / encoding.deviation
    assert abs(float(scaled.mean())) < 1e-3 and abs(float(scaled.std()) - 1) < 1e-2


def test_a_missing_value_has_a_vector_of_its_own():
    encoding = ValueEncoding(4)
    missing, mean = encoding(torch.tensor([float("nan"), 0.0]))
    assert torch.equal(missing, encoding.table[1]) and torch.equal(mean, torch.zeros(4))


def test_values_without_spread_or_without_end_stay_finite():
    encoding = ValueEncoding(4)
    encoding.calibrate(np.full(9, 3.0, np.float32))
    encoding.calibrate(np.full(9, np.nan, np.float32))  # nothing to learn from: stays
    assert float(encoding.mean) == pytest.approx(np.arcsinh(3.0))
    found = encoding(torch.tensor([3.0, 1e30, float("inf"), float("-inf")]))
    assert found.isfinite().all()


# --- settings ------------------------------------------------------------------------------------


def test_impossible_settings_are_refused_together():
    with pytest.raises(ConfigError) as caught:
        InputConfig(dropout=1.0, hidden_items=-0.1, time_zone="Mars")
    told = str(caught.value)
    assert "3 faults" in told
    assert "InputConfig(dropout=1.0): expected a share in [0, 1)" in told
    assert "InputConfig(hidden_items=-0.1): expected a share in [0, 1)" in told
    assert "InputConfig(time_zone='Mars')" in told


def test_a_batch_cut_in_parts_keeps_its_cells():
    tensors = Tensors.from_batch(batch(items=[1, 2, 3], times=[5, 6, 7]))
    part = tensors.part(torch.tensor([0]), slice(1, 3))
    assert part.items.tolist() == [[2, 3]] and part.clock.times.tolist() == [[6, 7]]
    assert len(part) == 1 and part.lengths.tolist() == [3]
