"""Small series with a known truth, and a forecaster that has learned them."""

import numpy as np
import polars as pl
import pytest

import recency as rc

HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z in microseconds


def frame_of(name, times, values) -> pl.DataFrame:
    """Make a frame of one series."""
    return pl.DataFrame(
        {
            "series_id": [name] * len(times),
            "timestamp": pl.Series(np.asarray(times)).cast(pl.Datetime("us", "UTC")),
            "value": np.asarray(values, float),
        }
    )


def waves(n_series=4, days=12, seed=0, noise=0.0) -> pl.DataFrame:
    """Make hourly series that repeat every day, each with a level, size and phase of its own."""
    hours = np.arange(days * 24)
    frames = []
    for at in range(n_series):
        rng = np.random.default_rng((seed, at))  # more days begin like fewer
        phase, size = rng.uniform(0, 24), np.exp(rng.normal(2, 1))
        day = np.sin(2 * np.pi * (hours - phase) / 24)
        values = size * (3 + day + noise * rng.standard_normal(len(hours)))
        frames.append(frame_of(f"s{at}", START + hours * HOUR, values))
    return pl.concat(frames)


@pytest.fixture(scope="package")
def quick() -> rc.TrainConfig:
    """Settings that learn the small series in a second or two."""
    return rc.TrainConfig(epochs=8, max_len=48, tokens=384, lr=1e-2)


@pytest.fixture(scope="package")
def learned(quick) -> rc.Forecaster:
    """A forecaster that has learned noisy waves; tests do not change it."""
    model = rc.Forecaster(rc.GRU(dim=16), horizon="24h", lags=("1d",), training=quick)
    return model.fit(waves(noise=0.1))
