"""ItemTable: rough scores are off by no more than they say, and say by how much in the mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.nn import item_table as module
from recency.nn.item_table import ItemTable
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.nn.rough_table import RoughTable


@given(
    st.integers(1, 60), st.integers(1, 9), st.sampled_from([1e-6, 1.0, 500.0]), st.integers(0, 9)
)
@settings(max_examples=40, deadline=None)
def test_rough_products_stay_within_their_bound(dim: int, n: int, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(300, dim, generator=generator) * scale
    vectors[0] = 0
    queries = torch.randn(n, dim, generator=generator)
    queries[0] = 0
    out = torch.empty(n, 300)
    most, variance = RoughTable(vectors).scores(queries, out)
    off = (out.double() - queries.double() @ vectors.double().t()).abs().amax(dim=1)
    assert (off <= most.double() * (1 + 1e-5) + 1e-12).all()
    assert (variance <= most.square() * (1 + 1e-4) + 1e-12).all()


def test_the_variance_is_that_of_the_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(20_000, 32, generator=generator)
    queries = torch.randn(8, 32, generator=generator)
    out = torch.empty(8, 20_000)
    _, variance = RoughTable(vectors).scores(queries, out)
    found = (out - queries @ vectors.t()).square().mean(dim=1)
    assert found / variance == pytest.approx(np.ones(8), rel=0.4)


def model_of(n_items: int, temperature: float | None = None) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(GRU(8), n_items, temperature=temperature).eval()


@torch.no_grad()
@pytest.mark.parametrize("temperature", [None, 0.05])
def test_scores_are_those_of_the_model(temperature: float | None) -> None:
    model = model_of(50, temperature)
    model.bias.normal_()
    table, queries = ItemTable(model), torch.randn(3, 8)
    asked, out = table.asked(queries), torch.empty(3, 50)
    off, _ = table.scores(asked, out)
    torch.testing.assert_close(out, model.scores(queries))
    assert off.tolist() == [0, 0, 0] and not table.rough
    rows, items = np.array([0, 2, 2]), np.array([49, 0, 7])
    assert table.scores_of(asked, rows, items) == pytest.approx(out.numpy()[rows, items], abs=1e-5)


def test_a_table_knows_whose_weights_it_holds() -> None:
    model = model_of(50)
    table = ItemTable(model)
    assert table.is_of(model)
    with torch.no_grad():
        model.items[3] += 1
    assert not table.is_of(model)


def test_large_catalogues_are_timed_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ItemTable(model_of(50)).search
    assert str(small) == "50 items are searched exactly"
    monkeypatch.setattr(module, "SMALLEST", 40)
    table = ItemTable(model_of(50))
    assert table.search.exact_ms is not None and table.search.rough_ms is not None
    assert table.rough == table.search.rough
    assert "ms a question in float32" in str(table.search)
    monkeypatch.setattr(module, "_GAIN", 0.0)  # as if it always paid
    assert ItemTable(model_of(50)).rough
