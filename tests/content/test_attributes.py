"""Attributes of items are read event by event: coded on training alone, kept, and in parity."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import recency as rc
from recency.content.attributes import Attributes
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.errors import ConfigError
from recency.nn.item_attributes import NO_VALUE, ItemAttributes

ITEMS = [f"i{n}" for n in range(12)]


def catalogue(extra: bool = False) -> Catalogue:
    """Twelve items; with ``extra`` one more, of values that no other has."""
    frame = pl.DataFrame(
        {
            "item_id": ITEMS,
            "categories": [["tents", "summer"] if n % 2 else ["lamps"] for n in range(12)],
            "price": [None if n == 5 else float(n + 1) for n in range(12)],
            "brand": ["alder" if n < 6 else "wren" for n in range(12)],
        }
    )
    if extra:
        new = {"item_id": ["new"], "categories": [["boats"]], "price": [1e6], "brand": ["tern"]}
        frame = pl.concat([frame, pl.DataFrame(new)])
    return Catalogue.from_frame(frame)


def log() -> rc.Log:
    random = np.random.default_rng(0)
    rows = [
        (f"u{user}", ITEMS[random.integers(12)], f"2026-01-{1 + step:02d}T0{user % 8}:00:00Z")
        for user in range(16)
        for step in range(10)
    ]
    return rc.read_log(pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row"))


def made(encoder: rc.GRU | rc.Tide | rc.Transformer) -> rc.SequenceRecommender:
    return rc.SequenceRecommender(
        encoder,
        inputs=rc.InputConfig(attributes=("categories", "price", "brand")),
        training=rc.TrainConfig(epochs=2, valid_share=0.0),
        fallback_half_life="7d",
    )


def test_values_are_those_of_training() -> None:
    items = Vocab.from_ids(pl.Series(ITEMS))
    found = Attributes.fit(catalogue(extra=True), items, ["categories", "price", "brand"])
    assert found == Attributes.fit(catalogue(), items, ["categories", "price", "brand"])
    assert found.values == {
        "categories": ("lamps", "summer", "tents"),
        "brand": ("alder", "wren"),
    }
    codes = found.codes(catalogue(extra=True), Vocab.from_ids(pl.Series([*ITEMS, "new", "bare"])))
    assert codes.max() < found.n_values
    assert codes[5, 0] == NO_VALUE and codes[0, 0] == 0  # no price; the cheapest band
    assert (np.diff([codes[n, 0] for n in range(12) if n != 5]) >= 0).all()
    assert (codes[12, 1:] == NO_VALUE).all()  # words that training had not
    assert (codes[13] == NO_VALUE).all()


def test_an_item_is_the_mean_of_its_values() -> None:
    part = ItemAttributes(4, 3, torch.tensor([[0, 2], [1, NO_VALUE], [NO_VALUE, NO_VALUE]]))
    found = part(torch.tensor([[0, 1, 2, -1, 7]]))[0]
    torch.testing.assert_close(found[0], (part.table[0] + part.table[2]) / 2)
    torch.testing.assert_close(found[1], part.table[1])
    assert not found[2:].any()


@pytest.mark.parametrize("encoder", [rc.GRU(8), rc.Tide(8), rc.Transformer(8)], ids=str)
def test_forward_equals_steps(encoder: rc.GRU | rc.Tide | rc.Transformer) -> None:
    model = made(encoder).fit(log(), catalogue())
    again = made(encoder).fit(log().split_at("2026-01-06")[0], catalogue())
    again.live.model.load_state_dict(model.live.model.state_dict())
    again.observe(log().split_at("2026-01-06")[1])
    users = [f"u{n}" for n in range(16)]
    for _ in range(2):  # read whole, then from states
        np.testing.assert_allclose(model.score(users, ITEMS), again.score(users, ITEMS), atol=1e-4)


def test_attributes_are_read_kept_and_grow(tmp_path: Path) -> None:
    model = made(rc.GRU(8)).fit(log(), catalogue())
    before = model.score(["u1"], ITEMS)
    model.save(tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert isinstance(again, rc.SequenceRecommender)
    np.testing.assert_allclose(again.score(["u1"], ITEMS), before, atol=1e-6)
    again.describe([{"item_id": "new", "categories": ["tents"], "price": 3.0}])
    again.partial_fit([{"user_id": "u1", "item_id": "new", "timestamp": "2026-02-01T00:00:00Z"}])
    part = again.live.model.events.attributes
    assert part is not None and (part.codes[again.items.row("new")] != NO_VALUE).sum() == 2
    other = model.live.model
    assert other.events.attributes is not None
    with torch.no_grad():
        other.events.attributes.table.mul_(-50)
    model.live.states.forget({row: 0 for row in range(16)})
    assert np.abs(model.score(["u1"], ITEMS) - before).max() > 1e-3


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ConfigError, match="inputs.attributes: expected a catalogue with colour"):
        rc.SequenceRecommender(rc.GRU(4), inputs=rc.InputConfig(attributes=("colour",))).fit(
            log(), catalogue()
        )
    with pytest.raises(ConfigError, match="found none; pass items="):
        made(rc.GRU(4)).fit(log())
