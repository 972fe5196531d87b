"""Popularity: what everybody takes, over all time, lately, or right now."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

import numpy as np

from recency.baselines.choosing import choose
from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, NotFittedError
from recency.evaluation.protocol import (
    Answer,
    Ints,
    Questions,
    Recommender,
    Scores,
    World,
    block_length,
)
from recency.ranking.ranks import Floats
from recency.units import SECOND, parse_duration

HALF_LIVES = ("10min", "1h", "3h", "12h", "1d", "3d", "7d", "30d", "90d", "365d")
DEFAULT_HALF_LIFE = "7d"

_SPAN = 500.0  # half-lives within a block; float64 holds 1,023
NEVER = -1e30  # score of an item never taken: below all others, above "not at all"


class Popularity:
    """Rank items by the number of their training events."""

    name = "popularity"
    request_time = "unknown"

    def __init__(self) -> None:
        self.cut: int | None = None
        self._items = Vocab()
        self._counts = np.zeros(0)

    def fit(self, log: Log) -> Self:
        """Count the events of each item."""
        self._items = Vocab.from_ids(log.events["item_id"])
        self._counts = np.bincount(self._items.rows(log.events["item_id"])).astype(np.float64)
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Give every question the counts."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has counted nothing yet; call fit(log) first.")
        yield from same_for_all(questions, self._items, self._counts.astype(np.float32))


class DecayedPopularity:
    """Rank items by training events that count half as much after each half-life.

    Args:
        half_life: ``"7d"``, a number of seconds, or ``"fit"``: the best of `HALF_LIVES` on the
            newest tenth of the training events.
        repeats: Whether that choice is made with items of the history as candidates.
    """

    name = "decayed-popularity"
    request_time = "unknown"  # all counts decay alike, so their order does not depend on it

    def __init__(self, half_life: str | float = "fit", *, repeats: bool = True) -> None:
        self.half_life = half_life
        self.repeats = repeats
        self.cut: int | None = None
        self.seconds = 0.0
        self._items = Vocab()
        self._scores = np.zeros(0, np.float32)

    def fit(self, log: Log) -> Self:
        """Count the events of each item, choosing the half-life first if it is to be fitted."""
        self.seconds = chosen_half_life(
            log, self.half_life, partial(DecayedPopularity, repeats=self.repeats), self.repeats
        )
        self._items = Vocab.from_ids(log.events["item_id"])
        weights = np.exp2((log.times - log.end) / (self.seconds * SECOND))
        rows = self._items.rows(log.events["item_id"])
        self._scores = _logarithms(np.bincount(rows, weights).astype(np.float64))
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Give every question the counts as of the end of training."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has counted nothing yet; call fit(log) first.")
        yield from same_for_all(questions, self._items, self._scores, NEVER)


class LivePopularity:
    """Rank items by everybody's events before the question, halved after each half-life.

    Only the half-life is learned; the counts move with the world of the questions.

    Args:
        half_life: As of `DecayedPopularity`.
        repeats: As of `DecayedPopularity`.
    """

    name = "live-popularity"
    request_time = "unknown"

    def __init__(self, half_life: str | float = "fit", *, repeats: bool = True) -> None:
        self.half_life = half_life
        self.repeats = repeats
        self.cut: int | None = None
        self.seconds = 0.0

    def fit(self, log: Log) -> Self:
        """Choose the half-life."""
        self.seconds = chosen_half_life(
            log, self.half_life, partial(LivePopularity, repeats=self.repeats), self.repeats
        )
        self.cut = log.end
        return self

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Read the world forward once; questions come in the order of what is known by then."""
        if self.cut is None:
            raise NotFittedError(f"{self.name} has no half-life yet; call fit(log) first.")
        yield from _live(questions, self.seconds * SECOND)


def same_for_all(
    questions: Questions, items: Vocab, values: Scores, missing: float = 0.0
) -> Iterator[Answer]:
    """Give every question the same scores, in blocks.

    Args:
        questions: What is asked.
        items: Vocabulary of ``values``.
        values: [len(items)] scores.
        missing: Score of the catalogue's other items.
    """
    row = spread(values, items, questions, missing)
    step = block_length(len(row))
    block = np.empty((min(step, len(questions)), len(row)), np.float32)
    for start in range(0, len(questions), step):
        index = np.arange(start, min(start + step, len(questions)))
        block[: len(index)] = row
        yield index, block[: len(index)]


def spread(values: Scores, items: Vocab, questions: Questions, missing: float = 0.0) -> Scores:
    """Bring values over one vocabulary to the catalogue of the questions, [n_items]."""
    rows = questions.items.rows(items.ids)
    spread_ = np.full(len(questions.items), missing, np.float32)
    spread_[rows[rows >= 0]] = values[rows >= 0]
    return spread_


def chosen_half_life(
    log: Log, half_life: str | float, make: Callable[[str], Recommender], repeats: bool
) -> float:
    """Give a half-life in seconds, chosen on the newest events of a log if it is ``"fit"``.

    Raises:
        ConfigError: the half-life is not above 0.
        DataError: it is no duration.
    """
    if half_life == "fit":
        half_life = choose(
            log,
            lambda before: {one: make(one).fit(before) for one in HALF_LIVES},
            repeats=repeats,
            default=DEFAULT_HALF_LIFE,
        )
    seconds = parse_duration(half_life)
    if seconds <= 0:
        raise ConfigError(f"expected a half-life above 0 or 'fit', found {half_life!r}.")
    return seconds


def _live(questions: Questions, half_life: float) -> Iterator[Answer]:
    """Answer with logarithms of decayed counts, which keep the order of items long faded.

    Counts are kept as of an instant that moves on from block to block; within a block, where no
    item decays against another, only the items with new events change.

    Args:
        questions: What is asked.
        half_life: Microseconds.
    """
    world, n_items = questions.world, len(questions.items)
    order = questions.in_time
    stops = questions.world_stop[order]
    counts, known, reference = np.zeros(n_items), 0, int(world.times[0])
    step = block_length(n_items)
    block = np.empty((min(step, len(order)), n_items), np.float32)
    start = 0
    while start < len(order):
        first = int(stops[start])
        if first > known:
            newest = int(world.times[first - 1])
            counts *= np.exp2((reference - newest) / half_life)
            counts += _weighed(world, slice(known, first), newest, half_life, n_items)
            known, reference = first, newest
        limit = np.searchsorted(world.times, reference + _SPAN * half_life)
        stop = max(start + 1, min(start + step, int(np.searchsorted(stops, limit, "right"))))
        scores = block[: stop - start]
        scores[:] = _logarithms(counts)
        changed, values = _changes(world, stops[start:stop], counts, reference, half_life)
        scores[:, changed] = _logarithms(values)
        # As of the newest event known, so that a score does not depend on what else is asked.
        newest_known = world.times[np.maximum(stops[start:stop] - 1, 0)]
        scores -= ((newest_known - reference) / half_life).astype(np.float32)[:, None]
        yield order[start:stop], scores
        start = stop


def _changes(
    world: World, stops: Ints, counts: Floats, reference: int, half_life: float
) -> tuple[Ints, Floats]:
    """Follow the items with events within a block of questions.

    Returns:
        Items [c], and their counts as each question finds them [m, c].
    """
    part = slice(int(stops[0]), int(stops[-1]))
    changed, column = np.unique(world.items[part], return_inverse=True)
    row = np.searchsorted(stops, np.arange(part.start, part.stop), "right")
    weights = np.exp2((world.times[part] - reference) / half_life)
    cells = np.bincount(row * len(changed) + column, weights, len(stops) * len(changed))
    return changed, counts[changed] + np.cumsum(cells.reshape(len(stops), -1), axis=0)


def _weighed(world: World, part: slice, reference: int, half_life: float, n_items: int) -> Floats:
    weights = np.exp2((world.times[part] - reference) / half_life)
    return np.bincount(world.items[part], weights, n_items).astype(np.float64)


def _logarithms(counts: Floats) -> Scores:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log2(counts).astype(np.float32), NEVER)
