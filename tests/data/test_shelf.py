"""The shelf says what the catalogue's table says, whatever was put, changed or added before."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data import catalogue as catalogues
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab

BASE = 1_767_225_600_000_000  # 2026-01-01T00:00Z
IDS = [f"i{n}" for n in range(8)]
instants = st.one_of(st.none(), st.integers(0, 9).map(lambda n: BASE + n))
items = st.fixed_dictionaries(
    {"item_id": st.sampled_from(IDS)},
    optional={
        "categories": st.one_of(st.none(), st.lists(st.sampled_from("abc"), max_size=2)),
        "available_from": instants,
        "price": st.one_of(st.none(), st.sampled_from([1.0, 2.0, 3.0])),
        "is_hidden": st.one_of(st.none(), st.booleans()),
        "in_stock": st.one_of(st.none(), st.booleans()),
        "domain": st.one_of(st.none(), st.sampled_from("de")),
    },
)
some = st.lists(items, min_size=1, max_size=3, unique_by=lambda one: str(one["item_id"]))
steps = st.one_of(
    st.tuples(st.just("upsert"), some),
    st.tuples(st.just("merge"), some),
    st.tuples(st.just("remove"), st.sampled_from(IDS)),
    st.tuples(st.just("grow"), st.sampled_from([*IDS, "other"])),
    st.tuples(st.just("ask"), st.integers(-1, 10)),
)


def told(model: dict[str, dict[str, Any]], one: str, at: int) -> tuple[Any, ...]:
    """What a plain dictionary says of an item."""
    row = model.get(one, {})
    opens = row.get("available_from")
    there = (opens is None or opens <= at) and not row.get("is_hidden")
    return (
        there and row.get("in_stock") is not False,
        there,
        "a" in (row.get("categories") or ()),
        row.get("price") is not None and 2 <= row["price"] <= 3,
        row.get("domain") == "d",
    )


def shown(catalogue: Catalogue, vocab: Vocab, at: int) -> list[tuple[Any, ...]]:
    """What the masks say of each item of a vocabulary."""
    shelf = catalogue.shelf(vocab)
    everything = np.ones(len(vocab), bool)
    masks = [
        everything if mask is None else mask
        for mask in (
            shelf.offered(at),
            shelf.offered(at, out_of_stock=True),
            shelf.in_any(["a"]),
            shelf.priced(2, None),
            shelf.in_domains(["d"]),
        )
    ]
    return list(zip(*(mask.tolist() for mask in masks), strict=True))


@settings(deadline=None)
@given(st.lists(steps, max_size=12), st.booleans())
def test_masks_say_what_was_put(plan: list[tuple[str, Any]], small: bool) -> None:
    few = catalogues._FEW
    catalogues._FEW = 2 if small else few  # changed items are joined with the table early, or never
    try:
        walk(plan)
    finally:
        catalogues._FEW = few


def walk(plan: list[tuple[str, Any]]) -> None:
    catalogue = Catalogue(pl.DataFrame(schema={"item_id": pl.String}))
    model: dict[str, dict[str, Any]] = {}
    vocab, at = Vocab.from_ids(pl.Series(["i0", "i1"])), BASE
    for kind, what in plan:
        before, shape = catalogue, {one: dict(row) for one, row in model.items()}
        if kind == "upsert":
            catalogue = catalogue.upsert(what)
            model |= {row["item_id"]: row for row in what}
        elif kind == "merge":
            catalogue = catalogue.merge(what)
            model |= {row["item_id"]: model.get(row["item_id"], {}) | row for row in what}
        elif kind == "remove":
            catalogue = catalogue.remove([what])
            model[what] = {"item_id": what, "is_hidden": True}
        elif kind == "grow":
            vocab.extend([what])
        else:
            at = BASE + what
        ids = vocab.ids.to_list()
        assert shown(catalogue, vocab, at) == [told(model, one, at) for one in ids]
        assert len(catalogue) == len(model)
        if catalogue is not before:  # the older one still says what it said
            assert shown(before, vocab, at) == [told(shape, one, at) for one in ids]
            assert shown(catalogue, vocab, at) == [told(model, one, at) for one in ids]
    again = Catalogue(catalogue.frame)
    assert shown(again, vocab, at) == shown(catalogue, vocab, at)
    assert again.categories == catalogue.categories


def test_where_nothing_is_refused_there_is_no_mask() -> None:
    vocab = Vocab.from_ids(pl.Series(IDS))
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": IDS, "price": [1.0] * len(IDS)}))
    assert catalogue.shelf(vocab).offered(BASE) is None
    catalogue = catalogue.upsert([{"item_id": "i3", "is_hidden": True}])
    mask = catalogue.shelf(vocab).offered(BASE)
    assert mask is not None and mask.tolist() == [one != "i3" for one in IDS]
    assert catalogue.shelf(vocab).offered(BASE + 5) is mask  # kept while nothing begins or ends
    assert catalogue.merge([{"item_id": "i3", "is_hidden": False}]).shelf(vocab).offered(0) is None


def test_an_upsert_hands_its_masks_on() -> None:
    vocab = Vocab.from_ids(pl.Series(IDS))
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": IDS}))
    shelf = catalogue.shelf(vocab)
    later = catalogue.upsert([{"item_id": "i1", "in_stock": False}])
    assert later.shelf(vocab) is shelf and catalogue.shelf(vocab) is not shelf
    assert shelf.touched == []  # neither new nor in other categories
    later = later.merge([{"item_id": "i1", "categories": ["a"]}, {"item_id": "x"}])
    vocab.extend(["x"])
    assert later.shelf(vocab).touched == [1, 8] and shelf.categories_of(1) == ("a",)
    assert shelf.members("a").tolist() == [1] and shelf.described(1) == list(range(1, 9))
