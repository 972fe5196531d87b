"""Memories: what a forecaster knows of each series, and how it moves when values arrive."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recency.data.histories import Ints
from recency.data.vocab import Vocab
from recency.sequences.forecast_model import ForecastModel
from recency.sequences.series import Series
from recency.sequences.signals import Scales, Signals
from recency.sequences.windows import reading_of
from recency.storage import Manifest

_ROWS = 256  # series read at once


@dataclass(frozen=True)
class Memories:
    """Hold all series as of now.

    Attributes:
        names: Rows of series.
        signals: Their values, units and lags.
        states: [n_series, state_size] after the newest value of each.
    """

    names: Vocab
    signals: Signals
    states: Tensor

    @classmethod
    def begun(
        cls, model: ForecastModel, names: Vocab, signals: Signals, max_len: int
    ) -> "Memories":
        """Read the newest ``max_len`` values of every series, as long as a window in training."""
        series = signals.series
        fresh = cls(names, signals, model.initial_state(len(series)))
        return fresh._read(model, series.newest(max_len))

    def moved(self, model: ForecastModel, later: Series) -> "Memories":
        """Read later values; series not known yet begin with them, in units of their own."""
        old = self.signals
        series = old.series.extended(later)
        scales = old.scales.extended(Scales.measured(later, old.scales))
        fresh = model.initial_state(len(series) - len(old.series))
        moved = Memories(
            self.names, Signals(series, scales, old.lags), torch.cat((self.states, fresh))
        )
        return moved._read(model, series.offsets[1:] - later.lengths)

    @torch.no_grad()
    def _read(self, model: ForecastModel, starts: Ints) -> "Memories":
        """Move the memories over the values from ``starts`` to the end of each series."""
        stops = self.signals.series.offsets[1:]
        states = self.states.clone()
        order = np.argsort(stops - starts, kind="stable")
        order = order[(stops - starts)[order] > 0]
        for at in range(0, len(order), _ROWS):
            rows = order[at : at + _ROWS]
            reading = reading_of(self.signals, starts[rows], stops[rows])
            lengths = torch.from_numpy(stops[rows] - starts[rows])
            states[rows] = model.advance(reading, lengths, states[rows])
        return Memories(self.names, self.signals, states)

    def newest(self, rows: Ints) -> Ints:
        """Give the positions of the newest values of series."""
        positions: Ints = self.signals.series.offsets[rows + 1] - 1
        return positions

    def newest_times(self, n: int) -> Ints:
        """Give when the newest value of each of ``n`` series was; long ago for unknown series."""
        times = np.full(n, np.iinfo(np.int64).min)
        known = self.signals.series
        times[: len(known)] = known.times[known.offsets[1:] - 1]
        return times

    def paces(self, rows: Ints, n: int) -> Ints:
        """Give the median time between the newest ``n`` values of series, in microseconds."""
        series = self.signals.series
        starts, stops = series.newest(n)[rows], series.offsets[rows + 1]
        gaps = [np.diff(series.times[a:b]) for a, b in zip(starts, stops, strict=True)]
        return np.array([int(np.median(one)) if len(one) else 0 for one in gaps], np.int64)

    def write(self, draft: Path) -> None:
        """Write them as parts of a model folder."""
        series, scales = self.signals.series, self.signals.scales
        arrays = {"offsets": series.offsets, "times": series.times, "values": series.values}
        arrays |= {"level": scales.level, "spread": scales.spread, "step": scales.step}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        save_file(tensors | {"states": self.states.contiguous()}, draft / "memories.safetensors")
        self.names.ids.rename("id").to_frame().write_parquet(draft / "series.parquet")

    @classmethod
    def read(cls, manifest: Manifest, lags: tuple[int, ...]) -> "Memories":
        """Read them from a model folder."""
        parts = load_file(manifest.path("memories.safetensors"))
        states = parts.pop("states")
        arrays = {name: part.numpy() for name, part in parts.items()}
        series = Series(*(arrays[name] for name in ("offsets", "times", "values")))
        scales = Scales(*(arrays[name] for name in ("level", "spread", "step")))
        names = Vocab.from_frame(pl.read_parquet(manifest.path("series.parquet")))
        return cls(names, Signals(series, scales, lags), states)
