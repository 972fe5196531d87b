from datetime import date

import polars as pl
import pytest

from recency.data.conversion import (
    MAX_ID_LENGTH,
    to_ids,
    to_lists,
    to_natural,
    to_numbers,
    to_text,
)
from recency.errors import DataError


def ids(values: list[object], *, is_text: bool = True) -> tuple[pl.Series, list[str], list[str]]:
    raw = pl.Series("c", values, dtype=pl.String if is_text else None, strict=False)
    column = to_ids(raw, "user_id", is_text=is_text)
    return column.values, [str(one) for one in column.faults], list(column.notes)


def test_text_becomes_integers_only_if_every_value_is_one() -> None:
    assert ids(["1", "-20", "0"])[0].to_list() == [1, -20, 0]
    values, faults, notes = ids(["1", "x", "3"])
    assert values.to_list() == ["1", "x", "3"]
    assert not faults
    assert notes == ["user_id: 2 of 3 are integers, the others text such as 'x'; all read as text"]


@pytest.mark.parametrize("odd", ["007", "+7", " 7", "99999999999999999999"])
def test_text_that_only_resembles_an_integer_stays_text(odd: str) -> None:
    assert ids([odd, "7"])[0].to_list() == [odd, "7"]


def test_text_of_a_typed_source_stays_text() -> None:
    assert ids(["1", "2"], is_text=False)[0].dtype == pl.String


def test_floats_without_fraction_are_integers_and_said_so() -> None:
    note = "user_id: the column holds floats without fraction; read as integers"
    assert ids(["1.0", "2.0"])[0].to_list() == [1, 2]
    assert ids(["1.0", "2.0"])[2] == [note]
    assert ids([1.0, 2.0], is_text=False)[0].to_list() == [1, 2]
    assert ids([1.0, 2.0], is_text=False)[2] == [note]


def test_missing_and_broken_ids_are_faults() -> None:
    values, faults, _ = ids(["a", None, "", "  "])
    assert values.to_list() == ["a", None, None, None]
    assert faults == ["user_id is missing in 3 of 4 rows (first: row 2)"]
    _, faults, _ = ids([1.0, None, float("nan"), 2.5, float("inf")], is_text=False)
    assert faults == [
        "user_id is missing in 2 of 5 rows (first: row 2)",
        "user_id is no whole number in 2 of 5 rows (first: row 4: 2.5)",
    ]
    assert ids([None, None], is_text=False)[1] == [
        "user_id is missing in 2 of 2 rows (first: row 1)"
    ]


def test_a_million_characters_are_no_id() -> None:
    values, faults, _ = ids(["a" * 1_000_000, "é" * MAX_ID_LENGTH])
    assert values.to_list() == [None, "é" * MAX_ID_LENGTH]
    assert len(faults) == 1 and len(faults[0]) < 200
    assert faults[0].startswith("user_id is longer than 1,024 characters in 1 of 2 rows (first:")


def test_integers_beyond_64_bits_become_text() -> None:
    raw = pl.Series("c", [2**63 + 5, 1], dtype=pl.UInt64)
    column = to_ids(raw, "user_id", is_text=False)
    assert column.values.to_list() == ["9223372036854775813", "1"]
    assert column.notes == ("user_id: 1 of 2 integers exceed 64 bits signed; all read as text",)


def test_other_types_of_ids() -> None:
    assert to_ids(pl.Series(["a", "b"], dtype=pl.Categorical), "u", is_text=False).values.to_list()
    decimal = pl.Series(["12", "13"]).cast(pl.Decimal(10, 0))
    assert to_ids(decimal, "u", is_text=False).values.to_list() == [12, 13]
    for series in (pl.Series("c", [True]), pl.Series("c", [date(2026, 1, 1)])):
        with pytest.raises(DataError, match="expected user_id as integers or text, found .* 'c'"):
            to_ids(series, "user_id", is_text=False)


def test_numbers_count_what_is_none() -> None:
    column = to_numbers(pl.Series("v", ["1", " 2.5 ", "x", "", None, "inf"]), "value")
    assert column.values.to_list() == [1.0, 2.5, None, None, None, None]
    assert column.notes == (
        "value is no finite number in 2 of 6 rows (first: row 3: 'x'); kept as missing",
    )
    assert to_numbers(pl.Series([True, False]), "value").values.to_list() == [1.0, 0.0]
    with pytest.raises(DataError, match="expected value as numbers, found Date"):
        to_numbers(pl.Series("v", [date(2026, 1, 1)]), "value")


def test_words_and_lists() -> None:
    assert to_text(pl.Series([1.0, None]), "t").to_list() == ["1", None]
    assert to_text(pl.Series([1.5]), "t").to_list() == ["1.5"]
    assert to_text(pl.Series([["Green", "Tea"]]), "t").to_list() == ["Green Tea"]
    with pytest.raises(DataError, match="expected t as text, found Struct"):
        to_text(pl.Series([{"a": 1}]), "t")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a|b, c", "d"], [["a", "b, c"], ["d"]]),
        (["a; b", ""], [["a", "b"], None]),
        (["a, b", None], [["a", "b"], None]),
        ([["a ", ""], []], [["a"], None]),
    ],
)
def test_categories_are_parted(values: list[object], expected: list[object]) -> None:
    assert to_lists(pl.Series(values), "categories").to_list() == expected


def test_categories_of_another_type_are_refused() -> None:
    with pytest.raises(DataError, match="expected categories as text or lists, found Float64"):
        to_lists(pl.Series("c", [1.5]), "categories")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", None, "2"], pl.Int64),
        (["1.5", "2"], pl.Float64),
        (["007"], pl.String),
        (["inf"], pl.String),
        (["x", "1"], pl.String),
        ([None], pl.String),
    ],
)
def test_context_gets_the_narrowest_type_that_loses_nothing(
    values: list[str | None], expected: type[pl.DataType]
) -> None:
    assert to_natural(pl.Series(values, dtype=pl.String)).dtype == expected
