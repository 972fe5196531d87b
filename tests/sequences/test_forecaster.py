"""The forecaster: known truths, no leak, the same answer however values arrive, and messages."""

import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recency as rc
from recency.data.vocab import Vocab
from recency.errors import (
    ConfigError,
    DataError,
    DataWarning,
    FormatError,
    NotFittedError,
    UnknownIdError,
)
from recency.sequences.windows import reading_of
from tests.sequences.conftest import HOUR, START, frame_of, waves


def again(model: rc.Forecaster, folder) -> rc.Forecaster:
    """A copy that may be changed."""
    model.save(folder)
    return rc.Forecaster.load(folder)


def errors(found: pl.DataFrame, truth: pl.DataFrame) -> np.ndarray:
    both = truth.join(found, on=["series_id", "timestamp"], suffix="_found")
    assert len(both) == len(truth)
    return (both["value"] - both["value_found"]).abs().to_numpy()


def naive(past: pl.DataFrame, truth: pl.DataFrame, back: int) -> np.ndarray:
    return errors(past.with_columns(pl.col("timestamp") + pl.duration(hours=back)), truth)


# --- known truths ----------------------------------------------------------------------------


def test_a_repeated_day_is_forecast_better_than_by_repeating_the_last(learned):
    frame = waves(noise=0.1, days=13)
    past, future = (
        frame.filter(pl.col("timestamp") < _at(12)),
        frame.filter(pl.col("timestamp") >= _at(12)),
    )
    found = learned.forecast()
    assert found["timestamp"].n_unique() == 24
    # Repeating the last day has two noises in it, the best forecast one: a share of .71.
    assert errors(found, future).mean() < 0.9 * naive(past, future, 24).mean()


@pytest.mark.slow
def test_a_walk_is_forecast_by_its_last_value_and_its_interval_holds(quick):
    rng = np.random.default_rng(1)
    n = 400
    walks = [
        frame_of(f"w{at}", START + np.arange(n) * HOUR, 50 + np.cumsum(rng.normal(size=n)))
        for at in range(6)
    ]
    frame = pl.concat(walks)
    model = rc.Forecaster(rc.GRU(dim=16), horizon="6h", training=quick)
    model.fit(frame.filter(pl.col("timestamp") < START_TIME + pl.duration(hours=300)))
    held, ours, plain = [], [], []
    for hour in range(300, n - 6, 6):
        truth = _hours(frame, hour, hour + 6)
        found = model.forecast(every="1h")
        both = truth.join(found, on=["series_id", "timestamp"], suffix="_f")
        held.append(both.select(pl.col("value").is_between("q0.1", "q0.9").mean()).item())
        ours.append(errors(found, truth).mean())
        last = _hours(frame, hour - 1, hour).drop("timestamp")
        plain.append(
            (truth.join(last, on="series_id"))
            .select((pl.col("value") - pl.col("value_right")).abs().mean())
            .item()
        )
        model.observe(truth)
    assert np.mean(ours) < 1.1 * np.mean(plain)  # nothing can do better than 1.0
    assert 0.65 < np.mean(held) < 0.92  # of 0.8


@pytest.mark.slow
def test_time_counts_and_not_the_number_of_values():
    """A level that returns half-way to 50 in six hours, seen now and then.

    The forecast after w hours is 50 + (newest - 50) / 2^(w / 6), however often it is seen.
    """
    rng = np.random.default_rng(2)
    frames, newest = [], []
    for at in range(8):
        gaps = rng.exponential(3, size=200).clip(0.1, 40)
        level, values = 50.0, []
        for left in 0.5 ** (gaps / 6):
            level = 50 + (level - 50) * left + 10 * np.sqrt(1 - left**2) * rng.normal()
            values.append(level)
        times = START + (np.cumsum(gaps) * HOUR).astype(np.int64)
        frames.append(frame_of(f"d{at}", times, values))
        newest.append((f"d{at}", int(times[-1]), level))
    config = rc.TrainConfig(epochs=8, max_len=50, tokens=400, lr=1e-2)
    model = rc.Forecaster(rc.Tide(dim=16), horizon="1d", training=config).fit(pl.concat(frames))
    waits = np.array([1, 6, 20])
    ours, last, mean = [], [], []
    for name, at, value in newest:
        truth = 50 + (value - 50) * 0.5 ** (waits / 6)
        found = model.forecast([name], instants=[at + int(w) * HOUR for w in waits])["value"]
        ours.append(np.abs(found.to_numpy() - truth).mean())
        last.append(np.abs(value - truth).mean())
        mean.append(np.abs(50 - truth).mean())
    assert np.mean(ours) < 0.6 * min(np.mean(last), np.mean(mean))


# --- contracts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder",
    [rc.Tide(dim=8), rc.LSTM(dim=8), rc.TimeLSTM(dim=8), rc.Transformer(dim=8, window=10)],
    ids=lambda one: type(one).__name__,
)
def test_values_one_by_one_and_at_once_make_the_same_memory(encoder, tmp_path):
    config = rc.TrainConfig(epochs=1, max_len=24)
    frame = waves(n_series=3, days=4, noise=0.1)
    model = rc.Forecaster(encoder, horizon="12h", lags=("1d",), training=config)
    model.fit(frame.filter(pl.col("timestamp") < _at(3)))
    later = frame.filter(pl.col("timestamp") >= _at(3))
    ragged = later.filter((pl.col("series_id") != "s1") | (pl.col("timestamp") < _at(3.3)))
    single = again(model, tmp_path)
    assert model.observe(ragged) == len(ragged)
    for _, part in ragged.sort("timestamp").group_by("timestamp", maintain_order=True):
        single.observe(part)
    one, other = model.forecast(every="1h"), single.forecast(every="1h")
    assert one["timestamp"].equals(other["timestamp"])
    for name in ("value", "q0.1", "q0.9"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-4)


def test_step_is_forward(learned):
    model, memories = learned._fitted
    offsets = memories.signals.series.offsets
    reading = reading_of(memories.signals, offsets[:-1], offsets[:-1] + 30)
    with torch.no_grad():
        outputs, last = model(reading)
        state = model.initial_state(len(outputs))
        for column in range(30):
            state = model.step(reading.part(slice(None), slice(column, column + 1)), state)
            torch.testing.assert_close(
                model.outputs_of(state), outputs[:, column], rtol=0, atol=1e-5
            )
    torch.testing.assert_close(state, last, rtol=0, atol=1e-5)


def test_a_fit_repeats_bit_by_bit_and_the_seed_changes_it(quick):
    frame = waves(n_series=2, days=4)

    def found(seed):
        config = replace(quick, epochs=2)
        model = rc.Forecaster(rc.GRU(dim=8), training=config, seed=seed)
        return model.fit(frame).forecast()["value"].to_numpy()

    assert np.array_equal(found(0), found(0))
    assert not np.array_equal(found(0), found(1))


def test_units_of_the_search_know_nothing_of_the_newest_slice(quick):
    """Spoil the newest tenth: the first epoch of the search learns the same."""
    frame = waves(n_series=2, days=6)
    spoiled = frame.with_columns(
        value=pl.when(pl.col("timestamp") >= _at(5.4)).then(1e6).otherwise(pl.col("value"))
    )

    def first_loss(of):
        config = replace(quick, epochs=1)
        learned = rc.Forecaster(rc.GRU(dim=8), training=config).fit(of).learned
        assert learned is not None
        return learned.history[0][1]

    assert first_loss(frame) == first_loss(spoiled)


def test_a_saved_forecaster_answers_and_goes_on_as_the_one_before(learned, tmp_path):
    one, other = again(learned, tmp_path / "a"), again(learned, tmp_path / "b")
    assert one.forecast().equals(learned.forecast())
    more = waves(noise=0.1, days=13).filter(pl.col("timestamp") >= _at(12))
    one.observe(more)
    other.observe(more)
    assert one.forecast().equals(other.forecast())
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_series_never_learned_from_joins_by_its_values(learned, tmp_path):
    model = again(learned, tmp_path)
    stranger = waves(n_series=1, days=8, seed=9).with_columns(series_id=pl.lit("new"))
    day, size = _at(7), np.ptp(stranger["value"].to_numpy())
    model.observe(stranger.filter(pl.col("timestamp") < day))
    truth = stranger.filter(pl.col("timestamp") >= day)
    assert errors(model.forecast(["new"]), truth).mean() < 0.1 * size


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0.01, 1e4), st.floats(-1e4, 1e4), st.integers(0, 2**20))
def test_a_series_in_other_units_has_the_same_forecast_in_these(learned, factor, shift, seed):
    rng = np.random.default_rng(seed)
    times = START + np.sort(rng.choice(500, 40, replace=False)) * HOUR
    values = rng.normal(size=40).cumsum()
    model, memories = learned._fitted
    found = {}
    for name, cells in (("plain", values), ("other", values * factor + shift)):
        one = rc.Forecaster(rc.GRU(dim=16), horizon="24h", lags=("1d",))
        one._fitted = model, replace(memories, names=Vocab.from_ids(memories.names.ids))
        one.observe(frame_of(name, times, cells))
        found[name] = one.forecast([name], every="3h").select("value", "q0.1", "q0.9").to_numpy()
    expected = found["plain"] * factor + shift
    np.testing.assert_allclose(found["other"], expected, rtol=1e-3, atol=1e-3 * factor * 10)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 20_000))
def test_quantiles_never_cross(learned, minutes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = learned.forecast(instants=[START + 12 * 24 * HOUR + minutes * 60_000_000])
    assert (found["q0.1"] <= found["value"]).all() and (found["value"] <= found["q0.9"]).all()


# --- messages --------------------------------------------------------------------------------


def test_impossible_arguments_are_refused_together():
    with pytest.raises(ConfigError) as told:
        rc.Forecaster(horizon=0, lags=("1d", "24h"), quantiles=(0.9, 0.1), time_zone="Mars")
    for part in ("horizon", "lags", "quantiles", "Mars"):
        assert part in str(told.value)


def test_settings_of_recommenders_are_refused():
    with pytest.raises(ConfigError, match="negatives=5.*changes nothing here"):
        rc.Forecaster(training=rc.TrainConfig(loss="sampled", negatives=5))


def test_nothing_is_forecast_before_a_fit(tmp_path):
    for call in (rc.Forecaster().forecast, lambda: rc.Forecaster().save(tmp_path)):
        with pytest.raises(NotFittedError, match="call fit"):
            call()


def test_series_with_nothing_to_learn_from_are_refused():
    lonely = frame_of("a", [START, START + 60 * 24 * HOUR], [1.0, 2.0])
    with pytest.raises(DataError, match="within the horizon of 1 d .*none among 2 values"):
        rc.Forecaster().fit(lonely)


def test_a_lag_longer_than_every_series_is_warned_of(quick):
    with pytest.warns(DataWarning, match="lag of 30 d is longer .* spans 1.96 d"):
        rc.Forecaster(rc.GRU(dim=4), lags=("30d",), training=quick).fit(waves(1, days=2))


def test_too_little_to_judge_on_is_noted(quick):
    learned = rc.Forecaster(rc.GRU(dim=4), training=quick).fit(waves(1, days=1)[:10]).learned
    assert learned is not None and learned.valid is None
    assert "too few to judge epochs on" in learned.notes[0]


def test_strangers_are_named(learned):
    with pytest.raises(UnknownIdError, match="1 of 2 series were never seen: 'nobody'"):
        learned.forecast(["s0", "nobody"])


def test_instants_in_the_past_and_beyond_the_horizon(learned):
    with pytest.raises(DataError, match="found 2026-01-02T00:00:00Z for series 's0', known up to"):
        learned.forecast(["s0"], instants=["2026-01-02"])
    with pytest.warns(DataWarning, match="asked up to 3 d ahead; training saw 1 d"):
        learned.forecast(["s0"], "3d")


def test_grids_that_make_no_sense_are_refused(learned, tmp_path):
    with pytest.raises(ConfigError, match="either instants, or horizon and every"):
        learned.forecast(["s0"], "1d", instants=["2026-02-01"])
    for every in (0, "2d"):
        with pytest.raises(ConfigError, match="every so often within the horizon"):
            learned.forecast(["s0"], every=every)
    model = again(learned, tmp_path)
    model.observe(frame_of("single", [START], [1.0]))
    with pytest.raises(ConfigError, match="'single' has a single value"):
        model.forecast()
    assert len(model.forecast(["single"], "2h", every="1h")) == 2


def test_late_values_are_left_out_and_counted(learned, tmp_path):
    model = again(learned, tmp_path)
    with pytest.warns(DataWarning, match="1 of 2 values lie at or before the newest"):
        taken = model.observe(frame_of("s0", [START, START + 12 * 24 * HOUR], [1.0, 2.0]))
    assert taken == 1


def test_folders_are_told_apart(learned, tmp_path):
    learned.save(tmp_path)
    with pytest.raises(FormatError, match="found a Forecaster; read it with recency.Forecaster"):
        rc.load(tmp_path)
    with pytest.raises(FormatError, match="expected a SequenceClassifier .* found a Forecaster"):
        rc.SequenceClassifier.load(tmp_path)


START_TIME = pl.lit(START).cast(pl.Datetime("us", "UTC"))


def _at(day: float) -> pl.Expr:
    return pl.lit(START + round(day * 24) * HOUR).cast(pl.Datetime("us", "UTC"))


def _hours(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    hour = (pl.col("timestamp") - START_TIME).dt.total_hours()
    return frame.filter((hour >= first) & (hour < last))
