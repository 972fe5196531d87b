"""Numeric series with a known truth: traffic-like counts and price-like closes.

Both are made so that the best forecast is known, and so how far any other is from it.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

MONDAY = 1_767_571_200_000_000  # 2026-01-05T00:00Z in microseconds
HOUR = 3_600_000_000
DAY = 24 * HOUR
PRICE_LEVEL, PRICE_HALF_LIFE, PRICE_SPREAD = 100.0, 20.0, 0.1  # the second in days, in logarithms

Floats = npt.NDArray[np.float64]


def hourly_counts(
    n_series: int = 12, days: int = 42, missing: float = 0.0, seed: int = 0
) -> pl.DataFrame:
    """Make counts an hour, such as cars at a road or visits of a site.

    A count is drawn from a Poisson distribution around a rate: the size of the series, times a
    peak at an hour of its own, times one half at weekends, times a level that wanders and returns
    half-way in two days.

    Args:
        n_series: How many.
        days: Length, from a Monday on.
        missing: Share of the hours that are not there, in [0, 1).
        seed: Repeats the series.

    Returns:
        ``series_id``, ``timestamp``, ``value``, and the ``rate``, which is what the best forecast
        would be if it knew the level.
    """
    hours = np.arange(days * 24)
    frames = []
    for at in range(n_series):
        rng = np.random.default_rng((seed, at))
        size, peak, strength = np.exp(rng.normal(4, 0.7)), rng.uniform(6, 20), rng.uniform(0.6, 1.4)
        profile = np.exp(strength * np.cos(2 * np.pi * (hours - peak) / 24))
        level = np.exp(_wandering(np.full(len(hours), 0.5 ** (1 / 48)), 0.2, rng))
        rate = size * profile * np.where(hours // 24 % 7 >= 5, 0.5, 1.0) * level
        counts = rng.poisson(rate)
        kept = rng.random(len(hours)) >= missing
        frames.append(_frame(f"road{at:02}", MONDAY + hours * HOUR, counts, rate).filter(kept))
    return pl.concat(frames)


def daily_prices(n_series: int = 12, days: int = 540, seed: int = 0) -> pl.DataFrame:
    """Make prices at the close of weekdays, which return to 100 half-way in 20 days.

    The logarithm of a price is an Ornstein-Uhlenbeck process in calendar time, so a weekend is
    three days, not one step; see `best_price`.

    Args:
        n_series: How many.
        days: Length in calendar days, from a Monday on.
        seed: Repeats the series.

    Returns:
        ``series_id``, ``timestamp`` (16:00 UTC), ``value``.
    """
    closes = np.array([day for day in range(days) if day % 7 < 5])
    left = 0.5 ** (np.diff(closes, prepend=closes[0] - 1) / PRICE_HALF_LIFE)
    frames = []
    for at in range(n_series):
        rng = np.random.default_rng((seed, at))
        values = PRICE_LEVEL * np.exp(_wandering(left, PRICE_SPREAD, rng))
        frames.append(_frame(f"share{at:02}", MONDAY + closes * DAY + 16 * HOUR, values))
    return pl.concat(frames)


def best_price(newest: Floats, days: float | Floats) -> Floats:
    """Give the median of a price so many days after the newest one: the best forecast there is."""
    return PRICE_LEVEL * (newest / PRICE_LEVEL) ** (0.5 ** (days / PRICE_HALF_LIFE))


def _wandering(left: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """Draw a level around 0 of which a share ``left`` stays from one value to the next."""
    level, levels = spread * rng.normal(), np.empty(len(left))
    for at, (share, noise) in enumerate(zip(left, rng.normal(size=len(left)), strict=True)):
        level = share * level + spread * np.sqrt(1 - share**2) * noise
        levels[at] = level
    return levels


def _frame(
    name: str, times: npt.NDArray[np.int64], values: Floats, rate: Floats | None = None
) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "series_id": [name] * len(times),
            "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
            "value": values.astype(np.float64),
        }
    )
    return frame if rate is None else frame.with_columns(rate=pl.Series(rate))
