"""Candidates: which items may be recommended in an evaluation, and from when to when."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.catalogue import Catalogue
from recency.data.vocab import Id
from recency.errors import ConfigError
from recency.evaluation.protocol import Ints, Questions
from recency.evaluation.settings import Reading

_ALWAYS = np.iinfo(np.int64)
_WHERE = {"growing": "the log", "listed": "training or the catalogue"}


@dataclass(frozen=True)
class Candidates:
    """Say which items may be recommended: those allowed, in ``[opens, closes)``.

    Attributes:
        allowed: [n_items] flags.
        opens: [n_items] first instant in microseconds.
        closes: [n_items] first instant at which an item may be recommended no more.
    """

    allowed: npt.NDArray[np.bool_]
    opens: Ints
    closes: Ints

    @classmethod
    def of(
        cls,
        asked: Questions,
        reading: Reading,
        born: Ints,
        ids: Sequence[Id] | None = None,
        catalogue: Catalogue | None = None,
    ) -> "Candidates":
        """Choose candidates.

        Args:
            asked: Names the items.
            reading: ``"growing"`` lets items in after their first event, ``"listed"`` those of the
                catalogue at any time; else training's are taken.
            born: [n_items] first event of each item.
            ids: The only items that may be recommended; None allows all.
            catalogue: Its ``available_from`` and ``expires_at`` are kept to.

        Raises:
            ConfigError: nothing may be recommended, or there is no catalogue to be listed in.
        """
        n_items = len(asked.items)
        allowed = np.ones(n_items, bool)
        opens = np.full(n_items, _ALWAYS.min)
        closes = np.full(n_items, _ALWAYS.max)
        if reading == "growing":
            opens = born + 1  # strictly after the first event
        elif reading == "listed":
            allowed = _listed(asked, catalogue)
        else:
            allowed[asked.n_warm :] = False
        if ids is not None:
            rows = asked.items.rows([asked.items.coerce(one) for one in ids])
            given = np.zeros(n_items, bool)
            given[rows[rows >= 0]] = True
            allowed &= given
        if catalogue is not None:
            opens = np.maximum(opens, _instants(catalogue, asked, "available_from", _ALWAYS.min))
            closes = _instants(catalogue, asked, "expires_at", _ALWAYS.max)
        if not allowed.any():
            raise ConfigError(
                f"expected candidates of the evaluation's catalogue of {n_items:,} items, found "
                f"none among the {len(ids or ()):,} given; with reading={reading!r} an item must "
                f"occur in {_WHERE.get(reading, 'training')}."
            )
        return cls(allowed, opens, closes)

    @property
    def n_items(self) -> int:
        """Count the items that may be recommended at some time."""
        return int(self.allowed.sum())

    def include(self, items: Ints, at: Ints) -> npt.NDArray[np.bool_]:
        """Tell whether items may be recommended at instants, both [n]."""
        found: npt.NDArray[np.bool_] = (
            self.allowed[items] & (self.opens[items] <= at) & (at < self.closes[items])
        )
        return found


def _listed(asked: Questions, catalogue: Catalogue | None) -> npt.NDArray[np.bool_]:
    """Mark items of training and of a catalogue."""
    if catalogue is None:
        raise ConfigError(
            "reading='listed' takes candidates from a catalogue, found none; pass catalogue=."
        )
    listed = np.arange(len(asked.items)) < asked.n_warm
    listed[asked.items.rows([asked.items.coerce(one) for one in catalogue.frame["item_id"]])] = True
    return listed


def _instants(catalogue: Catalogue, asked: Questions, name: str, missing: int) -> Ints:
    """Give a catalogue's instants by item row; items that it lacks have none."""
    instants = np.full(len(asked.items), missing)
    if name in catalogue.frame.columns:
        rows = asked.items.rows([asked.items.coerce(one) for one in catalogue.frame["item_id"]])
        values = catalogue.frame[name].to_physical().fill_null(missing).to_numpy()
        instants[rows[rows >= 0]] = values[rows >= 0]
    return instants
