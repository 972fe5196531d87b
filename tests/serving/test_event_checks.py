"""Event checks: what may come in, and the sentence for each thing that may not."""

from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.data.vocab import Vocab
from recency.errors import DataError
from recency.serving.intake.event_checks import EventChecks, Stamps
from recency.serving.intake.item_checks import ITEM_FIELDS, ItemChecks
from recency.serving.limits import Limits
from recency.serving.log.events import Event, ItemChange, Outcome

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00Z
DAY = 86_400_000_000
TEXT, NUMBER = Vocab(pl.String), Vocab(pl.Int64)


def checks(users: Vocab = TEXT, items: Vocab = TEXT) -> EventChecks:
    return EventChecks(users, items, Stamps(lambda: NOW), max_skew=300.0)


def error_of(raw: object, unit: Any = "us", **vocabs: Vocab) -> str:
    found = checks(**vocabs).check(raw, unit)
    assert isinstance(found, Outcome), found
    assert found.status == "rejected"
    return str(found.error)


def event_of(raw: object, unit: Any = "us", **vocabs: Vocab) -> Event:
    found = checks(**vocabs).check(raw, unit)
    assert isinstance(found, Event), found
    return found


def row(**fields: object) -> dict[str, object]:
    return {"user_id": "u", "item_id": "i"} | fields


def test_a_whole_event():
    raw = row(
        timestamp="2025-12-31T23:00:00+01:00",
        event_type="buy",
        value=3,
        session_id=7,
        event_id=99,
        context={"shop": "north", "n": [1]},
    )
    assert event_of(raw) == Event(
        "99", "u", "i", NOW - 2 * 3_600_000_000, "buy", 3.0, 7, '{"shop":"north","n":[1]}'
    )


def test_the_smallest_id_is_one_too():
    found = event_of({"user_id": 0, "item_id": "0"}, users=NUMBER, items=NUMBER)
    assert (found.user_id, found.item_id) == (0, 0)


def test_who_is_not_known_yet_has_an_anonymous_id():
    assert event_of({"anonymous_id": "a", "item_id": "i"}).user_id == "a"
    assert event_of({"anonymous_id": "42", "item_id": "i"}, users=NUMBER).user_id == 42
    assert event_of(row(anonymous_id="a")).user_id == "u"  # where both are given, the name counts
    assert event_of(row(anonymous_id=None)).user_id == "u"
    assert error_of(row(anonymous_id="")) == "anonymous_id must not be empty."
    assert error_of({"anonymous_id": "a"}) == "item_id is missing."
    assert error_of({"anonymous_id": None, "item_id": "i"}) == "user_id is missing."
    said = error_of({"user_id": 1, "anonymous_id": "a-77", "item_id": "i"}, users=NUMBER)
    assert said == "anonymous_id: ids of this log are integers, found 'a-77'."


def test_an_event_may_say_what_it_answers_to():
    found = event_of(row(recommendation_id="r-1", impression=["a", 7]))
    assert (found.recommendation_id, found.impression) == ("r-1", '["a","7"]')
    number = {"user_id": "u", "item_id": 1, "impression": ["1", 2]}
    assert event_of(number, items=NUMBER).impression == "[1,2]"
    assert event_of(row(impression=[])).impression == "[]"
    assert error_of(row(recommendation_id="")) == "recommendation_id must not be empty."
    assert error_of(row(impression="a")) == "impression must be a list of item ids, found 'a'."
    assert error_of(row(impression=["a"] * 1001)) == (
        "impression may name at most 1,000 items, found 1,001."
    )
    assert error_of(row(impression=["a", None])) == (
        "impression must be text or an integer, found null."
    )


def test_nulls_are_as_if_left_out():
    names = ("timestamp", "event_type", "value", "session_id", "event_id", "context")
    found = event_of(row(**dict.fromkeys(names)))
    assert (found.event_type, found.value, found.session_id, found.context) == (None,) * 4
    assert found.time == NOW


def test_times_and_ids_that_are_left_out_are_given_in_order():
    gate = checks()
    found = [gate.check(row()) for _ in range(5)]
    assert [one.time for one in found] == [NOW + n for n in range(5)]  # type: ignore[union-attr]
    assert len({one.event_id for one in found}) == 5
    other = checks().check(row())
    assert other.event_id not in {one.event_id for one in found}  # another start, other ids


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (3, "an event must be an object, found 3."),
        ([], "an event must be an object, found a list."),
        ({}, "user_id is missing. item_id is missing."),
        (row(user_id=None), "user_id is missing."),
        (row(user_id=True), "user_id must be text or an integer, found true."),
        (row(user_id=1.5), "user_id must be text or an integer, found 1.5."),
        (row(item_id={"a": 1}), "item_id must be text or an integer, found an object."),
        (row(user_id=""), "user_id must not be empty."),
        (row(user_id="a\0b"), "user_id must not hold a NUL character, found 'a\\x00b'."),
        (
            row(user_id="x" * 1_000_000),
            "user_id may have at most 512 characters, found 1,000,000: 'xxxxxxxxxxxxxxxxxxxx'…",
        ),
        (
            row(item_id="\ud800"),
            "item_id must be valid Unicode, found half a surrogate pair: '\\ud800'.",
        ),
        (row(session_id=2**63), "session_id must fit into 64 bits, found 9223372036854775808."),
        (row(event_type=5), "event_type must be text such as 'click', found 5."),
        (row(event_type=""), "event_type must not be empty."),
        (row(value="3"), "value must be a finite number, found '3'."),
        (row(value=1e39), "value must lie between -3.4e38 and 3.4e38, found 1e+39."),
        (row(value=float("nan")), "value must be a finite number, found nan."),
        (row(value=float("-inf")), "value must be a finite number, found -inf."),
        (
            row(value=10**400),
            "value must be a finite number, found an integer of more than 30 digits.",
        ),
        (row(context=[1]), "context must be an object, found a list."),
        (
            row(context={"a": "x" * 5000}),
            "context may be at most 4,096 bytes of JSON, found 5,008.",
        ),
        (
            row(timestmap="2026-01-01"),
            "unknown field 'timestmap'; did you mean 'timestamp'?",
        ),
        (
            row(colour="red"),
            "unknown field 'colour'; extra fields of your own belong in 'context'.",
        ),
        (
            row(timestamp="soon"),
            "timestamp: expected an ISO 8601 instant such as 2026-03-01 or 2026-03-01T09:00Z, "
            "found 'soon'.",
        ),
        (
            row(timestamp=True),
            "timestamp: expected ISO 8601 text such as 2026-03-01T09:00Z or a number, found true.",
        ),
        (
            row(timestamp=10**25),
            "timestamp: a number here counts microseconds since 1970 UTC, but "
            "10000000000000000000000000 looks like nanoseconds. Send ISO 8601 text.",
        ),
        (row(timestamp=NOW + 0.5), "timestamp: microseconds are whole, found 1767225600000000.5."),
    ],
)
def test_what_is_wrong_is_said(raw, said):
    assert error_of(raw) == said


def test_all_faults_of_an_event_are_told_together_with_its_id():
    found = checks().check({"user_id": "", "value": "x", "event_id": "mine", "when": 1})
    assert isinstance(found, Outcome)
    assert found.event_id == "mine"
    assert found.error == (
        "unknown field 'when'; extra fields of your own belong in 'context'. user_id must not be "
        "empty. item_id is missing. value must be a finite number, found 'x'."
    )


def test_ids_are_brought_to_the_type_of_the_log():
    assert event_of(row(user_id=7, item_id=8)).user_id == "7"
    found = event_of(row(user_id="7", item_id=-8), users=NUMBER, items=NUMBER)
    assert (found.user_id, found.item_id) == (7, -8)
    said = error_of(row(user_id="ann", item_id="9" * 30), users=NUMBER, items=NUMBER)
    assert said == (
        "user_id: ids of this log are integers, found 'ann'. item_id: ids of this log are integers "
        "of 64 bits, found 999999999999999999999999999999."
    )


# --- time ----------------------------------------------------------------------------------------


def test_late_and_equal_times_are_taken():
    assert event_of(row(timestamp="1999-12-31")).time == 946_598_400_000_000
    assert event_of(row(timestamp=NOW)).time == NOW
    assert event_of(row(timestamp=0)).time == 0
    assert event_of(row(timestamp="1960-01-01")).time == -315_619_200_000_000


@pytest.mark.parametrize("instant", ["1970-01-02T00:00:00Z", "1969-12-31T00:00:00Z"])
def test_instants_that_the_model_would_misread_are_refused_before_they_are_kept(instant):
    assert error_of(row(timestamp=instant)) == (
        f"timestamp: instants within four months of 1970 and those after 2262 are taken for a "
        f"wrong unit, found {instant}."
    )
    with pytest.raises(DataError, match="those after 2262 are taken for a wrong unit"):
        checks().time("2300-01-01", future=True)


@pytest.mark.parametrize(
    ("unit", "value"), [("s", 1_767_225_600), ("s", 1_767_225_600.0), ("ms", 1_767_225_600_000)]
)
def test_numbers_count_in_the_unit_said(unit, value):
    assert event_of(row(timestamp=value), unit).time == NOW


def test_fractions_of_seconds_become_microseconds():
    assert event_of(row(timestamp=1_767_225_599.25), "s").time == NOW - 750_000


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        (
            "us",
            1_767_225_600,
            "counts microseconds since 1970 UTC, but 1767225600 looks like seconds",
        ),
        ("us", 1_767_225_600_000, "but 1767225600000 looks like milliseconds"),
        (
            "ms",
            1_767_225_600,
            "counts milliseconds since 1970 UTC, but 1767225600 looks like seconds",
        ),
        ("s", NOW, "counts seconds since 1970 UTC, but 1767225600000000 looks like microseconds"),
    ],
)
def test_a_wrong_unit_is_told_with_the_right_one(unit, value, said):
    error = error_of(row(timestamp=value), unit)
    assert said in error
    assert error.endswith("name the unit in the address: ?unit=" + error[-3:-1].strip("=") + ".")


def test_the_near_future_is_a_clock_and_the_far_future_a_fault():
    assert event_of(row(timestamp=NOW + 299_000_000)).time == NOW + 299_000_000
    assert error_of(row(timestamp="2026-01-02")) == (
        "timestamp: 2026-01-02T00:00:00Z lies 1 d ahead of the server's clock "
        "(2026-01-01T00:00:00Z); at most 5 min is allowed. Check the unit, the time zone and the "
        "sender's clock."
    )


def test_single_ids_and_instants_raise():
    with pytest.raises(DataError, match="user_id must not be empty"):
        checks().user("")
    with pytest.raises(DataError, match="item_id must be text or an integer"):
        checks().item(None)
    assert checks().time("2030-01-01", future=True) > NOW


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    ["user_id", "item_id", "timestamp", "event_type", "value", "session_id", "event_id", "context"]
)


@given(
    raw=st.dictionaries(fields | st.text(max_size=5), json_values, max_size=8) | json_values,
    unit=st.sampled_from(["s", "ms", "us"]),
    users=st.sampled_from([TEXT, NUMBER]),
)
def test_whatever_comes_is_an_event_that_can_be_stored_or_a_sentence(raw, unit, users):
    found = checks(users=users).check(raw, unit)
    if isinstance(found, Outcome):
        assert found.error and len(found.error) < 3000
    else:
        msgspec.json.encode(found)
        for one in (found.user_id, found.item_id, found.session_id or 0):
            assert type(one) is str or (type(one) is int and -(2**63) <= one < 2**63)
        assert -(2**63) <= found.time <= NOW + 300_000_000


# --- items ---------------------------------------------------------------------------------------


def item_error(raw: object) -> str:
    found = ItemChecks(checks()).check(raw)
    assert isinstance(found, Outcome)
    return str(found.error)


def test_a_whole_item_is_stored_with_its_instants_as_microseconds():
    raw = {
        "item_id": 5,
        "title": "A tent",
        "categories": ["camping", "summer"],
        "price": 99,
        "available_from": "2026-01-01",
        "expires_at": "2027-01-01T00:00Z",
        "text": None,
    }
    found = ItemChecks(checks()).check(raw)
    assert isinstance(found, ItemChange)
    assert found.item_id == "5"
    assert msgspec.json.decode(found.document) == {
        "item_id": "5",
        "title": "A tent",
        "categories": ["camping", "summer"],
        "price": 99.0,
        "available_from": NOW,
        "expires_at": NOW + 365 * DAY,
    }


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("x", "an item must be an object, found 'x'."),
        ({}, "item_id is missing."),
        ({"item_id": ""}, "item_id must not be empty."),
        ({"item_id": "i", "title": 3}, "title must be text, found 3."),
        (
            {"item_id": "i", "text": "x" * 20_001},
            "text may have at most 20,000 characters, found 20,001.",
        ),
        ({"item_id": "i", "categories": [1]}, "categories must be a list of texts, found a list."),
        ({"item_id": "i", "categories": [""]}, "categories must be a list of texts, found a list."),
        ({"item_id": "i", "categories": ["a"] * 101}, "categories may be at most 100, found 101."),
        ({"item_id": "i", "price": "9"}, "price must be a finite number, found '9'."),
        (
            {"item_id": "i", "available_from": 1_767_225_600},
            "available_from: a number here counts microseconds since 1970 UTC, but 1767225600 "
            "looks like seconds. Send ISO 8601 text, or name the unit in the address: ?unit=s.",
        ),
        (
            {"item_id": "i", "available_from": "2026-02-01", "expires_at": "2026-01-01"},
            "expires_at must not lie before available_from.",
        ),
        ({"item_id": "i", "titel": "x"}, "unknown field 'titel'; did you mean 'title'?"),
        (
            {"item_id": "i", "colour": "red"},
            f"unknown field 'colour'; known are {', '.join(ITEM_FIELDS)}.",
        ),
    ],
)
def test_what_is_wrong_with_an_item_is_said(raw, said):
    assert item_error(raw) == said


def test_limits_can_be_changed():
    gate = EventChecks(TEXT, TEXT, Stamps(lambda: NOW), limits=Limits(id_length=3))
    found = gate.check(row(user_id="four"))
    assert isinstance(found, Outcome)
    assert found.error == "user_id may have at most 3 characters, found 4: 'four'…"
