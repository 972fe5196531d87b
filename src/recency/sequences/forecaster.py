"""The forecaster: many numeric series in, quantiles of their next values out, at any instant.

`fit` learns one model for all series; `observe` moves memories and leaves weights alone; `forecast`
asks. Each series is told in its own units (`recency.sequences.signals`), so a series that was never
learned from is forecast too, from the values observed of it.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, DataWarning, NotFittedError, raise_all
from recency.nn.encoder import Encoder
from recency.nn.tide import Tide
from recency.nn.time import zone_table
from recency.sequences.asking import answers, instants_ahead, rows_of, warn_beyond
from recency.sequences.fitting import all_windows, learn_series, warn_of_lags
from recency.sequences.folder import give_weights, read_arguments, written_model
from recency.sequences.forecast_model import ForecastModel
from recency.sequences.learning import Learned, checked
from recency.sequences.memories import Memories
from recency.sequences.series import id_type, read_series
from recency.training.config import Progress, TrainConfig
from recency.units import SECOND, Instant, format_duration, parse_duration, parse_instant


class Forecaster:
    """Forecast the next values of numeric series from their values and the time between them.

    Args:
        encoder: Reads the values, such as ``recency.GRU(dim=32)``; default ``Tide(dim=32)``. Only
            its configuration is used: each `fit` makes a fresh one.
        horizon: How far ahead training asks, ``"24h"`` or seconds.
        lags: Cycles to look back by, such as ``("1d", "7d")``: the values one whole cycle ago are
            read, and forecasts are mixed of them too.
        quantiles: Ascending, in (0, 1), one of them 0.5, the forecast itself.
        time_zone: IANA zone of the calendar.
        training: How weights are learned; ``epochs``, ``max_len``, ``tokens``, ``lr``,
            ``weight_decay``, ``warmup``, ``clip``, ``valid_share``, ``patience`` and ``refit``
            count.
        seed: Repeats a fit bit by bit.

    Raises:
        ConfigError: an argument is impossible; all of them together.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        horizon: str | float = "24h",
        lags: Sequence[str | float] = (),
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        time_zone: str = "UTC",
        training: TrainConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder = Tide(dim=32) if encoder is None else encoder
        self.horizon = _microseconds(horizon)
        self.lags = tuple(_microseconds(lag) for lag in lags)
        self.quantiles = tuple(float(one) for one in quantiles)
        self.time_zone = time_zone
        self.training = checked(training, "Forecaster")
        self.seed = seed
        self.learned: Learned | None = None
        self._fitted: tuple[ForecastModel, Memories] | None = None
        _check(self)

    # --- learning ------------------------------------------------------------------------------

    def fit(self, frame: pl.DataFrame, progress: Progress | None = None) -> Self:
        """Learn from series, forgetting what was learned before.

        The newest share of the values (``training.valid_share``) chooses the number of epochs; then
        everything is learned for so many.

        Args:
            frame: ``series_id``, ``timestamp`` and ``value``, in any order; nothing later is looked
                at. Instants may lie anywhere, and a missing value is a gap.
            progress: Called after every training batch; its ``valid`` is the loss on the newest
                share, lower being better.

        Raises:
            DataError: the frame cannot be read, or no value has a later one within the horizon.
            TrainingDivergedError: the loss is no longer finite.

        Warns:
            DataWarning: values are missing, or a lag is longer than every series.
        """
        names = Vocab(id_type(frame))
        series = read_series(frame, names)
        warn_of_lags(series, self.lags)
        windows = all_windows(series, self.lags, self.horizon, self.training.max_len)
        if not windows.n_questions:
            raise DataError(
                f"expected a series with two values within the horizon of "
                f"{format_duration(self.horizon / SECOND)} of each other, found none among "
                f"{len(series.times):,} values of {len(series):,} series; lengthen the horizon or "
                f"give more values."
            )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = self._new_model()
            self.learned = learn_series(model, windows, self.training, self.seed, progress)
        memories = Memories.begun(model, names, windows.signals, self.training.max_len)
        self._fitted = model, memories
        return self

    def observe(self, frame: pl.DataFrame) -> int:
        """Take values in: memories move, weights do not; the next forecast knows them.

        New series join; one that is new is told in the units of the values that bring it.

        Args:
            frame: As `fit` takes it.

        Returns:
            How many values were taken.

        Raises:
            DataError: the frame cannot be read; then nothing is taken.

        Warns:
            DataWarning: values lie at or before the newest one known of their series; these are
                left out.
        """
        model, memories = self._ready()
        later = read_series(frame, memories.names)
        kept = later.times > memories.newest_times(len(later))[later.owners]
        if late := int((~kept).sum()):
            warnings.warn(
                f"{late:,} of {len(kept):,} values lie at or before the newest one known of their "
                f"series; they are left out. Observe values in the order of time.",
                DataWarning,
                stacklevel=2,
            )
        self._fitted = model, memories.moved(model, later.only(kept))
        return int(kept.sum())

    # --- asking --------------------------------------------------------------------------------

    def forecast(
        self,
        series: Sequence[Id] | None = None,
        horizon: str | float | None = None,
        *,
        every: str | float | None = None,
        instants: Sequence[Instant] | None = None,
    ) -> pl.DataFrame:
        """Forecast values after the newest one known of each series.

        Args:
            series: Series asked about; None asks about all.
            horizon: How far ahead, ``"24h"`` or seconds; default: as in training.
            every: Time from one forecast to the next; default: the median time between the newest
                values of the series.
            instants: Instants to forecast at, in place of ``horizon`` and ``every``.

        Returns:
            ``series_id``, ``timestamp``, ``value`` (the median), and a column such as ``q0.9`` for
            every other quantile.

        Raises:
            NotFittedError: before `fit` or `load`.
            UnknownIdError: a series was never seen.
            ConfigError: ``every`` is 0, or both ways to name instants are used.
            DataError: an instant lies at or before the newest value known.

        Warns:
            DataWarning: an instant lies beyond the horizon that training saw.
        """
        model, memories = self._ready()
        rows = rows_of(memories.names, series)
        if instants is None:
            ahead = self.horizon if horizon is None else _microseconds(horizon)
            step = None if every is None else _microseconds(every)
            places, at = instants_ahead(memories, rows, ahead, step)
        elif horizon is not None or every is not None:
            raise ConfigError("forecast(): expected either instants, or horizon and every.")
        else:
            asked = np.array([parse_instant(one) for one in instants], np.int64)
            places, at = np.repeat(rows, len(asked)), np.tile(asked, len(rows))
        warn_beyond(memories, places, at, self.horizon)
        return answers(model, memories, places, at)

    def _ready(self) -> tuple[ForecastModel, Memories]:
        if self._fitted is None:
            raise NotFittedError("the forecaster has learned nothing yet; call fit(frame) first.")
        return self._fitted

    def _new_model(self) -> ForecastModel:
        return ForecastModel(self.encoder.clone(), len(self.lags), self.quantiles, self.time_zone)

    # --- keeping -------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model and what it knows of every series into a folder, without pickle.

        Raises:
            NotFittedError: before `fit` or `load`.
            FormatError: the folder exists, is not empty, and holds no model.
        """
        model, memories = self._ready()
        settings: dict[str, Any] = {
            "horizon": self.horizon / SECOND,
            "lags": [lag / SECOND for lag in self.lags],
            "quantiles": list(self.quantiles),
            "time_zone": self.time_zone,
            "training": self.training.what_is_learned(),
            "seed": self.seed,
        }
        with written_model(folder, "Forecaster", self.encoder, settings, model) as draft:
            memories.write(draft)

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder | None = None) -> Self:
        """Read a forecaster from a folder; its forecasts are those of the one that was saved.

        Args:
            folder: Written by `save`.
            encoder: Of the same configuration, for an encoder that Recency does not bring.

        Raises:
            FormatError: the folder is no forecaster, damaged, or newer than this version.
            ConfigError: the encoder is none of Recency's and was not passed.
        """
        manifest, arguments = read_arguments(folder, "Forecaster", encoder)
        one = cls(**arguments)
        model = one._new_model()
        give_weights(model, manifest)
        one._fitted = model, Memories.read(manifest, one.lags)
        return one


def _microseconds(duration: str | float) -> int:
    return round(parse_duration(duration) * SECOND)


def _check(one: Forecaster) -> None:
    """Refuse impossible arguments, all together."""
    faults = [] if one.horizon > 0 else ["Forecaster(horizon): expected more than 0 seconds."]
    if any(lag <= 0 for lag in one.lags) or len(set(one.lags)) < len(one.lags):
        shown = tuple(lag / SECOND for lag in one.lags)
        faults.append(
            f"Forecaster(lags): expected different durations above 0, found {shown} seconds."
        )
    levels = one.quantiles
    is_rising = all(low < high for low, high in zip(levels, levels[1:], strict=False))
    if not (is_rising and all(0 < level < 1 for level in levels) and 0.5 in levels):
        faults.append(
            f"Forecaster(quantiles={levels!r}): expected ascending shares in (0, 1), one of them "
            f"0.5, the forecast itself."
        )
    try:
        zone_table(one.time_zone)
    except ConfigError as fault:
        faults.append(f"Forecaster(time_zone={one.time_zone!r}): {fault}")
    raise_all(faults, ConfigError)
