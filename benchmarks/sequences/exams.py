"""The exams: generated series, cut at several origins, and what each forecast is measured by."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recency.data.synthetic.series import DAY, MONDAY, best_price, daily_prices, hourly_counts

KEYS = ["series_id", "timestamp"]


@dataclass(frozen=True)
class Exam:
    """Hold series and the instants at which they are forecast.

    Attributes:
        name: Of the data.
        frame: ``series_id``, ``timestamp``, ``value``.
        best: The best forecast there is for each value of the test, as far as it is known.
        best_name: What it is.
        origins: Microseconds; everything before one is known, everything up to the next is asked.
        stop: Microseconds, end of the last window.
        horizon: Longest way ahead, as `recency.Forecaster` takes it.
        lags: As `recency.Forecaster` takes them.
        season: Hours that the seasonal naive error, the unit of MASE, looks back by; None takes the
            value before.
        step: Steps for a peer: a pandas frequency.
        seasons: Steps of the cycles that peers are told of.
    """

    name: str
    frame: pl.DataFrame
    best: pl.DataFrame
    best_name: str
    origins: tuple[int, ...]
    stop: int
    horizon: str
    lags: tuple[str, ...]
    season: int | None
    step: str
    seasons: tuple[int, ...]

    def windows(self) -> Iterator[tuple[int, int]]:
        """Give each origin and where its window ends."""
        yield from zip(self.origins, (*self.origins[1:], self.stop), strict=True)

    def between(self, start: int, stop: int) -> pl.DataFrame:
        """Cut the values of a stretch of time."""
        return self.frame.filter(_time() >= start, _time() < stop)

    @property
    def past(self) -> pl.DataFrame:
        """Give what is known at the first origin."""
        return self.frame.filter(_time() < self.origins[0])

    @property
    def future(self) -> pl.DataFrame:
        """Give all that is asked."""
        return self.between(self.origins[0], self.stop)


def counts(seed: int, missing: float = 0.0) -> Exam:
    """Forecast counts an hour for a day ahead, at seven midnights after five weeks."""
    frame = hourly_counts(days=42, missing=missing, seed=seed)
    origins = tuple(MONDAY + day * DAY for day in range(35, 42))
    name = "hourly counts" + (f", {missing:.0%} of the hours missing" if missing else "")
    return Exam(
        name=name,
        frame=frame.drop("rate"),
        best=frame.select(*KEYS, value="rate"),
        best_name="the true rate, level included",
        origins=origins,
        stop=MONDAY + 42 * DAY,
        horizon="36h" if missing else "24h",  # the newest hours may be missing too
        lags=("1d", "7d"),
        season=24,
        step="h",
        seasons=(24, 168),
    )


def prices(seed: int) -> Exam:
    """Forecast closes of weekdays for two weeks ahead, at eight Mondays after 448 days."""
    frame = daily_prices(days=560, seed=seed)
    origins = tuple(MONDAY + day * DAY for day in range(448, 560, 14))
    parts = []
    for start, stop in zip(origins, (*origins[1:], MONDAY + 560 * DAY), strict=True):
        newest = frame.filter(_time() < start).sort("timestamp").group_by("series_id").last()
        asked = frame.filter(_time() >= start, _time() < stop)
        asked = asked.join(newest, on="series_id", suffix="_old")
        days = (asked["timestamp"] - asked["timestamp_old"]).dt.total_hours().to_numpy() / 24
        known = best_price(asked["value_old"].to_numpy(), days)
        parts.append(asked.select(*KEYS, value=pl.Series(known)))
    return Exam(
        name="daily prices",
        frame=frame,
        best=pl.concat(parts),
        best_name="the true law",
        origins=origins,
        stop=MONDAY + 560 * DAY,
        horizon="14d",
        lags=(),
        season=None,
        step="B",
        seasons=(),
    )


def errors(exam: Exam, found: pl.DataFrame) -> pl.DataFrame:
    """Measure a forecast series by series.

    Returns:
        ``series_id``, ``n``, ``mae``, ``mase`` (MAE over the seasonal naive MAE of what was known
        at the first origin), and ``inside``, the share of values within the interval of 80 %.

    Raises:
        SystemExit: a value was not forecast.
    """
    both = exam.future.join(found, on=KEYS, suffix="_found")
    if len(both) != len(exam.future):
        raise SystemExit(f"expected {len(exam.future)} forecasts, found {len(both)}.")
    error = (pl.col("value") - pl.col("value_found")).abs()
    inside = pl.col("value").is_between("q0.1", "q0.9") if "q0.1" in found.columns else pl.lit(None)
    return (
        both.group_by("series_id")
        .agg(pl.len().alias("n"), error.mean().alias("mae"), inside.mean().alias("inside"))
        .join(_units(exam), on="series_id")
        .with_columns(mase=pl.col("mae") / pl.col("unit"))
        .sort("series_id")
    )


def _units(exam: Exam) -> pl.DataFrame:
    """Give the seasonal naive MAE of each series before the first origin."""
    past = exam.past.sort(KEYS)
    if exam.season is None:
        change = pl.col("value").diff()
    else:
        earlier = past.with_columns(pl.col("timestamp") + pl.duration(hours=exam.season))
        past = past.join(earlier, on=KEYS, suffix="_earlier")
        change = pl.col("value") - pl.col("value_earlier")
    return past.group_by("series_id").agg(unit=change.abs().mean())


def _time() -> pl.Expr:
    return pl.col("timestamp").dt.epoch("us")
