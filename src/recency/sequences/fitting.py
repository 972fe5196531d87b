"""Fitting a forecaster: everything is learned, after the newest slice has chosen how long."""

import warnings
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from recency.data.newest import newest_begins
from recency.errors import DataWarning
from recency.nn.time import CalendarEncoding
from recency.sequences.forecast_model import ForecastModel
from recency.sequences.learning import FEWEST_HELD_BACK, Batches, Learned, Learning
from recency.sequences.series import Series
from recency.sequences.signals import Scales, Signals
from recency.sequences.windows import Questions, Windows
from recency.training.config import Progress, TrainConfig
from recency.training.plan import tokens_for
from recency.units import SECOND, format_duration, format_instant

LEAST_TOKENS = 1_024  # a batch; a value is asked at several times, so fewer teach no better
FEWEST_BEFORE = 2  # values of a series before the newest slice, to have units of its own
_TWO_YEARS = 2 * 365.25 * 86_400e6  # microseconds


def all_windows(series: Series, lags: tuple[int, ...], horizon: int, max_len: int) -> Windows:
    """Make windows of all values, in units measured on all of them."""
    return Windows(Signals(series, Scales.measured(series), lags), horizon, max_len)


def learn_series(
    model: ForecastModel,
    windows: Windows,
    config: TrainConfig,
    seed: int,
    progress: Progress | None = None,
) -> Learned:
    """Learn a model from windows.

    Raises:
        TrainingDivergedError: the loss is no longer finite.
    """
    times = windows.signals.series.times
    for part in model.modules():
        if isinstance(part, CalendarEncoding):
            part.show_year(bool(times.max() - times.min() >= _TWO_YEARS))

    def loss(asked: Questions) -> tuple[Tensor, int]:
        outputs, _ = model(asked.reading)
        forecast = model.ask(outputs[asked.rows, asked.columns], asked.asked)
        return model.loss(forecast, asked.changes), len(asked.rows)

    tokens = config.tokens or max(tokens_for(windows.n_questions), LEAST_TOKENS)
    learning = Learning(model, loss, config, seed, progress)
    search, notes = _search(windows, config, tokens)
    return learning.run(_epochs(windows, tokens), search, notes)


def warn_of_lags(series: Series, lags: tuple[int, ...]) -> None:
    """Warn of lags that no series is long enough for."""
    filled = series.lengths > 0
    starts, stops = series.offsets[:-1][filled], series.offsets[1:][filled]
    span = int((series.times[stops - 1] - series.times[starts]).max(initial=0))
    for lag in lags:
        if lag > span:
            warnings.warn(
                f"the lag of {format_duration(lag / SECOND)} is longer than every series, the "
                f"longest of which spans {format_duration(span / SECOND)}; it tells nothing.",
                DataWarning,
                stacklevel=3,
            )


def _search(
    windows: Windows, config: TrainConfig, tokens: int
) -> tuple[tuple[Batches[Questions], Batches[Questions]] | None, Sequence[str]]:
    """Make the windows before the newest slice, and those that ask for it; or say why not."""
    if not config.valid_share:
        return None, ()
    signals, reach = windows.signals, windows.horizon
    cut = newest_begins(signals.series.times, config.valid_share)
    before = signals.series.before(cut)
    known = before.lengths >= FEWEST_BEFORE
    scales = Scales.measured(before)  # units, too, know nothing of the newest slice
    older = Windows(Signals(before, scales, signals.lags), reach, config.max_len)
    judged = signals.series.only(known[signals.series.owners])
    newest = Windows(Signals(judged, scales, signals.lags), reach, config.max_len, since=cut)
    if not older.n_questions or newest.n_questions < FEWEST_HELD_BACK:
        return None, (
            f"the newest {config.valid_share:.0%} of the values (from {format_instant(cut)}) can "
            f"be asked for at {newest.n_questions:,} values, and {older.n_questions:,} are left "
            f"to learn at, too few to judge epochs on; learned all {config.epochs} epochs.",
        )
    return (_epochs(older, tokens), _epochs(newest, tokens)), ()


def _epochs(windows: Windows, tokens: int) -> Batches[Questions]:
    def epoch(rng: np.random.Generator) -> Sequence[Questions]:
        return windows.epoch(tokens, rng)

    return epoch
