"""Windows: stretches of series to learn from, each with questions about what came later.

A question stands at a value, the newest one known, and asks for one of the values within the
horizon after it, drawn anew in every epoch; so one memory learns every step ahead, whatever the
gaps are. Windows begin at a random phase in every epoch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import NO_GAP, Ints, ragged_positions
from recency.nn.encoder import Clock
from recency.sequences.signals import Signals

QUESTIONS = 4  # drawn a value and an epoch


@dataclass(frozen=True)
class Reading:
    """Hold values to be read, padded on the right.

    Attributes:
        inputs: [batch, length, n_inputs].
        clock: When they happened.
    """

    inputs: Tensor
    clock: Clock

    def part(self, rows: Tensor | slice, columns: slice) -> "Reading":
        """Cut out some rows and a stretch of columns."""
        clock = Clock(self.clock.gaps[rows, columns], self.clock.times[rows, columns])
        return Reading(self.inputs[rows, columns], clock)


@dataclass(frozen=True)
class Asked:
    """Hold questions.

    Attributes:
        anchors: [n, n_anchors] what simple memories expect, in steps from the newest value; NaN
            where one has nothing to tell.
        waits: [n] float32 seconds from the newest value known to the instant asked.
        at: [n] int64 microseconds, the instant asked.
    """

    anchors: Tensor
    waits: Tensor
    at: Tensor


@dataclass(frozen=True)
class Questions:
    """Hold a batch of windows and what is asked in them.

    Attributes:
        reading: The windows.
        rows: [n] row of the newest value known.
        columns: [n] column of it.
        asked: What is asked there.
        changes: [n] float32, the right answer in steps from the newest value known.
    """

    reading: Reading
    rows: Tensor
    columns: Tensor
    asked: Asked
    changes: Tensor


def reading_of(signals: Signals, starts: Ints, stops: Ints) -> Reading:
    """Cut the stretches [start, stop) of positions, padded on the right."""
    lengths = stops - starts
    length = int(lengths.max(initial=1))
    columns = np.arange(length)
    shown = columns < lengths[:, None]
    places = np.where(shown, starts[:, None] + columns, np.maximum(starts, 0)[:, None])
    inputs = np.where(shown[..., None], signals.inputs(places), 0.0).astype(np.float32)
    gaps = np.where(shown, signals.gaps(places), NO_GAP).astype(np.float32)
    clock = Clock(_tensor(gaps), _tensor(signals.series.times[places]))
    return Reading(_tensor(inputs), clock)


def asked_of(signals: Signals, sources: Ints, instants: Ints) -> Asked:
    """Ask for the values at instants, knowing nothing after the values at ``sources``."""
    waits = (instants - signals.series.times[sources]) / 1e6
    anchors = signals.anchors(sources, instants)
    return Asked(_tensor(anchors), _tensor(waits.astype(np.float32)), _tensor(instants))


@dataclass(frozen=True)
class Windows:
    """Make windows and questions of series.

    Attributes:
        signals: The series.
        horizon: Microseconds that a question reaches ahead.
        max_len: Most values a window.
        since: Ask for values at or after this instant only; None asks for all.
    """

    signals: Signals
    horizon: int
    max_len: int
    since: int | None = None

    @property
    def n_questions(self) -> int:
        """Count the values that have a later one to be asked for."""
        return int((self._reach()[1] > 0).sum())

    def epoch(self, tokens: int, rng: np.random.Generator) -> list[Questions]:
        """Cut all series into windows and ask in each; ``tokens`` cells a batch at most."""
        first, reach = self._reach()
        starts, stops = self._cut(reach > 0, rng)
        order = rng.permutation(len(starts))
        size = max(1, tokens // self.max_len)
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        return [self._questions(starts[one], stops[one], first, reach, rng) for one in parts]

    def _reach(self) -> tuple[Ints, Ints]:
        """Give, for each value, the first later one that may be asked for, and how many may."""
        series = self.signals.series
        places, owners = np.arange(len(series.times)), series.owners
        last = series.as_of(owners, series.times + self.horizon)
        first = places + 1
        if self.since is not None:
            early = np.full(len(places), self.since - 1, np.int64)
            first = np.maximum(first, series.as_of(owners, early) + 1)
            first = np.maximum(first, series.offsets[owners])
        return first, np.maximum(last - first + 1, 0)

    def _cut(self, asks: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Cut windows backwards from a random place in each series; keep those that ask."""
        series = self.signals.series
        starts, stops = [], []
        for start, stop in zip(series.offsets, series.offsets[1:], strict=False):
            length = int(stop - start)
            shift = int(rng.integers(min(length, self.max_len))) if length > self.max_len else 0
            ends = np.arange(stop - shift, start, -self.max_len)
            ends = np.concatenate(([stop], ends)) if shift else ends
            begins = np.maximum(ends - self.max_len, start)
            starts.append(begins)
            stops.append(ends)
        begins, ends = np.concatenate(starts), np.concatenate(stops)
        counts = np.concatenate([[0], np.cumsum(asks)])
        asked = counts[ends] > counts[begins]
        return begins[asked], ends[asked]

    def _questions(
        self, starts: Ints, stops: Ints, first: Ints, reach: Ints, rng: np.random.Generator
    ) -> Questions:
        lengths = stops - starts
        sources = ragged_positions(starts, lengths)
        rows = np.repeat(np.arange(len(starts)), lengths)
        asks = np.repeat(reach[sources] > 0, QUESTIONS)
        rows, sources = (np.repeat(cells, QUESTIONS)[asks] for cells in (rows, sources))
        targets = first[sources] + (rng.random(len(sources)) * reach[sources]).astype(np.int64)
        signals = self.signals
        values, owners = signals.series.values, signals.series.owners
        changes = (values[targets] - values[sources]) / signals.scales.step[owners[sources]]
        return Questions(
            reading_of(signals, starts, stops),
            _tensor(rows),
            _tensor(sources - starts[rows]),
            asked_of(signals, sources, signals.series.times[targets]),
            _tensor(changes.astype(np.float32)),
        )


def _tensor(cells: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(cells))
