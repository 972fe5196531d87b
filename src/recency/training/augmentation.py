"""Augmentation: what a model reads in training is varied, what it is asked stays the same.

Few events make a model learn histories by heart. Each batch is therefore changed at random, anew in
every epoch, before the model reads it. Targets, their instants, and the times and gaps of events
stay true, and nothing later than a target can reach the output that it is asked from:

- events change places only with events of the very same instant, which have no known order;
- an item that takes another's place is none that the same row asks for;
- a row that is cropped is cut in two, and each target stays with the part that it is asked from.

Crop and mask are those of Xie et al., Contrastive Learning for Sequential Recommendation, ICDE
2022; theirs reorders across instants, which would not be true of a log with times. Substitution is
that of Liu et al., Contrastive Self-supervised Sequential Recommendation with Robust Augmentation,
arXiv 2108.06479.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recency.data.batches import TrainingBatch, TrainingWindows, rounded_up
from recency.data.histories import NO_GAP, PADDING, UNKNOWN, Batch, Cell, Ints
from recency.errors import ConfigError, RecencyError, raise_all
from recency.training.similar_items import SimilarItems
from recency.units import parse_duration

Flags = npt.NDArray[np.bool_]
_SHARES = ("crop", "mask", "reorder", "substitute")


@dataclass(frozen=True)
class Augmentation:
    """Choose how training histories are varied; all shares are in [0, 1], and 0 is off.

    Attributes:
        crop: Share of the rows of a batch that are cut in two at a random event: later targets are
            asked as if nothing were known from before. Such rows are read in two parts, so that a
            batch grows by this share at most.
        mask: Share of the events of which nothing but their time is read: no item, type or value.
            (`recency.InputConfig.hidden_items` hides the item alone, inside the model.)
        reorder: Share of the instants whose events are shuffled.
        substitute: Share of the events whose item gives way to one of the five that stood nearest
            to it in the training events; see `recency.training.similar_items`.
        half_life: In which a pair of items that stood near each other counts half, for substitutes.
    """

    crop: float = 0.0
    mask: float = 0.0
    reorder: float = 0.0
    substitute: float = 0.0
    half_life: str | float = "365d"

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"Augmentation({name}={share!r}): expected a share in [0, 1]."
            for name in _SHARES
            if isinstance(share := getattr(self, name), bool)
            or not isinstance(share, int | float)
            or not 0 <= share <= 1
        ]
        try:
            if parse_duration(self.half_life) <= 0:
                raise ConfigError("expected more than 0 seconds.")
        except RecencyError as fault:
            faults.append(f"Augmentation(half_life={self.half_life!r}): {fault}")
        raise_all(faults, ConfigError)

    @classmethod
    def of(cls, given: "Augmentation | Mapping[str, Any]") -> Self:
        """Take an augmentation as it is, or as a file has it."""
        return given if isinstance(given, cls) else cls(**given)  # type: ignore[arg-type]  # an Augmentation is no mapping

    @property
    def on(self) -> bool:
        """Tell whether anything is varied."""
        return any(getattr(self, name) for name in _SHARES)


class Augmenter:
    """Vary the batches of one training stage.

    Args:
        config: What is varied, and how much.
        windows: Of the stage; similar items are learned from their training events alone.
    """

    def __init__(self, config: Augmentation, windows: TrainingWindows) -> None:
        self.config = config
        self._similar: SimilarItems | None = None
        if config.substitute:
            self._similar = SimilarItems.learned_in(windows, parse_duration(config.half_life))

    def augment(self, part: TrainingBatch, rng: np.random.Generator) -> TrainingBatch:
        """Vary what a batch shows; the N targets stay what they are, in their order.

        Args:
            part: From an epoch of the windows.
            rng: Decides what is varied.

        Returns:
            A batch of at least as many rows: the newer parts of cropped rows in their places, older
            parts that are asked for something after the last row.
        """
        if not self.config.on:
            return part
        varied = self._varied(part.batch, rng, part)
        return _cropped(replace(part, batch=varied), self.config.crop, rng)

    def view(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Vary histories that nothing is asked from; of cropped ones the newer part is left."""
        if not self.config.on:
            return batch
        cuts = _cuts(batch, self.config.crop, rng)
        return _parts(self._varied(batch, rng), np.arange(len(batch)), cuts, batch.lengths)

    def _varied(
        self, batch: Batch, rng: np.random.Generator, asked: TrainingBatch | None = None
    ) -> Batch:
        """Reorder, substitute and mask."""
        config = self.config
        if config.reorder:
            batch = _reordered(batch, config.reorder, rng)
        if self._similar is not None:
            batch = _substituted(batch, config.substitute, self._similar, rng, asked)
        if config.mask:
            batch = _masked(batch, config.mask, rng)
        return batch


def _reordered(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """Shuffle what happened within instants; times and gaps stay in their columns."""
    columns = np.arange(batch.items.shape[1])
    first = np.ones(batch.items.shape, bool)
    first[:, 1:] = batch.times[:, 1:] != batch.times[:, :-1]
    first |= columns == batch.lengths[:, None]  # padding is no instant, and never moves
    start = np.maximum.accumulate(np.where(first, columns, 0), axis=1)
    shuffled = np.take_along_axis(rng.random(first.shape) < share, start, axis=1)
    shuffled &= _real(batch)
    place = np.where(shuffled, rng.random(first.shape), columns)
    order = np.lexsort((place, start), axis=1)

    def moved(cells: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
        return np.take_along_axis(cells, order, axis=1)

    return replace(
        batch,
        items=moved(batch.items),
        types=moved(batch.types),
        values=moved(batch.values),
    )


def _substituted(
    batch: Batch,
    share: float,
    similar: SimilarItems,
    rng: np.random.Generator,
    asked: TrainingBatch | None,
) -> Batch:
    """Let similar items take the place of some, but none that is asked for in the same row."""
    rows, columns = np.nonzero((rng.random(batch.items.shape) < share) & (batch.items >= 0))
    old = batch.items[rows, columns]
    new = similar.draw(old, rng)
    if asked is not None:
        n_items = len(similar.counts)
        told = np.isin(rows * n_items + new, asked.rows * n_items + asked.targets)
        new = np.where(told, old, new)
    items = batch.items.copy()
    items[rows, columns] = new
    return replace(batch, items=items)


def _masked(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """Hide all but the time of some events."""
    hidden = (rng.random(batch.items.shape) < share) & _real(batch)
    return replace(
        batch,
        items=np.where(hidden, UNKNOWN, batch.items),
        types=np.where(hidden, UNKNOWN, batch.types),
        values=np.where(hidden, np.float32(np.nan), batch.values),
    )


def _cropped(part: TrainingBatch, share: float, rng: np.random.Generator) -> TrainingBatch:
    """Cut some rows in two; see `Augmenter.augment`."""
    if not share:
        return part
    batch, n = part.batch, len(part.batch)
    cuts = _cuts(batch, share, rng)
    older = part.sources < cuts[part.rows]
    halved = np.unique(part.rows[older])
    place = np.zeros(n, np.int64)
    place[halved] = n + np.arange(len(halved))
    return replace(
        part,
        batch=_parts(
            batch,
            np.append(np.arange(n), halved),
            np.append(cuts, np.zeros_like(halved)),
            np.append(batch.lengths, cuts[halved]),
        ),
        rows=np.where(older, place[part.rows], part.rows),
        sources=np.where(older, part.sources, part.sources - cuts[part.rows]),
    )


def _cuts(batch: Batch, share: float, rng: np.random.Generator) -> Ints:
    """Choose where each row is cut, [B] in 1 to its length - 1; 0 leaves it whole."""
    chosen = (rng.random(len(batch)) < share) & (batch.lengths > 1)
    places = 1 + (rng.random(len(batch)) * (batch.lengths - 1)).astype(np.int64)
    return np.where(chosen, places, 0)


def _parts(batch: Batch, rows: Ints, starts: Ints, stops: Ints) -> Batch:
    """Take stretches [start, stop) of rows, one a row of the result; gaps stay the true ones."""
    lengths = stops - starts
    columns = np.arange(int(rounded_up(lengths, batch.items.shape[1]).max()))
    real = columns < lengths[:, None]
    at = np.where(real, starts[:, None] + columns, 0)

    def cells(values: npt.NDArray[Cell], empty: float) -> npt.NDArray[Cell]:
        return np.where(real, values[rows[:, None], at], np.asarray(empty, values.dtype))

    return Batch(
        items=cells(batch.items, PADDING),
        times=cells(batch.times, 0),
        gaps=cells(batch.gaps, NO_GAP),
        types=cells(batch.types, UNKNOWN),
        values=cells(batch.values, np.nan),
        lengths=lengths,
        profiles=None if batch.profiles is None else batch.profiles[rows],
    )


def _real(batch: Batch) -> Flags:
    real: Flags = np.arange(batch.items.shape[1]) < batch.lengths[:, None]
    return real
