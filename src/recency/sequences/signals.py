"""Signals: what a model is told of a value, and what simple memories expect at an instant.

Series live on scales of their own, so everything is told in a series' own units, measured once on
the values that are learned from: its level (mean), its spread (standard deviation) and its step
(mean change from one value to the next).

A simple memory, an *anchor*, is what a plain method would forecast: the newest value; the level;
and for each lag, such as a day, the value one whole number of lags before the instant asked (the
seasonal naive forecast), and the mean of up to `REPEATS` of them. A model that mixes anchors starts
where plain methods end.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recency.data.histories import NO_GAP, Ints
from recency.sequences.series import Floats, Series
from recency.units import SECOND

REPEATS = 4  # newest values of the same phase that are averaged
STALE = 1 / 8  # of a lag: an older value does not stand for the instant one lag before
_LEAST = 1e-6  # share of the level below which a change is none
_FEW = 2  # values below which a series has no units of its own


@dataclass(frozen=True)
class Scales:
    """Hold each series' units.

    Attributes:
        level: [n_series] mean.
        spread: [n_series] standard deviation, above 0.
        step: [n_series] mean absolute change from one value to the next, above 0.
    """

    level: Floats
    spread: Floats
    step: Floats

    @classmethod
    def measured(cls, series: Series, fallback: "Scales | None" = None) -> "Scales":
        """Measure all series.

        Args:
            series: What may be looked at.
            fallback: Gives its median spread and step to series with fewer than two values.
        """
        level, spread, step = (np.zeros(len(series)) for _ in range(3))
        known = np.zeros(len(series), bool)
        for at, (start, stop) in enumerate(zip(series.offsets, series.offsets[1:], strict=False)):
            values = series.values[start:stop]
            level[at] = values.mean() if len(values) else 0.0
            if len(values) >= _FEW:
                known[at] = True
                floor = max(_LEAST * float(np.abs(values).max()), 1e-12)
                spread[at] = max(float(values.std()), floor)
                step[at] = max(float(np.abs(np.diff(values)).mean()), floor)
        source = cls(level[known], spread[known], step[known]) if known.any() else fallback
        if source is None:
            source = cls(np.zeros(1), np.ones(1), np.ones(1))
        spread[~known], step[~known] = np.median(source.spread), np.median(source.step)
        return cls(level, spread, step)

    def extended(self, later: "Scales") -> "Scales":
        """Keep the known series' units, and take those of further series from ``later``."""
        n = len(self.level)
        pairs = ((self.level, later.level), (self.spread, later.spread), (self.step, later.step))
        return Scales(*(np.concatenate((old, new[n:])) for old, new in pairs))


def count_inputs(n_lags: int) -> int:
    """Count the numbers told of a value."""
    return 3 + 2 * n_lags


def count_anchors(n_lags: int) -> int:
    """Count the simple memories of a question."""
    return 2 + 2 * n_lags


@dataclass(frozen=True)
class Signals:
    """Tell signals of series in units of their own.

    Attributes:
        series: All values.
        scales: Units, one a series.
        lags: Microseconds.
    """

    series: Series
    scales: Scales
    lags: tuple[int, ...]

    def gaps(self, places: Ints) -> npt.NDArray[np.float32]:
        """Give seconds since the value before, `NO_GAP` at a first one; for positions [...]."""
        first = places == self.series.offsets[self._owners(places)]
        passed = (self.series.times[places] - self.series.times[places - 1]) / SECOND
        return np.where(first, NO_GAP, passed).astype(np.float32)

    def inputs(self, places: Ints) -> npt.NDArray[np.float32]:
        """Tell of values at positions [...] what is known when they come: [..., n_inputs].

        The value from the level, in spreads; the change since the value before and, for each lag,
        since the value one lag ago, in steps, with a flag where there was none.
        """
        owners, now = self._owners(places), self.series.values[places]
        level, spread, step = self._units(owners)
        before = np.where(places > self.series.offsets[owners], places - 1, -1)
        told = [(now - level) / spread, *self._change(now, before, step)]
        for lag in self.lags:
            told += self._change(now, self._ago(owners, self.series.times[places], lag), step)
        return np.stack([np.arcsinh(one) for one in told], axis=-1).astype(np.float32)

    def anchors(self, sources: Ints, instants: Ints) -> npt.NDArray[np.float32]:
        """Tell what simple memories expect, in steps from the newest value known.

        Args:
            sources: [n] position of that value; nothing after it is looked at.
            instants: [n] microseconds, after the source's.

        Returns:
            [n, n_anchors]; NaN where a memory has nothing to tell.
        """
        owners, now = self._owners(sources), self.series.values[sources]
        level, _, step = self._units(owners)
        waits = instants - self.series.times[sources]
        told = [np.zeros(len(sources)), (level - now) / step]
        for lag in self.lags:
            cycles = -(-waits // lag)  # whole lags back to what is known
            found = np.stack(
                [self._ago(owners, instants, (cycles + more) * lag, lag) for more in range(REPEATS)]
            )
            values = np.where(found >= 0, self.series.values[found], np.nan)
            counts = np.maximum((found >= 0).sum(0), 1)
            mean = np.where((found >= 0).any(0), np.nansum(values, axis=0) / counts, np.nan)
            told += [(values[0] - now) / step, (mean - now) / step]
        return np.stack(told, axis=-1).astype(np.float32)

    def _owners(self, places: Ints) -> Ints:
        return np.searchsorted(self.series.offsets, places, side="right") - 1

    def _units(self, owners: Ints) -> tuple[Floats, Floats, Floats]:
        scales = self.scales
        return scales.level[owners], scales.spread[owners], scales.step[owners]

    def _change(self, now: Floats, earlier: Ints, step: Floats) -> list[Floats]:
        found = earlier >= 0
        change = np.where(found, (now - self.series.values[earlier]) / step, 0.0)
        return [change, 1.0 - found]

    def _ago(self, owners: Ints, instants: Ints, back: Ints | int, lag: int | None = None) -> Ints:
        """Find the value so many microseconds before; -1 where the newest by then was stale."""
        wanted = instants - back
        found = self.series.as_of(owners.ravel(), wanted.ravel()).reshape(wanted.shape)
        age = wanted - self.series.times[found]
        return np.where(age <= STALE * (back if lag is None else lag), found, -1)
