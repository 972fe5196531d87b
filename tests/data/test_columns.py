import pytest

from recency.data.log import OPTIONAL, REQUIRED
from recency.data.reading.columns import ColumnMap, map_columns
from recency.errors import DataError


def find(
    found: list[str],
    asked: dict[str, str | None] | None = None,
    context: tuple[str, ...] = (),
) -> ColumnMap:
    return map_columns(
        found, asked, required=REQUIRED, optional=tuple(OPTIONAL), context=context, where="t.csv"
    )


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user_id", "item_id", "timestamp"),
        ("userId", "movieId", "timestamp"),
        ("visitorid", "itemid", "timestamp"),
        ("customer_id", "article_id", "t_dat"),
        ("CustomerID", "StockCode", "InvoiceDate"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("user", "item", "ts"),
        ("uid", "sku", "date"),
    ],
)
def test_usual_names_are_found(user: str, item: str, time: str) -> None:
    found = find(["junk", time, item, user])
    assert found.theirs == {"user_id": user, "item_id": item, "timestamp": time}
    assert found.guessed == ("user_id", "item_id", "timestamp")


def test_the_exact_name_beats_the_usual_ones() -> None:
    found = find(["user", "user_id", "item_id", "item", "timestamp", "date", "UserID"])
    assert found.theirs["user_id"] == "user_id"
    assert found.theirs["timestamp"] == "timestamp"


def test_another_spelling_beats_another_word() -> None:
    assert find(["customer", "UserID", "item", "ts"]).theirs["user_id"] == "UserID"


def test_what_the_caller_names_wins_and_is_no_guess() -> None:
    found = find(["user_id", "buyer", "item", "ts"], {"user_id": "buyer"})
    assert found.theirs["user_id"] == "buyer"
    assert "user_id" not in found.guessed


def test_optional_columns_are_guessed_or_left_out() -> None:
    columns = ["user", "item", "ts", "rating", "event"]
    assert find(columns).theirs["value"] == "rating"
    assert find(columns).theirs["event_type"] == "event"
    assert "value" not in find(columns, {"value": None}).theirs


def test_an_ambiguous_optional_column_is_a_note() -> None:
    found = find(["user", "item", "ts", "event", "action"])
    assert "event_type" not in found.theirs
    assert found.notes == (
        "event_type was not read: it could be any of event, action; "
        "name one with columns={'event_type': 'event'}",
    )


def test_an_ambiguous_required_column_is_an_error() -> None:
    with pytest.raises(DataError, match=r"timestamp could be any of time, date in t.csv; say"):
        find(["user", "item", "time", "date"])


def test_all_faults_are_told_together() -> None:
    with pytest.raises(DataError) as error:
        find(["customer", "client", "item"], {"item_id": "itme", "usr_id": "customer"})
    message = str(error.value)
    assert message.startswith("4 faults:")
    assert "item_id was said to be 'itme', but t.csv has no such column; did you mean" in message
    assert "'usr_id' is none of Recency's; did you mean 'user_id'?" in message
    assert "user_id could be any of customer, client" in message
    assert "no column of t.csv looks like timestamp (such as ts, time, date, datetime)" in message


def test_a_session_is_offered_as_the_user() -> None:
    with pytest.raises(DataError, match=r"If a session is your user: .*'user_id': 'session_id'"):
        find(["session_id", "item", "ts"])


def test_a_missing_header_is_suspected() -> None:
    with pytest.raises(DataError, match="first line looks like data; pass names="):
        find(["196", "242", "3", "881250949"])


def test_one_column_cannot_be_two_things() -> None:
    with pytest.raises(DataError, match="column 'id' was named for user_id and item_id"):
        find(["id", "ts"], {"user_id": "id", "item_id": "id"})


def test_context_is_checked() -> None:
    columns = ["user", "item", "ts", "country"]
    assert "country" not in find(columns, context=("country",)).theirs.values()
    with pytest.raises(DataError, match="context names 'contry', but .* did you mean 'country'"):
        find(columns, context=("contry",))
    with pytest.raises(DataError, match="context names 'value', which is Recency's own name"):
        find([*columns, "value"], context=("value",))


def test_a_required_column_cannot_be_left_out() -> None:
    with pytest.raises(DataError, match="user_id is required and cannot be left out"):
        find(["user", "item", "ts"], {"user_id": None})
