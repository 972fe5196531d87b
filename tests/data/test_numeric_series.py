"""The generated series are what they say, and repeat."""

import numpy as np
import polars as pl
import pytest

from recency.data.synthetic.series import best_price, daily_prices, hourly_counts


def test_counts_lie_around_their_rate():
    frame = hourly_counts(n_series=3, days=21)
    off = (frame["value"] - frame["rate"]) / frame["rate"].sqrt()
    assert abs(off.to_numpy().mean()) < 0.05
    assert off.to_numpy().std() == pytest.approx(1, abs=0.05)


def test_weekends_are_quiet():
    frame = hourly_counts(n_series=8, days=28)
    weekend = pl.col("timestamp").dt.weekday() > 5
    quiet, busy = (frame.filter(one)["value"].to_numpy().mean() for one in (weekend, ~weekend))
    assert quiet < 0.7 * busy


def test_hours_are_missing_as_told():
    frame = hourly_counts(n_series=4, days=14, missing=0.25)
    assert len(frame) == pytest.approx(0.75 * 4 * 14 * 24, rel=0.05)
    whole = hourly_counts(n_series=4, days=14)
    both = frame.join(whole, on=["series_id", "timestamp"])
    assert (both["value"] == both["value_right"]).all()


def test_prices_have_no_weekends_and_return_as_told():
    frame = daily_prices(n_series=20, days=700, seed=1)
    assert frame["timestamp"].dt.weekday().max() == 5
    later = frame.with_columns(pl.col("timestamp") + pl.duration(days=28))
    both = frame.join(later, on=["series_id", "timestamp"], suffix="_old")
    truth, old = both["value"].to_numpy(), both["value_old"].to_numpy()
    best, naive = np.abs(truth - best_price(old, 28)), np.abs(truth - old)
    assert best.mean() < 0.92 * naive.mean()
    left = np.polyfit(np.log(old / 100), np.log(truth / 100), 1)[0]
    assert left == pytest.approx(0.5 ** (28 / 20), abs=0.08)


def test_the_best_forecast_of_now_is_now_and_of_never_the_level():
    known = np.array([80.0, 120.0])
    assert best_price(known, 0).tolist() == known.tolist()
    assert best_price(known, 1e6) == pytest.approx([100, 100])


def test_a_seed_repeats():
    assert hourly_counts(2, 7, seed=3).equals(hourly_counts(2, 7, seed=3))
    assert not hourly_counts(2, 7, seed=3).equals(hourly_counts(2, 7, seed=4))
