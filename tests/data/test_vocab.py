import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.vocab import Vocab
from recency.errors import DataError


def test_rows_follow_first_appearance() -> None:
    vocab = Vocab.from_ids(pl.Series(["b", "a", "b", "c"]))
    assert vocab.ids.to_list() == ["b", "a", "c"]
    assert vocab.rows(["a", "b", "?"]).tolist() == [1, 0, -1]
    assert vocab.rows(pl.Series(["c", "?", None, "b"])).tolist() == [2, -1, -1, 0]
    assert (vocab.row("c"), vocab.row("?"), vocab.id_of(2), vocab.take([2, 0])) == (
        2,
        -1,
        "c",
        ["c", "b"],
    )
    assert "a" in vocab and "?" not in vocab


@given(st.lists(st.lists(st.integers(-5, 20))))
def test_a_row_once_given_never_moves(parts: list[list[int]]) -> None:
    vocab = Vocab(pl.Int64)
    rows: dict[int, int] = {}
    for n, part in enumerate(parts):
        ids = pl.Series(part, dtype=pl.Int64) if n % 2 else part
        for one, row in zip(part, vocab.extend(ids).tolist(), strict=True):
            assert rows.setdefault(one, row) == row
        assert vocab.rows(list(rows)).tolist() == list(rows.values())
    assert len(vocab) == len(rows)
    again = Vocab.from_frame(vocab.to_frame())
    assert again.ids.equals(vocab.ids) and again.dtype == vocab.dtype


LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    "ids",
    [
        [7, -3, 5],  # close together: looked up in a table
        [LARGEST, LARGEST - 2, LARGEST - 9],
        [-(2**63), 1 - 2**63],
        [0, 10**12, -(10**15)],  # far apart: joined
        [4],
        [],
    ],
)
def test_integers_are_found_wherever_they_lie(ids: list[int]) -> None:
    vocab = Vocab.from_ids(pl.Series(ids, dtype=pl.Int64))
    asked = [*ids, 6, LARGEST, -(2**63), LARGEST - 1, *ids]
    expected = [ids.index(one) if one in ids else -1 for one in asked]
    assert vocab.rows(pl.Series(asked)).tolist() == expected
    assert vocab.rows(pl.Series([None, *asked], dtype=pl.Int64)).tolist() == [-1, *expected]
    assert vocab.rows(asked).tolist() == expected


def test_single_ids_and_columns_may_come_in_any_turn() -> None:
    vocab = Vocab.from_ids(pl.Series(["a"]))
    assert vocab.extend(pl.Series(["b", "a", "b"])).tolist() == [1, 0, 1]  # before any look-up
    assert vocab.extend(["c", "a", "c"]).tolist() == [2, 0, 2]
    assert vocab.extend(pl.Series(["d", "c"])).tolist() == [3, 2]
    assert vocab.extend(["e"]).tolist() == [4]
    assert vocab.ids.to_list() == vocab.take(range(5)) == ["a", "b", "c", "d", "e"]
    assert (len(vocab), vocab.row("d"), vocab.id_of(4), "e" in vocab) == (5, 3, "e", True)
    assert vocab.rows(pl.Series(["e", "f"])).tolist() == [4, -1]
    with pytest.raises(DataError, match=r"ids of this log are text, found \[None\]"):
        vocab.extend(pl.Series(["g", None]))


def test_ids_from_the_wire_take_the_type_of_the_log() -> None:
    numbers, texts = Vocab(pl.Int64), Vocab(pl.String)
    assert (numbers.coerce("42"), numbers.coerce(42)) == (42, 42)
    assert (texts.coerce("42"), texts.coerce(42)) == ("42", "42")
    for text in ("anna", "4_2", " 42", "", "٤٢", "1" * 81):
        with pytest.raises(DataError, match="ids of this log are integers, found '"):
            numbers.coerce(text)
    for large in ("1" * 30, 2**63):
        with pytest.raises(DataError, match=f"are integers of 64 bits, found {large}"):
            numbers.coerce(large)
    with pytest.raises(DataError, match="found float 1.5"):
        texts.coerce(1.5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="found bool True"):
        numbers.coerce(True)


def test_ids_of_another_type_are_refused() -> None:
    vocab = Vocab.from_ids(pl.Series([1, 2]))
    with pytest.raises(DataError, match="ids of this log are integers, found"):
        vocab.extend(["a"])
    with pytest.raises(DataError, match="expected ids of type Int64, found String"):
        vocab.rows(pl.Series(["a"]))
    with pytest.raises(DataError, match="ids of this log are text"):
        Vocab(pl.String).extend([1])
    with pytest.raises(DataError, match="expected ids as Int64 or String, found Float64"):
        Vocab.from_ids(pl.Series([1.5]))


def test_a_changed_file_is_noticed() -> None:
    with pytest.raises(DataError, match="names an id twice"):
        Vocab.from_frame(pl.DataFrame({"id": ["a", "a"]}))
