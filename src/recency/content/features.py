"""Features: what is known of an item beside its events, as numbers of one scale.

Vectors are whitened, categories become one number each. A number, such as a price or a year, is
told by its place between knots, quantiles of the items of training, so that its effect may bend.
All of it is fitted on items that training has seen. A feature that is not known of an item is a row
of zeros.

An item's age at the question is no feature: it changes by the day, and the experts' clock follows
an item's life from event to event anyway. The year in which it came out is a number like others.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.content.item_vectors import ItemVectors
from recency.content.text_source import TextSource
from recency.content.text_tuning import TextTuning, faults_of
from recency.content.whitening import Whitening
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, DataWarning, raise_all

Floats = npt.NDArray[np.float32]
MOST_CATEGORIES = 256
KNOTS = 8


@dataclass(frozen=True)
class Content:
    """Choose what items are known by, beside their events.

    Attributes:
        vectors: Of texts, pictures, or anything; each under a name of its own.
        dims: Most numbers kept of each; see `recency.content.whitening`.
        learned: ``"joint"``: rows and content learn together; ``"after"``: content follows rows
            learned without it, which changes them little; ``"auto"``: joint where the encoder
            stands alone, after where experts are mixed with it, which know much of what content
            tells.
        hidden: Share of the items that lose their own row in a step of joint training, so that
            content alone must do, in [0, 1).
        categories: Read the catalogue's categories.
        numbers: Columns of the catalogue with numbers to read. Those that tell nothing are left
            out; a fit warns of those that were asked for by name.
        tuned: Let the encoder of the texts among ``vectors`` learn with the recommender; None
            leaves it as it is. Then ``"auto"`` learns jointly, experts or not.
    """

    vectors: Sequence[ItemVectors] = ()
    dims: int = 64
    learned: Literal["auto", "joint", "after"] = "auto"
    hidden: float = 0.25
    categories: bool = True
    numbers: Sequence[str] = ("price",)
    tuned: TextTuning | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        names = [one.name for one in self.vectors]
        faults = []
        if isinstance(self.dims, bool) or not isinstance(self.dims, int) or self.dims < 1:
            faults.append(f"Content(dims={self.dims!r}): expected a whole number of at least 1.")
        if self.learned not in ("auto", "joint", "after"):
            faults.append(
                f"Content(learned={self.learned!r}): expected 'auto', 'joint' or 'after'."
            )
        if not 0 <= self.hidden < 1:
            faults.append(f"Content(hidden={self.hidden!r}): expected a share in [0, 1).")
        if len(set(names)) < len(names):
            faults.append(
                f"Content(vectors=...): expected different names, found {', '.join(names)}; "
                f"give each vectors' name a word of its own."
            )
        if self.tuned is not None:
            faults += faults_of(self.tuned, self.vectors, self.learned)
        raise_all(faults, ConfigError)


@dataclass(frozen=True)
class Features:
    """Turn what is known of items into numbers, the same way as in training.

    Attributes:
        whitenings: Of vectors, by their name.
        categories: Those that are read.
        knots: Of numbers, ascending, by the name of their column.
        sources: How vectors were made of words, by their name; only those that were.
    """

    whitenings: Mapping[str, Whitening]
    categories: tuple[str, ...] = ()
    knots: Mapping[str, Floats] = field(default_factory=dict)
    sources: Mapping[str, TextSource] = field(default_factory=dict)

    @classmethod
    def fit(cls, content: Content, catalogue: Catalogue | None, items: Vocab) -> Self:
        """Fit on the items of training.

        Args:
            content: What to read.
            catalogue: Has categories and numbers; None has none.
            items: Of training: nothing else is looked at.

        Raises:
            DataError: nothing is known of the items; or vectors are equal, or of none of them.

        Warns:
            DataWarning: columns of numbers were asked for that are missing or tell nothing.
        """
        whitenings, faults = {}, []
        for one in content.vectors:
            try:
                whitenings[one.name] = Whitening.fit(one.aligned(items), content.dims)
            except DataError as fault:
                faults.append(f"{one.name}: {fault}")
        raise_all(faults, DataError)
        known = None if catalogue is None else _table(catalogue, items)
        categories = _categories(known) if content.categories else ()
        knots = {} if known is None else _knots(known, content.numbers)
        _warn_of_silent([name for name in content.numbers if name not in knots])
        sources = {one.name: one.source for one in content.vectors if one.source is not None}
        found = cls(whitenings, categories, knots, sources)
        if not found.widths:
            raise DataError(
                "content: expected vectors, categories or numbers of items of the log, found none; "
                "pass vectors=, or a catalogue with items=, or leave content= out."
            )
        return found

    @property
    def widths(self) -> dict[str, int]:
        """Count the numbers of each feature, in the order of the columns of `of`."""
        widths = {name: one.dim for name, one in self.whitenings.items()}
        if self.categories:
            widths["categories"] = len(self.categories)
        return widths | {name: len(knots) for name, knots in self.knots.items()}

    def of(
        self, items: Vocab, vectors: Sequence[ItemVectors], catalogue: Catalogue | None
    ) -> Floats:
        """Give the numbers of items: [len(items), sum of `widths`].

        Args:
            items: Whose.
            vectors: What is known; names that training did not know are refused.
            catalogue: Has categories and numbers.

        Raises:
            DataError: vectors of another name or width than in training, or of words by another
                encoder than the one that was tuned.
        """
        raise_all(self._untuned(vectors), DataError)
        strangers = sorted({one.name for one in vectors} - set(self.whitenings))
        if strangers:
            raise DataError(
                f"expected vectors named {', '.join(self.whitenings) or 'nothing'}, as in "
                f"training, found {', '.join(strangers)}; give them the name they had."
            )
        given = {one.name: one for one in vectors}
        parts = [
            one.apply(given[name].aligned(items))
            if name in given
            else np.zeros((len(items), one.dim), np.float32)
            for name, one in self.whitenings.items()
        ]
        known = None if catalogue is None else _table(catalogue, items)
        if self.categories:
            parts.append(self._marked(known, len(items)))
        for name, knots in self.knots.items():
            parts.append(_placed(known, name, knots, len(items)))
        return np.concatenate(parts, axis=1)

    def columns(self, name: str) -> slice:
        """Tell where the numbers of a feature stand among those of `of`."""
        widths = self.widths
        start = sum(list(widths.values())[: list(widths).index(name)])
        return slice(start, start + widths[name])

    def _untuned(self, vectors: Sequence[ItemVectors]) -> list[str]:
        """List vectors of words that are not by the tuned encoder, where there is one."""
        tuned = {name: one for name, one in self.sources.items() if one.adapter is not None}
        return [
            f"{one.name}: expected vectors by the text encoder that was tuned with the model "
            f"({tuned[one.name].identity}), found some by "
            f"{'another' if one.source is None else one.source.identity}; leave them out, and "
            f"add_items(items=...) encodes the words itself."
            for one in vectors
            if one.name in tuned
            and (one.source is None or one.source.identity != tuned[one.name].identity)
        ]

    def _marked(self, known: pl.DataFrame | None, n_items: int) -> Floats:
        """Mark the categories of each item; a row is as long as one of whitened numbers."""
        found = np.zeros((n_items, len(self.categories)), np.float32)
        if known is None or "categories" not in known.columns:
            return found
        place = {name: column for column, name in enumerate(self.categories)}
        parts = known.select("row", "categories").explode("categories").drop_nulls()
        columns = np.array([place.get(str(one), -1) for one in parts["categories"]], np.int64)
        rows = parts["row"].to_numpy()
        found[rows[columns >= 0], columns[columns >= 0]] = 1.0
        length = np.sqrt(found.sum(1, keepdims=True) / len(self.categories))
        marked: Floats = found / np.maximum(length, 1e-6)
        return marked

    # --- keeping -------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Floats]:
        """Give the arrays that `restored` needs."""
        whitened = {
            f"{part}.{name}": getattr(one, part)
            for name, one in self.whitenings.items()
            for part in ("mean", "projection")
        }
        adapters = {
            f"adapter.{name}.{weight}": cells
            for name, one in self.sources.items()
            if one.adapter is not None
            for weight, cells in one.adapter.weights.items()
        }
        return whitened | {f"knots.{n}": knots for n, knots in self.knots.items()} | adapters

    def facts(self) -> dict[str, Any]:
        """Give the rest of what `restored` needs, as JSON."""
        return {
            "vectors": list(self.whitenings),
            "categories": list(self.categories),
            "numbers": list(self.knots),
            "sources": {name: one.to_dict() for name, one in self.sources.items()},
        }

    @classmethod
    def restored(cls, facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Rebuild features from `facts` and `arrays`."""
        return cls(
            {
                name: Whitening(arrays[f"mean.{name}"], arrays[f"projection.{name}"])
                for name in facts["vectors"]
            },
            tuple(facts["categories"]),
            {name: arrays[f"knots.{name}"] for name in facts["numbers"]},
            {
                name: TextSource.from_dict(one, _within(f"adapter.{name}.", arrays))
                for name, one in facts.get("sources", {}).items()
            },
        )


def _within(start: str, arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    """Give the arrays whose names start so, without that."""
    return {
        n.removeprefix(start): np.array(one) for n, one in arrays.items() if n.startswith(start)
    }


def _table(catalogue: Catalogue, items: Vocab) -> pl.DataFrame:
    """Give what a catalogue says of the items of a vocabulary, with their ``row``."""
    frame = catalogue.frame
    rows = items.rows([items.coerce(one) for one in frame["item_id"]])
    return frame.with_columns(row=pl.Series(rows, dtype=pl.Int64)).filter(pl.col("row") >= 0)


def _categories(known: pl.DataFrame | None) -> tuple[str, ...]:
    """List the categories of the items of training, the commonest first."""
    if known is None or "categories" not in known.columns:
        return ()
    names = known.select("categories").explode("categories").drop_nulls()["categories"]
    counts = names.value_counts().sort(["count", "categories"], descending=[True, False])
    return tuple(str(one) for one in counts["categories"].head(MOST_CATEGORIES))


def _knots(known: pl.DataFrame, columns: Sequence[str]) -> dict[str, Floats]:
    """Give quantiles of columns; those that are missing, no numbers, or all equal are left out."""
    found: dict[str, Floats] = {}
    for name in columns:
        if name not in known.columns or not known[name].dtype.is_numeric():
            continue
        numbers = known[name].drop_nulls().to_numpy().astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            knots = np.unique(np.quantile(numbers, np.linspace(0, 1, KNOTS)).astype(np.float32))
            found |= {name: knots} if len(knots) > 1 else {}
    return found


def _warn_of_silent(columns: Sequence[str]) -> None:
    """Warn of columns that tell nothing, but of those that are looked for unasked."""
    if asked := [name for name in columns if name not in Content.numbers]:
        warnings.warn(
            f"Content(numbers=...): {', '.join(map(repr, asked))} left out: expected columns of "
            f"the catalogue with numbers that differ among the items of the log; name others, or "
            f"pass the catalogue with items=.",
            DataWarning,
            stacklevel=3,
        )


def _placed(known: pl.DataFrame | None, name: str, knots: Floats, n_items: int) -> Floats:
    """Give the place of each item's number between knots: two shares of its row that sum to one."""
    found = np.zeros((n_items, len(knots)), np.float32)
    if known is None or name not in known.columns:
        return found
    numbers = known[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    real = np.isfinite(numbers)
    places = np.interp(numbers[real], knots, np.arange(len(knots)))
    rows, below = known["row"].to_numpy()[real], np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(knots) - 1)
    length = np.sqrt(len(knots))  # as of whitened numbers
    np.add.at(found, (rows, below), length * (1 - (places - below)))
    np.add.at(found, (rows, above), length * (places - below))
    return found
