"""Reading series: order, gaps, missing values, and what is refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recency.data.vocab import Vocab
from recency.errors import DataError, DataWarning
from recency.sequences.series import Series, read_series
from tests.sequences.conftest import HOUR, START, frame_of

# A busy machine is no fault of the code.
PATIENT = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_series_are_sorted_by_time_whatever_the_order_of_rows():
    first = frame_of("a", START + np.array([2, 0, 1]) * HOUR, [3, 1, 2])
    second = frame_of("b", [START], [9])
    names = Vocab()
    series = read_series(pl.concat([first[:1], second, first[1:]]), names)
    assert names.ids.to_list() == ["a", "b"]
    assert series.values.tolist() == [1, 2, 3, 9]
    assert series.lengths.tolist() == [3, 1]
    assert (np.diff(series.times[:3]) == HOUR).all()


def test_ids_may_be_integers_and_times_numbers_or_text():
    names = Vocab(pl.Int64)
    frame = pl.DataFrame(
        {"series_id": [7, 7], "timestamp": [1_767_225_600, 1_767_229_200], "value": [1, 2]}
    )
    assert read_series(frame, names).times.tolist() == [START, START + HOUR]
    text = frame.with_columns(timestamp=pl.Series(["2026-01-01T00:00Z", "2026-01-01T01:00Z"]))
    assert read_series(text, names).times.tolist() == [START, START + HOUR]


def test_missing_values_are_counted_and_become_gaps():
    frame = frame_of("a", START + np.arange(4) * HOUR, [1.0, np.nan, 2.0, 3.0])
    frame = frame.with_columns(
        value=pl.when(pl.col("value") == 3).then(None).otherwise(pl.col("value"))
    )
    with pytest.warns(DataWarning, match="2 of 4 values are missing .* read as a gap"):
        series = read_series(frame, Vocab())
    assert series.times.tolist() == [START, START + 2 * HOUR]


def test_two_values_at_one_instant_are_refused_by_name():
    frame = frame_of("a", [START, START], [1.0, 2.0])
    with pytest.raises(DataError, match="2 rows that share theirs .*'a' at 2026-01-01T00:00:00Z"):
        read_series(frame, Vocab())


def test_missing_columns_are_reported_together():
    with pytest.raises(DataError, match="no 'timestamp'.*\n.*no 'value'"):
        read_series(pl.DataFrame({"series_id": ["a"]}), Vocab())


def test_faults_of_rows_are_reported_together_and_nothing_is_added():
    frame = frame_of("a", [START, START + HOUR], [1.0, np.inf]).with_columns(
        series_id=pl.Series([None, "a"])
    )
    names = Vocab()
    with pytest.raises(DataError, match="series_id is missing in 1 of 2.*\n.*infinite in 1 of 2"):
        read_series(frame, names)
    assert not len(names)


def test_words_are_no_values_and_numbers_no_texts():
    frame = frame_of("a", [START], [1.0])
    with pytest.raises(DataError, match="expected numbers in the column 'value', found String"):
        read_series(frame.with_columns(value=pl.lit("x")), Vocab())
    with pytest.raises(DataError, match="expected series_id as String, found Int64"):
        read_series(frame.with_columns(series_id=pl.lit(1, pl.Int64)), Vocab())


@PATIENT
@given(st.lists(st.sets(st.integers(0, 30), max_size=9), min_size=1, max_size=5))
def test_the_newest_value_as_of_an_instant_is_found(drawn):
    times = [sorted(one) for one in drawn]
    lengths = [len(one) for one in times]
    flat = np.array([time for one in times for time in one], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    series = Series(offsets, flat, np.zeros(len(flat)))
    if not len(flat):
        return
    owners = np.repeat(np.arange(len(lengths)), 33)
    instants = np.tile(np.arange(-1, 32), len(lengths))
    for owner, instant, found in zip(owners, instants, series.as_of(owners, instants), strict=True):
        earlier = [n for n, time in enumerate(times[owner]) if time <= instant]
        assert found == (offsets[owner] + earlier[-1] if earlier else -1)


@PATIENT
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 6))
def test_series_extended_piece_by_piece_are_the_whole(lengths, cut):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.arange(n) for n in lengths]).astype(np.int64)
    whole = Series(offsets, times, np.arange(len(times), dtype=float))
    later = whole.only(whole.times >= cut)
    again = whole.before(cut).extended(later)
    for name in ("offsets", "times", "values"):
        assert np.array_equal(getattr(again, name), getattr(whole, name))
