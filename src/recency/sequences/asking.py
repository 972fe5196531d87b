"""Asking a forecaster: which instants, and the answers as a table."""

import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch

from recency.data.histories import Ints
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, DataWarning, UnknownIdError
from recency.sequences.forecast_model import ForecastModel
from recency.sequences.memories import Memories
from recency.sequences.windows import asked_of
from recency.units import SECOND, format_duration, format_instant

PACED = 100  # newest values whose gaps tell how often a series has one


def rows_of(names: Vocab, series: Sequence[Id] | None) -> Ints:
    """Give the rows of series; None asks for all.

    Raises:
        UnknownIdError: a series was never seen.
    """
    if series is None:
        return np.arange(len(names))
    rows = names.rows(list(series))
    if (rows < 0).any():
        strangers = [one for one, row in zip(series, rows, strict=True) if row < 0]
        raise UnknownIdError(
            f"{len(strangers):,} of {len(rows):,} series were never seen: "
            f"{', '.join(map(repr, strangers[:5]))}; observe values of them first."
        )
    return rows


def instants_ahead(
    memories: Memories, rows: Ints, horizon: int, every: int | None
) -> tuple[Ints, Ints]:
    """Lay instants behind the newest value of each series, up to the horizon.

    Args:
        memories: All series.
        rows: [n] series asked about.
        horizon: Microseconds.
        every: Microseconds from one to the next; None takes the series' own pace.

    Returns:
        Series rows and instants in microseconds, series by series.

    Raises:
        ConfigError: the instants are less than a microsecond apart, or none lies within the
            horizon.
    """
    paces = memories.paces(rows, PACED) if every is None else np.full(len(rows), every)
    if (paces <= 0).any() and every is None:
        raise ConfigError(
            f"series {memories.names.id_of(int(rows[np.argmin(paces)]))!r} has a single value and "
            f"so no pace of its own; say forecast(every=...)."
        )
    if (paces <= 0).any() or (horizon < paces).any():
        raise ConfigError(
            f"forecast(): expected an instant every so often within the horizon, found every "
            f"{format_duration(int(paces.max()) / SECOND)} and a horizon of "
            f"{format_duration(horizon / SECOND)}."
        )
    counts = horizon // paces
    steps = np.concatenate([np.arange(1, n + 1) for n in counts]) if len(rows) else counts
    last = memories.signals.series.times[memories.newest(rows)]
    return np.repeat(rows, counts), np.repeat(last, counts) + steps * np.repeat(paces, counts)


def warn_beyond(memories: Memories, rows: Ints, instants: Ints, horizon: int) -> None:
    """Refuse instants in the past, and warn of those that lie beyond what training saw.

    Raises:
        DataError: an instant lies at or before the newest value known of its series.
    """
    waits = instants - memories.signals.series.times[memories.newest(rows)]
    if (waits <= 0).any():
        first = int(np.argmax(waits <= 0))
        last = int(instants[first] - waits[first])
        raise DataError(
            f"expected instants after the newest value known, found "
            f"{format_instant(int(instants[first]))} for series "
            f"{memories.names.id_of(int(rows[first]))!r}, known up to {format_instant(last)}."
        )
    longest = int(waits.max(initial=0))
    if longest > horizon:
        warnings.warn(
            f"asked up to {format_duration(longest / SECOND)} ahead; training saw "
            f"{format_duration(horizon / SECOND)} at most, beyond it forecasts are a guess. Fit "
            f"with a longer horizon.",
            DataWarning,
            stacklevel=3,
        )


@torch.no_grad()
def answers(model: ForecastModel, memories: Memories, rows: Ints, instants: Ints) -> pl.DataFrame:
    """Forecast for series rows [n] at instants [n]; see `Forecaster.forecast`."""
    sources = memories.newest(rows)
    signals = memories.signals
    outputs = model.outputs_of(memories.states[torch.from_numpy(rows)])
    changes = model.ask(outputs, asked_of(signals, sources, instants)).double().numpy()
    values = signals.series.values[sources][:, None] + signals.scales.step[rows][:, None] * changes
    names = {level: "value" if level == 0.5 else f"q{level:g}" for level in model.quantiles}
    columns = {name: values[:, n] for n, name in enumerate(names.values())}
    ids = pl.Series("series_id", memories.names.take(rows.tolist()), dtype=memories.names.dtype)
    when = pl.Series("timestamp", instants).cast(pl.Datetime("us", "UTC"))
    others = {name: cells for name, cells in columns.items() if name != "value"}
    return pl.DataFrame([ids, when]).with_columns(
        *(pl.Series(name, cells) for name, cells in {"value": columns["value"], **others}.items())
    )
