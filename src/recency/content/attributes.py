"""Attributes: columns of a catalogue as codes, so that an encoder reads them event by event.

A number such as a price becomes one of ten bands, each with as many items of training in it; words
and lists of words become values, the commonest of training. What training has not seen has no code
(`recency.nn.item_attributes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from recency.data.catalogue import Catalogue
from recency.data.histories import Ints
from recency.data.vocab import Vocab
from recency.errors import ConfigError
from recency.nn.item_attributes import NO_VALUE, read_attributes
from recency.nn.model import SequenceModel

BANDS = 10
MOST_VALUES = 256  # of one column
MOST_OF_AN_ITEM = 4  # values of one column that are read of an item


@dataclass(frozen=True)
class Attributes:
    """Code the values of columns.

    Attributes:
        bands: Of columns of numbers: the inner bounds of the bands, ascending.
        values: Of columns of words: the values that are read, the commonest first.
    """

    bands: Mapping[str, tuple[float, ...]]
    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, catalogue: Catalogue | None, items: Vocab, columns: Sequence[str]) -> Self:
        """Find bands and values among the items of training.

        Args:
            catalogue: Has the columns.
            items: Of training: nothing else is looked at.
            columns: To read.

        Raises:
            ConfigError: there is no catalogue, or it lacks a column.
        """
        there = [] if catalogue is None else catalogue.frame.columns
        if catalogue is None or set(columns) - set(there):
            missing = ", ".join(one for one in columns if one not in there)
            raise ConfigError(
                f"inputs.attributes: expected a catalogue with {missing}, found "
                f"{', '.join(there) or 'none'}; pass items=, or leave the name out."
            )
        known = _rows(catalogue, items)
        bands: dict[str, tuple[float, ...]] = {}
        values: dict[str, tuple[str, ...]] = {}
        for name in columns:
            if known[name].dtype.is_numeric():
                cells = known[name].drop_nulls().cast(pl.Float64).drop_nans()
                shares = np.arange(1, BANDS) / BANDS
                edges = np.unique(np.quantile(cells, shares)) if len(cells) else np.empty(0)
                bands[name] = tuple(edges.tolist())
            else:
                counted = _words(known[name]).drop_nulls().value_counts(name="n")
                counted = counted.sort(["n", name], descending=[True, False])
                values[name] = tuple(counted[name].head(MOST_VALUES))
        return cls(bands, values)

    @property
    def n_values(self) -> int:
        """Count the values of all columns together."""
        words = sum(len(one) for one in self.values.values())
        return max(1, words + sum(len(one) + 1 for one in self.bands.values()))

    @property
    def width(self) -> int:
        """Count the codes of an item."""
        return len(self.bands) + MOST_OF_AN_ITEM * len(self.values)

    def codes(self, catalogue: Catalogue | None, items: Vocab) -> Ints:
        """Code items: [len(items), width], `NO_VALUE` where an item says nothing known."""
        found = np.full((len(items), self.width), NO_VALUE, np.int64)
        if catalogue is None:
            return found
        known = _rows(catalogue, items)
        rows = known["row"].to_numpy()
        start = column = 0
        for name, edges in self.bands.items():
            if name in known.columns:
                cells = known[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
                band = np.searchsorted(np.array(edges), cells, side="right")
                found[rows, column] = np.where(np.isnan(cells), NO_VALUE, start + band)
            start, column = start + len(edges) + 1, column + 1
        for name, listed in self.values.items():
            if name in known.columns:
                place = {word: start + n for n, word in enumerate(listed)}
                found[rows, column : column + MOST_OF_AN_ITEM] = _placed(known[name], place)
            start, column = start + len(listed), column + MOST_OF_AN_ITEM
        return found

    def join(self, model: SequenceModel, catalogue: Catalogue | None, items: Vocab) -> None:
        """Have a model read the attributes of items, those that came since too."""
        read_attributes(model, self.n_values, torch.from_numpy(self.codes(catalogue, items)))

    def to_dict(self) -> dict[str, Any]:
        """Give all as JSON."""
        return {
            "bands": {name: list(one) for name, one in self.bands.items()},
            "values": {name: list(one) for name, one in self.values.items()},
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Read what `to_dict` has given."""
        return cls(
            {name: tuple(map(float, one)) for name, one in facts["bands"].items()},
            {name: tuple(map(str, one)) for name, one in facts["values"].items()},
        )


def attributes_for(
    columns: Sequence[str], model: SequenceModel, catalogue: Catalogue | None, items: Vocab
) -> Attributes | None:
    """Have a model that is to be trained read columns; None where none are asked for.

    Raises:
        ConfigError: as of `Attributes.fit`.
    """
    if not columns:
        return None
    found = Attributes.fit(catalogue, items, columns)
    found.join(model, catalogue, items)
    return found


def attributes_of_settings(settings: Mapping[str, Any], model: SequenceModel) -> Attributes | None:
    """Give what a folder says of attributes, and make room for it in a model; None for nothing."""
    said = settings.get("item_attributes")
    if said is None:
        return None
    found = Attributes.from_dict(said)
    codes = torch.full((said["n_items"], found.width), NO_VALUE)
    read_attributes(model, found.n_values, codes)
    return found


def attributes_to_settings(found: Attributes | None, model: SequenceModel) -> dict[str, Any]:
    """Give what `attributes_of_settings` needs."""
    reads = model.events.attributes
    if found is None or reads is None:
        return {}
    return {"item_attributes": {**found.to_dict(), "n_items": len(reads.codes)}}


def _rows(catalogue: Catalogue, items: Vocab) -> pl.DataFrame:
    """Give what a catalogue says of the items of a vocabulary, with their ``row``."""
    frame = catalogue.frame
    rows = items.rows([items.coerce(one) for one in frame["item_id"]])
    return frame.with_columns(row=pl.Series(rows, dtype=pl.Int64)).filter(pl.col("row") >= 0)


def _words(column: pl.Series) -> pl.Series:
    """Give a column of words or lists of words as words, one below the other."""
    flat = column.explode() if isinstance(column.dtype, pl.List) else column
    return flat.cast(pl.String)


def _placed(column: pl.Series, place: Mapping[str, int]) -> Ints:
    """Give the codes of each cell's first known words: [n, `MOST_OF_AN_ITEM`]."""
    found = np.full((len(column), MOST_OF_AN_ITEM), NO_VALUE, np.int64)
    for row, cell in enumerate(column.to_list()):
        words = cell if isinstance(cell, list) else [cell]
        codes = [place[str(one)] for one in words if str(one) in place][:MOST_OF_AN_ITEM]
        found[row, : len(codes)] = codes
    return found
