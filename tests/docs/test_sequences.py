"""The exams of benchmarks/sequences ask what they say, and measure by hand-made numbers."""

import polars as pl
import pytest

from benchmarks.sequences.exams import KEYS, Exam, counts, errors, prices


@pytest.mark.parametrize(
    "exam", [counts(0), counts(0, missing=0.3), prices(0)], ids=lambda e: e.name
)
def test_windows_follow_each_other_and_hold_every_target(exam):
    parts = [exam.between(*window) for window in exam.windows()]
    assert pl.concat(parts).sort(KEYS).equals(exam.future.sort(KEYS))
    assert exam.past["timestamp"].max() < exam.future["timestamp"].min()
    assert len(errors(exam, exam.best)) == 12


def small() -> Exam:
    """Two series of four values, the last two of which are asked for."""
    frame = pl.DataFrame(
        {
            "series_id": ["a"] * 4 + ["b"] * 4,
            "timestamp": pl.Series([1, 2, 3, 4] * 2).cast(pl.Datetime("us", "UTC")),
            "value": [1.0, 3.0, 4.0, 8.0, 10.0, 20.0, 20.0, 20.0],
        }
    )
    return Exam("small", frame, frame, "itself", (3,), 5, "1d", (), None, "B", ())


def test_errors_are_in_units_of_the_naive_error_of_the_past():
    exam = small()
    found = exam.future.with_columns(pl.col("value") + pl.Series([1.0, 3.0, 5.0, 5.0]))
    result = errors(exam, found)
    assert result["mae"].to_list() == [2.0, 5.0]
    assert result["mase"].to_list() == [1.0, 0.5]
    inside = found.with_columns(
        pl.Series("q0.1", [0.0, 9.0, 0.0, 0.0]), pl.Series("q0.9", [9.0, 9.5, 25.0, 25.0])
    )
    assert errors(exam, inside)["inside"].to_list() == [0.5, 1.0]


def test_missing_hours_change_the_unit_of_errors_little():
    """A season is counted in hours, not in rows."""
    whole, holed = (errors(one, one.best) for one in (counts(0), counts(0, missing=0.3)))
    assert holed["unit"].to_list() == pytest.approx(whole["unit"].to_list(), rel=0.1)


def test_a_forecast_that_is_left_out_is_no_forecast():
    exam = small()
    with pytest.raises(SystemExit, match="expected 4 forecasts, found 3"):
        errors(exam, exam.future[:3])
