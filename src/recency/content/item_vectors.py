"""Item vectors: one vector an item, of text, pictures, sound, or any model.

Vectors come from an encoder here, or from a file that somebody else's model has written: a Parquet
table with ``item_id`` and a column of lists, or a ``.npy`` matrix with the ids in the order of its
rows. An item without a vector has a row of NaN: not known is another thing than zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.content.encoding import Progress, encode_texts
from recency.content.item_texts import TEMPLATE, item_texts
from recency.content.text import Encodes
from recency.content.text_source import TextSource
from recency.data.catalogue import Catalogue
from recency.data.vocab import Id, Vocab
from recency.errors import DataError, FormatError, raise_all

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ItemVectors:
    """Hold vectors of items.

    Attributes:
        ids: Of the items, each once.
        vectors: [items, dim] float32; NaN in all of a row that is not known.
        name: What they are of, such as ``"text"``.
        source: How they were made of words, if they were.
    """

    ids: list[Id]
    vectors: Floats
    name: str = "vector"
    source: TextSource | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Count the numbers of a vector."""
        return int(self.vectors.shape[1])

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Tell of each item whether it has a vector."""
        return ~np.isnan(self.vectors[:, 0])

    @classmethod
    def of_texts(
        cls,
        catalogue: Catalogue,
        encoder: Encodes,
        *,
        columns: Sequence[str] = TEMPLATE,
        cache: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Encode the words of a catalogue; an item without words has no vector.

        Args:
            catalogue: Items and their attributes.
            encoder: Such as `recency.TextEncoder`.
            columns: Which hold words; see `recency.content.item_texts.item_texts`.
            cache: Folder to keep vectors in, so that a second run encodes nothing.
            progress: Told of texts done and in all.
        """
        texts = item_texts(catalogue, columns)
        vectors = encode_texts(texts.texts, encoder, cache, progress)
        vectors[[not text for text in texts.texts]] = np.nan
        return cls(texts.ids, vectors, "text", TextSource.of(encoder, columns))

    @classmethod
    def of_rows(cls, ids: Sequence[Id], vectors: Any, name: str = "vector") -> Self:
        """Check vectors that came from elsewhere.

        Args:
            ids: Of the items.
            vectors: [items, dim] numbers.
            name: What they are of.

        Raises:
            DataError: ids are double, or are not as many as vectors; numbers are infinite, or only
                partly NaN; all faults together.
        """
        try:
            matrix = np.array(vectors, np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: expected rows of as many numbers each: {error}.") from None
        faults = _faults(list(ids), matrix)
        raise_all([f"{name}: {fault}" for fault in faults], DataError)
        return cls(list(ids), matrix, name)

    @classmethod
    def read(
        cls, path: str | Path, ids: Sequence[Id] | None = None, column: str = "vector"
    ) -> Self:
        """Read vectors from a Parquet table or a ``.npy`` matrix.

        Args:
            path: The file.
            ids: Of a matrix, in the order of its rows.
            column: Of a table: lists of numbers.

        Raises:
            FormatError: the file cannot be read or is neither of the two.
            DataError: as of `of_rows`.
        """
        path = Path(path)
        try:
            if path.suffix == ".npy":
                if ids is None:
                    raise DataError(f"{path} holds no ids; pass them with ids=.")
                return cls.of_rows(ids, np.load(path, allow_pickle=False), path.stem)
            frame = pl.read_parquet(path)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            if isinstance(error, DataError):
                raise
            raise FormatError(f"cannot read vectors from {path}: {error}") from None
        missing = [name for name in ("item_id", column) if name not in frame.columns]
        if missing:
            raise FormatError(
                f"expected the columns item_id and {column} in {path}, found "
                f"{', '.join(frame.columns)}; name the vectors' with column=."
            )
        rows = frame[column].to_list()
        width = max((len(row) for row in rows if row is not None), default=0)
        filled = [[np.nan] * width if row is None else row for row in rows]
        return cls.of_rows(frame["item_id"].to_list(), filled, column)

    def write(self, path: str | Path) -> None:
        """Write a Parquet table with ``item_id`` and a column of lists; null where not known."""
        rows = pl.Series(self.name, self.vectors).arr.to_list()
        frame = pl.DataFrame({"item_id": self.ids, self.name: rows, "known": self.known})
        known = pl.when("known").then(self.name).alias(self.name)
        frame.select("item_id", known).write_parquet(path)

    def aligned(self, items: Vocab) -> Floats:
        """Give the vectors in the order of a vocabulary's rows: [len(items), dim], NaN for none."""
        found = np.full((len(items), self.dim), np.nan, np.float32)
        rows = items.rows([items.coerce(one) for one in self.ids])
        found[rows[rows >= 0]] = self.vectors[rows >= 0]
        return found


def _faults(ids: list[Id], matrix: Floats) -> list[str]:
    if matrix.ndim != 2 or matrix.shape[0] != len(ids) or not matrix.shape[-1]:
        return [f"expected one row an item, [{len(ids)}, dim], found {list(matrix.shape)}."]
    faults = []
    if n_double := len(ids) - len(set(ids)):
        faults.append(f"{n_double:,} items come twice; keep one row of each.")
    if n_infinite := int(np.isinf(matrix).any(1).sum()):
        faults.append(f"{n_infinite:,} rows hold infinite numbers; repair them, or leave them NaN.")
    nan = np.isnan(matrix)
    if n_part := int((nan.any(1) & ~nan.all(1)).sum()):
        faults.append(
            f"{n_part:,} rows are NaN in part; a vector is known or not, so make them all NaN."
        )
    return faults
