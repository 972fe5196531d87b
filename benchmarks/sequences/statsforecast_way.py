"""Forecast series with statsforecast. Runs in an environment of its own.

    .venvs/statsforecast/bin/python benchmarks/sequences/statsforecast_way.py FOLDER

FOLDER holds ``values.parquet`` (``series_id``, ``timestamp``, ``value``) and ``exam.json``
(``windows``: pairs of microseconds; ``step``: a pandas frequency; ``seasons``: steps). Every method
is fitted afresh at every origin to all values before it. Hours that are missing are filled on a
straight line, since these methods need a grid. Forecasts go to ``forecasts.parquet``.
"""

import importlib.metadata
import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import MSTL, AutoARIMA, AutoETS, AutoTheta, Naive, SeasonalNaive

INSIDE = 80  # percent


def main(folder: Path) -> None:
    """Write all forecasts and print one JSON line: seconds a method, and the version."""
    exam = json.loads((folder / "exam.json").read_text())
    values = pd.read_parquet(folder / "values.parquet")
    values.columns = ["unique_id", "ds", "y"]
    values["ds"] = pd.to_datetime(values["ds"]).dt.tz_localize(None)
    parts, seconds = [], {}
    for name, method in methods(exam["seasons"]).items():
        began = time.perf_counter()
        for start, stop in exam["windows"]:
            start, stop = (pd.Timestamp(one, unit="us") for one in (start, stop))
            past = on_a_grid(values[values["ds"] < start], exam["step"], start)
            steps = len(pd.date_range(start, stop, freq=exam["step"], inclusive="left"))
            runner = StatsForecast(models=[method], freq=exam["step"], n_jobs=1)
            parts.append(forecast(runner, past, steps, name))
        seconds[name] = time.perf_counter() - began
    pd.concat(parts).to_parquet(folder / "forecasts.parquet", index=False)
    print(json.dumps({"seconds": seconds, "version": importlib.metadata.version("statsforecast")}))


def methods(seasons: list[int]) -> dict[str, object]:
    """Choose the methods, with the settings that their documentation begins with."""
    if not seasons:
        return {
            "naive": Naive(),
            "AutoARIMA": AutoARIMA(),
            "AutoETS": AutoETS(),
            "AutoTheta": AutoTheta(),
        }
    found = {f"seasonal naive, {one}": SeasonalNaive(season_length=one) for one in seasons}
    return found | {
        f"AutoETS, {seasons[0]}": AutoETS(season_length=seasons[0]),
        f"MSTL, {' and '.join(map(str, seasons))}, with AutoARIMA": MSTL(
            season_length=seasons, trend_forecaster=AutoARIMA()
        ),
    }


def on_a_grid(past: pd.DataFrame, step: str, start: pd.Timestamp) -> pd.DataFrame:
    """Fill what is missing up to ``start``: on a straight line, the newest by the last value."""
    filled = []
    for name, one in past.groupby("unique_id"):
        first = one["ds"].iloc[0]
        grid = pd.date_range(first, start, freq=step, inclusive="left")
        cells = one.set_index("ds")["y"].reindex(grid).interpolate().ffill()
        filled.append(pd.DataFrame({"unique_id": name, "ds": grid, "y": cells.to_numpy()}))
    return pd.concat(filled)


def forecast(runner: StatsForecast, past: pd.DataFrame, steps: int, name: str) -> pd.DataFrame:
    """Forecast all series from one origin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = runner.forecast(df=past, h=steps, level=[INSIDE])
    column = next(one for one in found.columns if one not in ("unique_id", "ds") and "-" not in one)
    return pd.DataFrame(
        {
            "model": name,
            "series_id": found["unique_id"],
            "timestamp": found["ds"].dt.tz_localize("UTC").astype("datetime64[us, UTC]"),
            "value": found[column],
            "q0.1": found[f"{column}-lo-{INSIDE}"],
            "q0.9": found[f"{column}-hi-{INSIDE}"],
        }
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
