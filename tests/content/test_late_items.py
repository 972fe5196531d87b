"""Rows of late items hang on what is known of them alone; those without are left out, and learn."""

import numpy as np
import polars as pl
import pytest
import torch

from recency.content.adaptor import Adaptor
from recency.content.features import Content
from recency.content.item_vectors import ItemVectors
from recency.content.late_items import take_in_late
from recency.data.vocab import Vocab
from recency.errors import DataError
from recency.nn.inputs import SPECIAL
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.nn.scored_items import left_out

KNOWN = ["a", "b", "c", "d"]


def vectors(**rows: list[float]) -> list[ItemVectors]:
    return [ItemVectors.of_rows(list(rows), list(rows.values()))]


def shop() -> tuple[Adaptor, SequenceModel, Vocab]:
    """A model of four items, and two more that came since: x with a vector to come, y without."""
    torch.manual_seed(0)
    items = Vocab.from_ids(pl.Series(KNOWN))
    given = vectors(a=[1, 0, 0], b=[0, 1, 0], c=[0, 0, 1], d=[1, 1, 0])
    adaptor = Adaptor.fit(Content(given, dims=3), None, items, 8)
    items.extend(["y", "x"])
    return adaptor, SequenceModel(GRU(8), 4), items


def test_an_item_before_others_is_left_out_until_something_is_known() -> None:
    adaptor, model, items = shop()
    before = model.vectors.detach().clone()
    assert take_in_late(adaptor, model, items, 4, vectors(x=[0.0, 2.0, 1.0]), None) == 1
    assert left_out(model).tolist() == [False] * 4 + [True, False]
    assert model.scores(torch.ones(1, 8))[0, 4] == -torch.inf
    assert len(model.items) == 4 + SPECIAL and model.n_learned == 4  # read as unknown, as before
    torch.testing.assert_close(model.vectors[:4].detach(), before)
    assert take_in_late(adaptor, model, items, 4, vectors(y=[1.0, 2.0, 1.0]), None) == 1
    assert not left_out(model).any()


def test_rows_are_the_same_in_whatever_order() -> None:
    late = {"x": [0.0, 2.0, 1.0], "y": [1.0, 2.0, 1.0]}
    found = []
    for names in (["x", "y"], ["y", "x", "y"], ["y", "x"]):
        adaptor, model, items = shop()
        for name in names:
            take_in_late(adaptor, model, items, 4, vectors(**{name: late[name]}), None)
        found.append((model.vectors.detach(), model.bias.detach()))
    for rows, biases in found[1:]:
        torch.testing.assert_close(rows, found[0][0], atol=1e-6, rtol=0)
        torch.testing.assert_close(biases, found[0][1], atol=1e-6, rtol=0)


def test_what_was_learned_of_an_item_stays() -> None:
    adaptor, model, items = shop()
    before = model.vectors.detach().clone()
    assert take_in_late(adaptor, model, items, 4, vectors(a=[9.0, 9.0, 9.0]), None) == 0
    torch.testing.assert_close(model.vectors.detach(), before)
    assert adaptor.near("a", items)[0, 1] != adaptor.near("b", items)[0, 2]


def test_learning_on_lets_everybody_in() -> None:
    adaptor, model, items = shop()
    take_in_late(adaptor, model, items, 4, vectors(x=[0.0, 2.0, 1.0]), None)
    model.grow(6)
    assert torch.isfinite(model.bias).all() and not left_out(model).any()
    assert (
        model.scored_items is None and model.n_learned is None and len(model.items) == 6 + SPECIAL
    )
    torch.testing.assert_close(model.bias[4], model.bias[[0, 1, 2, 3, 5]].mean())


def test_a_vector_of_another_width_is_refused() -> None:
    adaptor, model, items = shop()
    known = adaptor.known.copy()
    with pytest.raises(DataError, match="expected vectors of 3 numbers, as in training, found 2"):
        take_in_late(adaptor, model, items, 4, vectors(x=[1.0, 2.0]), None)
    assert model.n_items == 4 and np.array_equal(adaptor.known, known)
