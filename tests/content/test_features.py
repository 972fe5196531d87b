"""What is asked for and cannot be read is told."""

import warnings

import polars as pl
import pytest

from recency.content.features import Content, Features
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.errors import DataWarning

ITEMS = Vocab.from_ids(pl.Series(["a", "b"]))
SHOP = Catalogue.from_frame(
    pl.DataFrame({"item_id": ["a", "b"], "categories": [["x"], ["y"]], "year": [1990, 2010]})
)


def test_columns_that_tell_nothing_are_named_if_they_were_asked_for() -> None:
    with pytest.warns(DataWarning, match=r"numbers=\.\.\.\): 'weight', 'item_id' left out"):
        found = Features.fit(Content(numbers=("year", "weight", "item_id")), SHOP, ITEMS)
    assert list(found.knots) == ["year"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Features.fit(Content(), SHOP, ITEMS)  # a price is looked for unasked
