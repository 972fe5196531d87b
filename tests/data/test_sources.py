import gzip
import io
from pathlib import Path

import polars as pl
import pytest

from recency.data.reading.sources import open_source
from recency.errors import ConfigError, DataError

TABLE = pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "timestamp": [10, 20]})
TEXT = "user_id,item_id,timestamp\n1,a,10\n2,b,20\n"


def write(path: Path, text: str = TEXT) -> Path:
    path.write_text(text)
    return path


def test_only_the_columns_asked_for_are_taken(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "events.csv"))
    assert source.columns == ("user_id", "item_id", "timestamp")
    taken = source.take(["timestamp", "user_id"])
    assert taken.columns == ["timestamp", "user_id"]
    assert taken.dtypes == [pl.String, pl.String]  # text until all values were seen


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_told_from_the_first_line(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path / "events.csv", TEXT.replace(",", separator))
    assert open_source(path).take(["item_id"])["item_id"].to_list() == ["a", "b"]


def test_a_separator_may_have_several_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "ratings.csv", "1::a::10\n2::b::20\n")
    source = open_source(path, separator="::", names=["user_id", "item_id", "timestamp"])
    assert source.take(source.columns).rows() == [("1", "a", "10"), ("2", "b", "20")]
    broken = open_source(write(tmp_path / "b.csv", "a::b\n1::2::3\n1::2\n"), separator="::")
    assert broken.take(["a", "b"]).rows() == [(None, None), ("1", "2")]
    headed = open_source(write(tmp_path / "h.csv", TEXT.replace(",", "::")), separator="::")
    assert headed.take(["item_id"])["item_id"].to_list() == ["a", "b"]


def test_compressed_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    assert open_source(path).take(["item_id"]).height == 2
    lines = '{"user_id": 1, "item_id": "a", "timestamp": 1}\n'
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    assert open_source(path).take(["item_id"]).height == 1


def test_zstd_text_is_read(tmp_path: Path) -> None:
    zstd = pytest.importorskip("cramjam").zstd
    path = tmp_path / "events.tsv.zst"
    path.write_bytes(bytes(zstd.compress(TEXT.replace(",", "\t").encode())))
    assert open_source(path).take(["item_id"]).height == 2
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="cut off: the compressed data end early"):
        open_source(path).take(["item_id"])


def test_a_recbole_file_loses_the_types_of_its_header(tmp_path: Path) -> None:
    text = "item_id:token\ttitle:token_seq\tprice:float\n7\tGreen Tea\t1.5\n"
    source = open_source(write(tmp_path / "shop.item", text))
    assert source.columns == ("item_id", "title", "price")
    assert source.take(source.columns).row(0) == ("7", ["Green", "Tea"], "1.5")


def test_a_folder_of_parquet_files_is_one_table_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "day=2").mkdir()
    TABLE.with_columns(user_id=pl.lit(9, pl.Int64)).write_parquet(
        tmp_path / "day=2" / "part-0.parquet"
    )
    TABLE.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "_SUCCESS").touch()
    source = open_source(tmp_path)
    assert source.columns == tuple(TABLE.columns)
    assert source.take(["user_id"])["user_id"].to_list() == [1, 2, 9, 9]


def test_a_folder_of_different_tables_is_refused(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "events.parquet")
    TABLE.select("item_id").write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match=r"different columns: events.parquet .*items.parquet"):
        open_source(tmp_path)


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no .parquet file"):
        open_source(tmp_path)


def test_parts_may_differ_in_order_and_width(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "a.parquet")
    narrow = TABLE.cast({"user_id": pl.Int32}).select("timestamp", "item_id", "user_id")
    narrow.write_parquet(tmp_path / "b.parquet")
    assert open_source(tmp_path).take(["user_id"])["user_id"].to_list() == [1, 2, 1, 2]


def test_a_line_with_too_many_fields_never_shifts_columns(tmp_path: Path) -> None:
    text = "user_id,title,item_id,timestamp\n1,tea,7,10\n2,green, hot,8,20\n"
    with pytest.raises(DataError, match="more fields than the first line. Check the separator"):
        open_source(write(tmp_path / "events.csv", text)).take(["user_id", "item_id"])


def test_an_arrow_file_is_read(tmp_path: Path) -> None:
    TABLE.write_ipc(tmp_path / "events.arrow")
    assert open_source(tmp_path / "events.arrow").take(["user_id"])["user_id"].to_list() == [1, 2]


def test_ndjson_sees_fields_that_appear_late(tmp_path: Path) -> None:
    lines = '{"a": 1}\n' * 300 + '{"a": "x", "b": 2}\n'
    source = open_source(write(tmp_path / "events.ndjson", lines))
    assert source.columns == ("a", "b")
    assert source.take(["a"])["a"].to_list()[-2:] == ["1", "x"]


def test_an_open_file_is_ndjson_unless_said(tmp_path: Path) -> None:
    stream = io.BytesIO(b'{"user_id": 1}\n{"user_id": 2}\n')
    assert open_source(stream).take(["user_id"])["user_id"].to_list() == [1, 2]
    csv = open_source(io.BytesIO(TEXT.encode()), format="csv")
    assert csv.take(["item_id"])["item_id"].to_list() == ["a", "b"]
    with pytest.raises(DataError, match=r"the open file is empty \(0 bytes\)"):
        open_source(io.BytesIO(b""))
    with pytest.raises(ConfigError, match="opened in binary mode"):
        open_source(io.StringIO(TEXT))


@pytest.mark.parametrize("kind", ["eager", "lazy", "pandas", "arrow", "dicts"])
def test_frames_of_every_kind(kind: str) -> None:
    source = {
        "eager": lambda: TABLE,
        "lazy": TABLE.lazy,
        "pandas": TABLE.to_pandas,
        "arrow": TABLE.to_arrow,
        "dicts": TABLE.to_dicts,
    }[kind]()
    taken = open_source(source).take(["item_id", "timestamp"])
    assert taken.rows() == [("a", 10), ("b", 20)]


def test_python_objects_of_several_kinds_become_text() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": [1, "x", None], "other": [object(), 1, 2]})
    assert open_source(frame).take(["user_id"])["user_id"].to_list() == ["1", "x", None]
    rows = [{"user_id": 1}, {"user_id": "x"}, {}]
    assert open_source(rows).take(["user_id"])["user_id"].to_list() == ["1", "x", None]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a path, an open file.* found int"):
        open_source(3)
    with pytest.raises(ConfigError, match="are for files; this source is a DataFrame"):
        open_source(TABLE, format="csv")
    with pytest.raises(ConfigError, match="unknown format 'xls'; known: csv, tsv"):
        open_source("events.xls", format="xls")  # type: ignore[arg-type]  # on purpose


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file '.*nothing.csv'"):
        open_source(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match=r"is empty \(0 bytes\)"):
        open_source(write(tmp_path / "empty.csv", ""))


def test_an_unknown_suffix_says_what_to_do(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "events.dat")
    with pytest.raises(DataError, match=r"by its suffix.* looks like Parquet. Pass format= one"):
        open_source(tmp_path / "events.dat")
    assert open_source(tmp_path / "events.dat", format="parquet").columns == tuple(TABLE.columns)
    with pytest.raises(DataError, match="known suffixes: .csv, .tsv"):
        open_source(write(tmp_path / "events"))


def test_a_wrong_suffix_is_seen_before_reading(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "events.csv")
    with pytest.raises(DataError, match="expected csv text, found Parquet"):
        open_source(tmp_path / "events.csv")
    with pytest.raises(DataError, match="expected a Parquet file, found something else"):
        open_source(write(tmp_path / "events.parquet"))
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(DataError, match="found zip or Excel.* export it"):
        open_source(tmp_path / "book.csv")


def test_truncated_files_are_named_as_such(tmp_path: Path) -> None:
    packed = gzip.compress((TEXT * 500).encode())
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"cut.csv.gz: it is cut off: the compressed data"):
        open_source(tmp_path / "cut.csv.gz").take(["user_id"])
    TABLE.write_parquet(tmp_path / "cut.parquet")
    content = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) - 20])
    with pytest.raises(DataError, match=r"cut.parquet: it is cut off: a Parquet file ends with"):
        open_source(tmp_path / "cut.parquet")


def test_broken_text_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more fields than the first line. Check the separator"):
        open_source(write(tmp_path / "r.csv", "a,b\n1,2\n1,2,3\n")).take(["a"])
    (tmp_path / "latin.csv").write_bytes("user_id,item_id\n1,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8. Convert it"):
        open_source(tmp_path / "latin.csv").take(["item_id"])
    with pytest.raises(DataError, match="expected one JSON object a line"):
        open_source(write(tmp_path / "array.ndjson", '[{"a": 1}, {"a": 2}]'))
    with pytest.raises(DataError, match="a line is no complete JSON object"):
        open_source(write(tmp_path / "cut.ndjson", '{"a": 1}\n{"a": "x\n')).take(["a"])


def test_names_must_fit_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "u.tsv", "1\ta\t10\n")
    with pytest.raises(DataError, match=r"each of the 3 columns.* found 2: user, item.* '1\\ta"):
        open_source(path, names=["user", "item"])
    TABLE.write_parquet(tmp_path / "e.parquet")
    with pytest.raises(ConfigError, match="names and separator are for text files"):
        open_source(tmp_path / "e.parquet", names=["a", "b", "c"])
