import gzip
import logging
from pathlib import Path

import polars as pl
import pytest

from recency.data.log import TIME
from recency.data.reading import read_items, read_log, read_users
from recency.data.reading.tables import ReadingReport
from recency.errors import ConfigError, DataError, DataWarning, UnitError
from recency.units import parse_instant

START = 1_767_225_600  # 2026-01-01T00:00Z in seconds
HEAD = "user_id,item_id,timestamp\n"


def csv(tmp_path: Path, text: str, name: str = "events.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def reading(source: object, **options: object) -> ReadingReport:
    reports: list[ReadingReport] = []
    read_log(source, report=reports.append, **options)  # type: ignore[arg-type]  # passed on
    return reports[0]


FRAME = pl.DataFrame(
    {
        "user_id": ["b", "a", "a"],
        "item_id": [3, 1, 2],
        "timestamp": [START + 60, START, START + 60],
        "rating": [1.0, 2.0, 3.0],
        "country": ["x", "y", "z"],
    }
)


def assert_is_frame(path: Path) -> None:
    log = read_log(path)
    assert log.events["user_id"].to_list() == ["a", "b", "a"]
    assert log.events["item_id"].to_list() == [1, 3, 2]
    assert log.start == START * 1_000_000
    assert log.events["value"].to_list() == [2.0, 1.0, 3.0]
    assert not log.has("country")


def test_the_same_log_from_every_kind_of_file(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "e.parquet")
    FRAME.write_ndjson(tmp_path / "e.ndjson")
    FRAME.write_csv(tmp_path / "e.csv")
    FRAME.write_csv(tmp_path / "e.tsv", separator="\t")
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress((tmp_path / "e.csv").read_bytes()))
    text = (tmp_path / "e.tsv").read_text()
    header = "user_id:token\titem_id:token\ttimestamp:float\trating:float\tcountry:token"
    (tmp_path / "e.inter").write_text(header + "\n" + text.partition("\n")[2])
    for name in ("e.parquet", "e.ndjson", "e.csv", "e.tsv", "e.csv.gz", "e.inter"):
        assert_is_frame(tmp_path / name)


def test_the_same_log_from_every_kind_of_frame() -> None:
    expected = read_log(FRAME).events
    for source in (FRAME.lazy(), FRAME.to_pandas(), FRAME.to_arrow(), FRAME.to_dicts()):
        assert read_log(source).events.equals(expected)


def test_types_and_columns_of_a_log() -> None:
    frame = FRAME.with_columns(event=pl.lit("view"), session=pl.lit(1.0), domain=pl.lit("shop"))
    log = read_log(frame, context=["country"])
    assert dict(log.events.schema) == {
        "user_id": pl.String,
        "item_id": pl.Int64,
        "timestamp": TIME,
        "event_type": pl.String,
        "value": pl.Float64,
        "session_id": pl.String,
        "domain": pl.String,
        "country": pl.String,
    }
    assert log.events["session_id"].to_list() == ["1"] * 3


def test_context_of_a_text_file_gets_types(tmp_path: Path) -> None:
    path = csv(tmp_path, "user,item,time,age,zip\n1,2,1767225600,30,007\n")
    log = read_log(path, context=["age", "zip"])
    assert log.events.select("age", "zip").row(0) == (30, "007")


def test_the_report_tells_what_was_guessed(tmp_path: Path) -> None:
    path = csv(tmp_path, f"customer,sku,ts,rating,junk\n1,a,{START},5,x\n1,7,{START - 1},4,y\n")
    report = reading(path)
    assert report.columns == {
        "user_id": "customer",
        "item_id": "sku",
        "timestamp": "ts",
        "value": "rating",
    }
    assert report.guessed == ("user_id", "item_id", "timestamp", "value")
    assert report.unit == "s" and report.unread == ("junk",)
    assert (report.n_rows, report.n_kept, report.dropped) == (2, 2, {})
    assert str(report) == (
        f"{path}: 2 rows\n"
        "  user_id   = customer  (guessed)\n"
        "  item_id   = sku  (guessed)\n"
        "  timestamp = ts  (guessed, unit s)\n"
        "  value     = rating  (guessed)\n"
        "  not read: junk\n"
        "  note: item_id: 1 of 2 are integers, the others text such as 'a'; all read as text\n"
        "  note: 1 of 2 rows are earlier than the row before; sorted by time, rows of equal time "
        "in the order of the source"
    )


def test_without_a_callback_the_report_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="recency"):
        read_log(FRAME)
    assert "value     = rating  (guessed)" in caplog.text


def test_unsorted_rows_are_sorted_stably() -> None:
    frame = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1],
            "item_id": [4, 9, 2, 1],
            "timestamp": [START + 1, START, START, START + 1],
        }
    )
    assert read_log(frame).events["item_id"].to_list() == [9, 2, 4, 1]


def test_bad_rows_are_an_error_that_tells_all(tmp_path: Path) -> None:
    text = f"{HEAD},a,{START}\n1,,{START}\n1,a,\n1,a,soon\n1,a,{START}\n{'u' * 2_000},a,{START}\n"
    path = csv(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_log(path)
    message = str(error.value)
    assert message.startswith(
        f"{path} has rows that cannot be used; on_bad='drop' drops and counts them."
    )
    assert "user_id is missing in 1 of 6 rows (first: row 1)" in message
    assert "user_id is longer than 1,024 characters in 1 of 6 rows (first: row 6: 'uuu" in message
    assert "item_id is missing in 1 of 6 rows (first: row 2)" in message
    assert "timestamp is missing in 1 of 6 rows (first: row 3)" in message
    assert "timestamp is no time in 1 of 6 rows (first: row 4: 'soon')" in message


def test_bad_rows_are_dropped_and_counted_on_request(tmp_path: Path) -> None:
    path = csv(tmp_path, f"{HEAD}1,a,{START}\n1,,\n2,b,{START}\n")
    report = reading(path, on_bad="drop")
    assert (report.n_rows, report.n_kept) == (3, 2)
    assert report.dropped == {"item_id is missing": 1, "timestamp is missing": 1}
    assert "  dropped: 1 rows, item_id is missing\n" in str(report)
    with pytest.warns(DataWarning, match=r"dropped 1 of 3 rows \(item_id is missing: 1, time"):
        log = read_log(path, on_bad="drop")
    assert log.n_events == 2


def test_a_log_of_bad_rows_only_is_an_error(tmp_path: Path) -> None:
    path = csv(tmp_path, f"{HEAD}1,,{START}\n")
    with pytest.raises(DataError, match="no row is left without them"):
        read_log(path, on_bad="drop")


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has columns but no rows; expected at least one"):
        read_log(csv(tmp_path, HEAD))
    with pytest.raises(DataError, match=r"is empty \(0 bytes\)"):
        read_log(csv(tmp_path, ""))


def test_missing_columns_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="looks like item_id .* found: user, when. Name it"):
        read_log(csv(tmp_path, "user,when\n1,2\n"))


def test_units_are_checked(tmp_path: Path) -> None:
    path = csv(tmp_path, f"{HEAD}1,a,{START}\n")
    assert read_log(path, unit="s").start == START * 1_000_000
    with pytest.raises(UnitError, match=r"column 'timestamp' looks like seconds .* unit='ms'"):
        read_log(path, unit="ms")


def test_local_times_and_formats(tmp_path: Path) -> None:
    path = csv(tmp_path, f"{HEAD}1,a,01/03/2026 10:00\n")
    with pytest.raises(DataError, match=r"no ISO 8601 time \(give the format with time_format=\)"):
        read_log(path)
    log = read_log(path, time_format="%d/%m/%Y %H:%M", time_zone="Europe/Berlin")
    assert log.start == parse_instant("2026-03-01T09:00Z")


def test_a_file_without_header_line(tmp_path: Path) -> None:
    path = csv(tmp_path, f"196\t242\t3\t{START}\n", "u.data")
    names = ("user_id", "item_id", "rating", "timestamp")
    log = read_log(path, format="tsv", names=names)
    assert log.events.row(0)[:2] == (196, 242)
    assert log.events["value"].to_list() == [3.0]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected on_bad as 'raise' or 'drop', found 'skip'"):
        read_log(FRAME, on_bad="skip")  # type: ignore[arg-type]  # on purpose


def test_one_event_is_a_log() -> None:
    log = read_log([{"user": 1, "item": 2, "time": START}])
    assert (log.n_events, log.n_users, log.n_items) == (1, 1, 1)


def test_items_are_read(tmp_path: Path) -> None:
    text = (
        "sku,name,genres,price,available_from,expires_at,colour\n"
        "1,Tea,Drinks|Hot,2.5,2026-01-01,,red\n"
        "2,Cup,,,,2026-02-01T00:00Z,blue\n"
    )
    reports: list[ReadingReport] = []
    items = read_items(csv(tmp_path, text), context=["colour"], report=reports.append)
    assert items.describe(1) == {
        "item_id": 1,
        "title": "Tea",
        "categories": ["Drinks", "Hot"],
        "price": 2.5,
        "available_from": items.frame["available_from"][0],
        "colour": "red",
    }
    assert items.frame["expires_at"].dtype == TIME
    assert reports[0].dropped == {}  # an empty bound is open, not missing
    with pytest.raises(DataError, match="expires_at is no ISO 8601 time"):
        read_items(csv(tmp_path, text.replace("2026-02-01T00:00Z", "soon")))


def test_items_may_come_from_recbole(tmp_path: Path) -> None:
    text = "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tToy Story\tComedy Drama\n"
    items = read_items(csv(tmp_path, text, "ml.item"))
    assert items.describe(1) == {
        "item_id": 1,
        "title": "Toy Story",
        "categories": ["Comedy", "Drama"],
    }


def test_users_are_read_with_all_their_columns(tmp_path: Path) -> None:
    path = csv(tmp_path, "uid,age,zip\n1,30,007\n2,40,100\n")
    users = read_users(path)
    assert users.rows() == [(1, 30, "007"), (2, 40, "100")]
    assert read_users(path, context=["age"]).columns == ["user_id", "age"]
    with pytest.raises(DataError, match=r"found 1 users with several, such as \[1\]"):
        read_users(csv(tmp_path, "uid,age\n1,30\n1,31\n"))
