"""Forecast hourly counts and daily prices beside plain forecasts and the best one there is.

python examples/forecast.py
"""

import polars as pl

import recency as rc
from recency.data.synthetic.series import DAY, HOUR, MONDAY, best_price, daily_prices, hourly_counts

KEYS = ["series_id", "timestamp"]


def main(n_series: int = 8, epochs: int = 15) -> None:
    """Run the example; a test runs it smaller."""
    config = rc.TrainConfig(epochs=epochs)

    print("Cars an hour, one hour in ten missing: the next day, mean absolute error")
    roads, cut = hourly_counts(n_series, days=36, missing=0.1), MONDAY + 35 * DAY
    past, future = split(roads, cut)
    model = rc.Forecaster(horizon="24h", lags=("1d", "7d"), training=config).fit(past)
    day = [cut + hour * HOUR for hour in range(24)]
    print("  as a week ago  ", error(future, shifted(past, days=7)))
    print("  Forecaster     ", error(future, model.forecast(instants=day)))
    print("  the true rate  ", error(future, roads.select(*KEYS, value="rate")))

    print("Prices on weekdays: the close in a week, mean absolute error")
    prices, cut = daily_prices(n_series, days=504), MONDAY + 455 * DAY
    past, future = split(prices, cut)
    model = rc.Forecaster(rc.Tide(dim=16), horizon="10d", training=config).fit(past)
    found = [model.forecast(every="7d", horizon="7d")]
    for _, close in future.sort(KEYS).group_by("timestamp", maintain_order=True):
        model.observe(close)  # memories move, weights do not
        found.append(model.forecast(every="7d", horizon="7d"))
    a_week_ago = shifted(prices, days=7)
    best = a_week_ago.with_columns(value=pl.lit(best_price(a_week_ago["value"].to_numpy(), 7)))
    print("  as a week ago  ", error(future, a_week_ago))
    print("  Forecaster     ", error(future, pl.concat(found)))
    print("  the best       ", error(future, best))


def split(frame: pl.DataFrame, cut: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part a frame at an instant."""
    late = pl.col("timestamp").dt.epoch("us") >= cut
    return frame.filter(~late), frame.filter(late)


def shifted(frame: pl.DataFrame, days: int) -> pl.DataFrame:
    """Give each value out again some days later."""
    return frame.with_columns(pl.col("timestamp") + pl.duration(days=days))


def error(truth: pl.DataFrame, found: pl.DataFrame) -> float:
    """Measure the mean absolute error where both have a value."""
    both = truth.join(found, on=KEYS, suffix="_found")
    return round(both.select((pl.col("value") - pl.col("value_found")).abs().mean()).item(), 3)


if __name__ == "__main__":
    main()
