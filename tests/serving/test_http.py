"""The routes: what comes back for what is sent, and the sentence for each thing that is refused."""

import json
import sqlite3
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recency.serving.engine import Engine
from recency.serving.http.question_checks import BODY_FIELDS, QUERY_FIELDS
from recency.serving.limits import Limits
from recency.serving.questions import Question
from recency.units import format_instant

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY
NDJSON = {"content-type": "application/x-ndjson"}


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["code"] == code and body["title"]
    assert "Traceback" not in answer.text and "site-packages" not in answer.text
    return str(body["detail"])


def standing(engine: Engine) -> dict[str, Any]:
    """What every answer names: the last event seen, and the weights."""
    time = engine.as_of.time
    assert time is not None
    as_of = {"seq": engine.as_of.seq, "time": format_instant(time)}
    return {"as_of": as_of, "model_version": engine.model_version}


# --- POST /v1/events -----------------------------------------------------------------------------


def test_one_event(client, engine):
    sent = {"user_id": "u1", "item_id": "i1", "event_id": "a", "timestamp": "2026-02-09T12:00Z"}
    answer = client.post("/v1/events", json=sent)
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1,
        "duplicate": 0,
        "rejected": 0,
        "results": [{"event_id": "a", "status": "accepted", "seq": 1}],
        "as_of": {"seq": 1, "time": "2026-02-09T12:00:00Z"},
        "model_version": engine.model_version,
    }


def test_a_list_is_taken_event_by_event(client):
    sent = [
        {"user_id": "u1", "item_id": "i1", "event_id": "a"},
        {"user_id": "u1"},
        {"user_id": "u1", "item_id": "i1", "event_id": "a"},
        {"user_id": "u1", "item_id": "i2", "timestamp": "2027-01-01"},
    ]
    answer = client.post("/v1/events", json=sent).json()
    assert (answer["accepted"], answer["duplicate"], answer["rejected"]) == (1, 1, 2)
    assert [one["status"] for one in answer["results"]] == [
        "accepted",
        "rejected",
        "duplicate",
        "rejected",
    ]
    assert answer["results"][1] == {
        "event_id": None,
        "status": "rejected",
        "error": "item_id is missing.",
    }
    assert "ahead of the server's clock" in answer["results"][3]["error"]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; charset=utf-8"])
def test_one_event_a_line_and_a_broken_line_between(client, kind):
    lines = b'{"user_id":"u1","item_id":"i1"}\n\n{"user_id":\n{"user_id":"u2","item_id":"i2"}\r\n'
    answer = client.post("/v1/events", content=lines, headers={"content-type": kind}).json()
    assert [one["status"] for one in answer["results"]] == ["accepted", "rejected", "accepted"]
    assert answer["results"][1]["error"] == "line 3 is not JSON: Input data was truncated."
    assert [one.get("seq") for one in answer["results"]] == [1, None, 2]


def test_an_empty_list_is_no_error(client):
    assert client.post("/v1/events", json=[]).json()["results"] == []
    assert client.post("/v1/events", content=b"", headers=NDJSON).json()["accepted"] == 0


def test_the_unit_of_numbers_is_named_in_the_address(client):
    sent = {"user_id": "u1", "item_id": "i1", "timestamp": NOW // 1_000_000}
    assert client.post("/v1/events?unit=s", json=sent).json()["accepted"] == 1
    error = client.post("/v1/events?unit=ms", json=sent).json()["results"][0]["error"]
    assert "counts milliseconds since 1970 UTC, but 1770681600 looks like seconds" in error
    assert problem(client.post("/v1/events?unit=h", json=sent), 422, "invalid-request") == (
        "unit: expected s, ms, us, found 'h'."
    )
    said = problem(client.post("/v1/events?units=s", json=sent), 422, "invalid-request")
    assert said == "units: unknown field 'units'; did you mean 'unit'?"


def test_bodies_that_cannot_be_read(client):
    json_type = {"content-type": "application/json"}

    def refused(content: bytes, headers: dict[str, str], status: int, code: str) -> str:
        answer = client.post("/v1/events", content=content, headers=headers)
        return problem(answer, status, code)

    assert refused(b"{", json_type, 422, "not-json") == (
        "expected JSON, found something else: Input data was truncated."
    )
    for content in (b"", b"\xff", b"NaN", b'{"a":1}{"b":2}', b"[" * 100_000, b'"\\ud800"'):
        assert "expected JSON" in refused(content, json_type, 422, "not-json")
    assert refused(b"{}", {"content-type": "text/plain"}, 415, "wrong-content-type") == (
        "expected Content-Type application/json or application/jsonl or application/ndjson or "
        "application/x-ndjson, found 'text/plain'."
    )
    assert "found none" in refused(b"{}", {}, 415, "wrong-content-type")
    said = refused(b"{}", json_type | {"content-encoding": "br"}, 415, "wrong-content-encoding")
    assert said == (
        "expected a body that is plain or packed as gzip or zstd, found Content-Encoding 'br'."
    )


def test_bodies_that_are_too_much(client, engine):
    large = b'{"user_id":"' + b"x" * engine.limits.body_bytes + b'","item_id":"i"}'
    headers = {"content-type": "application/json"}
    said = problem(client.post("/v1/events", content=large, headers=headers), 413, "too-large")
    assert said.startswith("expected a body of at most 8,388,608 bytes, found 8,388,6")

    async def parts() -> Any:
        for _ in range(3):
            yield b" " * (engine.limits.body_bytes // 2)

    said = problem(client.post("/v1/events", content=parts(), headers=headers), 413, "too-large")
    assert "found more; send it in parts. Nothing was taken." in said
    many = [{"user_id": "u", "item_id": "i"}] * 10_001
    said = problem(client.post("/v1/events", json=many), 413, "too-many")
    assert said == (
        "expected at most 10,000 events in one request, found 10,001; send them in several. None "
        "was taken."
    )
    assert engine.last_seq == 0


def test_a_body_that_does_not_come_is_not_waited_for(shop, clock, make_client):
    engine = Engine.open(shop, clock=clock, limits=Limits(body_seconds=0.05))

    async def slow() -> Any:
        import asyncio

        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    headers = {"content-type": "application/json"}
    answer = make_client(engine).post("/v1/events", content=slow(), headers=headers)
    said = problem(answer, 408, "too-slow")
    assert said == "the body did not arrive within 0.05 s; send again."
    engine.close()


def test_a_full_disk_is_507_and_answers_go_on(client, engine):
    connection = engine.store._writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    many = [{"user_id": "u1", "item_id": "i1", "session_id": "x" * 500}] * 500
    said = problem(client.post("/v1/events", json=many), 507, "disk-full")
    assert "is full; nothing of this call is kept. Free some space" in said
    assert problem(client.get("/ready"), 507, "disk-full") == said
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/v1/users/u1/recommendations").json()["as_of"]["seq"] == 0
    connection.execute("PRAGMA max_page_count = 1000000").fetchone()
    assert client.post("/v1/events", json=many).json()["accepted"] == 500
    assert client.get("/ready").status_code == 200


def test_a_failing_disk_is_503_with_a_time_to_come_back(client, engine):
    other = sqlite3.connect(engine.store.path, isolation_level=None)
    engine.store._writer._connection.execute("PRAGMA busy_timeout = 20")
    other.execute("BEGIN IMMEDIATE")
    answer = client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
    said = problem(answer, 503, "store-failed")
    assert answer.headers["retry-after"] == "1"
    assert "database is locked" in said and "Nothing of this call is acknowledged" in said
    other.close()
    assert client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}).status_code == 200


def test_a_stopped_engine_is_503(client, engine):
    engine.close()
    sent = {"user_id": "u1", "item_id": "i1"}
    said = problem(client.post("/v1/events", json=sent), 503, "stopped")
    assert said == "the event store is closed: nothing was taken; send it again later."
    said = problem(client.get("/v1/users/u1/recommendations"), 503, "stopped")
    assert said == "the server is stopping: nothing was taken; ask again later."


def test_an_unforeseen_error_is_500_without_its_trace(client, engine, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Engine, "ingest", fail)
    answer = client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
    said = problem(answer, 500, "internal")
    assert said == "the server met an unforeseen error; its log says more. Nothing is lost."
    assert "secret detail" in caplog.text and "secret" not in answer.text


# --- recommendations -----------------------------------------------------------------------------


def test_recommendations_for_a_user(client, engine):
    expected = engine.recommend(Question("u3", k=5, at=NOW)).result(30)
    answer = client.get("/v1/users/u3/recommendations?k=5").json()
    assert answer.pop("items") == [
        {"item_id": item, "score": pytest.approx(score, abs=1e-6)}
        for item, score in zip(expected.items, expected.scores, strict=True)
    ]
    assert UUID(answer.pop("recommendation_id")).version == 7
    assert 0 <= answer.pop("took_ms") < 10_000
    assert answer == {
        "degraded": [],
        "user_id": "u3",
        "fallback": False,
        "at": "2026-02-10T00:00:00Z",
        "as_of": {"seq": 0, "time": answer["as_of"]["time"]},
        "model_version": engine.model_version,
    }
    assert answer["as_of"]["time"].startswith("2026-01-30T")


def test_an_event_changes_the_very_next_answer(client):
    before = client.get("/v1/users/u3/recommendations?k=30").json()
    for n in range(5):
        seq = client.post("/v1/events", json={"user_id": "u3", "item_id": f"i{n}"}).json()
        answer = client.get("/v1/users/u3/recommendations?k=30").json()
        assert answer["as_of"]["seq"] == seq["results"][0]["seq"]
    assert answer["items"] != before["items"]


def test_filters(client):
    def items(query: str) -> list[str]:
        answer = client.get(f"/v1/users/u3/recommendations?k=30&{query}")
        assert answer.status_code == 200, answer.text
        return [one["item_id"] for one in answer.json()["items"]]

    assert {int(one[1:]) % 2 for one in items("categories=odd")} == {1}
    assert len(items("categories=odd,even")) == len(items("categories=odd&categories=even")) == 30
    history = client.get("/v1/users/u3").json()["events"]
    assert not {one["item_id"] for one in history} & set(items("repeats=false"))
    assert items("at=2026-01-15") != items("at=2026-01-28")
    zoned = items("at=2026-01-15T01:00:00%2B01:00")
    assert zoned == items("at=2026-01-15T01:00:00+01:00") == items("at=2026-01-15")
    assert items("at=1768435200&unit=s") == items("at=1768435200000000") == items("at=2026-01-15")
    assert items("at=2030-01-01")  # a question about the future is a question


def test_details_describe_the_items(client):
    client.put("/v1/items", json={"item_id": "i7", "title": "Lamp", "price": 3, "categories": "x"})
    answer = client.get("/v1/users/u3/recommendations?k=1&categories=x&details=true").json()
    (item,) = answer["items"]
    assert item.pop("score") is not None
    assert item == {"item_id": "i7", "title": "Lamp", "price": 3.0, "categories": ["x"]}


def test_a_history_without_a_name(client, engine):
    history = [
        {"item_id": "i1", "timestamp": "2026-02-09T10:00Z", "event_type": "view"},
        {"item_id": "i2", "timestamp": "2026-02-09T10:05Z", "value": 2},
    ]
    body = {"history": history, "k": 4, "exclude": ["i9"], "categories": ["odd"]}
    answer = client.post("/v1/recommendations", json=body).json()
    assert answer["user_id"] is None and not answer["fallback"]
    assert len(answer["items"]) == 4
    assert {int(one["item_id"][1:]) % 2 for one in answer["items"]} == {1}
    assert engine.last_seq == 0 and engine.n_users == 20  # nothing of it is kept
    assert client.post("/v1/recommendations", json={"history": []}).json()["fallback"]


def test_candidates_are_ranked_and_strange_ones_told(client):
    body = {"user_id": "u1", "candidates": ["i3", "i4", "what"], "k": 10}
    answer = client.post("/v1/recommendations", json=body).json()
    assert {one["item_id"] for one in answer["items"]} == {"i3", "i4"}
    assert answer["notes"] == ["1 of 3 candidates were never seen: left out."]
    body = {"user_id": "u1", "candidates": []}
    assert client.post("/v1/recommendations", json=body).json()["items"] == []


def test_k_above_the_catalogue_gives_what_there_is(client):
    asked = {"history": [], "k": 1000}
    answers = [
        client.get("/v1/users/u1/recommendations?k=1000"),
        client.post("/v1/recommendations", json=asked),
        client.get("/v1/items/i1/similar?k=1000"),
    ]
    assert [len(answer.json()["items"]) for answer in answers] == [30, 30, 29]
    for answer in answers:
        assert answer.json()["notes"] == ["k=1,000 is more than the 30 items there are."]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("k=0", "k: expected a whole number from 1 to 1,000, found 0."),
        ("k=1001", "k: expected a whole number from 1 to 1,000, found 1001."),
        ("k=-3", "k: expected a whole number from 1 to 1,000, found -3."),
        ("k=2.5", "k: expected a whole number from 1 to 1,000, found 2.5."),
        ("k=ten", "k: expected a whole number from 1 to 1,000, found 'ten'."),
        ("k=", "k: expected a whole number from 1 to 1,000, found ''."),
        ("k=1&k=2", "k: is given more than once."),
        ("at=soon", "at: expected an ISO 8601 instant such as 2026-03-01 or 2026-03-01T09:00Z, found 'soon'."),  # noqa: E501
        ("at=1768435200", "at: a number here counts microseconds since 1970 UTC, but 1768435200 looks like seconds. Send ISO 8601 text, or name the unit in the address: ?unit=s."),  # noqa: E501
        ("repeats=maybe", "repeats: expected true or false, found 'maybe'."),
        ("details=2", "details: expected true or false, found '2'."),
        ("unit=min", "unit: expected s, ms, us, found 'min'."),
        ("n=5", f"n: unknown field 'n'; known are {', '.join(QUERY_FIELDS)}."),
        ("repeat=true", "repeat: unknown field 'repeat'; did you mean 'repeats'?"),
        (
            "k=0&repeats=x",
            "repeats: expected true or false, found 'x'. k: expected a whole number from 1 to "
            "1,000, found 0.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_address_is_said(client, query, said):
    answer = client.get(f"/v1/users/u1/recommendations?{query}")
    assert problem(answer, 422, "invalid-request") == said


def test_an_unknown_category_is_told_with_the_one_that_may_be_meant(client):
    answer = client.get("/v1/users/u1/recommendations?categories=evne")
    said = problem(answer, 422, "invalid-request")
    assert "no item has the category 'evne'; did you mean 'even'?" in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([1], "expected a JSON object, found a list."),
        ({}, "history: expected either a user_id or a history, which may be empty."),
        (
            {"user_id": "u", "history": []},
            "history: expected either a user_id or a history, which may be empty.",
        ),
        ({"user_id": True}, "user_id: user_id must be text or an integer, found true."),
        ({"history": "i1"}, "history: expected a list, found 'i1'."),
        ({"history": [3]}, "history[0]: expected an object, found 3."),
        ({"history": [{}]}, "history[0]: item_id: is missing. timestamp: is missing."),
        (
            {"history": [{"item_id": "i", "timestamp": "2026-01-01", "kind": 1}]},
            "history[0]: unknown field 'kind'; known are item_id, timestamp, event_type, value.",
        ),
        (
            {"history": [{"item_id": "i", "timestamp": "2026-01-01", "event_type": 1}]},
            "history[0]: event_type must be text, found 1.",
        ),
        (
            {"history": [{"item_id": "i1", "timestamp": "2026-01-02"}], "at": "2026-01-02"},
            "history[0]: lies at or after 'at'; only what came before counts.",
        ),
        ({"user_id": "u", "k": "5"}, "k: expected a whole number from 1 to 1,000, found '5'."),
        ({"user_id": "u", "repeats": 1}, "repeats: expected true or false, found 1."),
        ({"user_id": "u", "candidates": "i1"}, "candidates: expected a list, found 'i1'."),
        (
            {"user_id": "u", "exclude": ["i1", None]},
            "exclude[1]: item_id must be text or an integer, found null.",
        ),
        (
            {"user_id": "u", "candidates": ["i"] * 10_001},
            "candidates: expected at most 10,000, found 10,001.",
        ),
        (
            {"user_id": "u", "categories": [1]},
            "categories: expected a list of texts, none of them empty.",
        ),
        (
            {"user_id": "u", "seen": True},
            f"seen: unknown field 'seen'; known are {', '.join(BODY_FIELDS)}.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_question_is_said(client, body, said):
    assert problem(client.post("/v1/recommendations", json=body), 422, "invalid-request") == said


def test_every_fault_has_its_field(client):
    body = {"history": [{"item_id": ""}, 3], "k": 0, "at": "x"}
    answer = client.post("/v1/recommendations", json=body)
    problem(answer, 422, "invalid-request")
    fields = [one["field"] for one in answer.json()["errors"]]
    assert fields == ["history[0]", "history[1]", "at", "k"]


# --- ids in paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    ["a/b", "a/recommendations", "50% off", "%2F", "ä ☃ \u202e", "a?b#c", "a+b", ".", "x" * 512],
)
def test_an_id_in_a_path_is_the_id_that_was_sent(client, one):
    client.post("/v1/events", json={"user_id": one, "item_id": one})
    path = quote(one, safe="").replace(".", "%2E")
    assert client.get(f"/v1/users/{path}").json()["user_id"] == one
    assert client.get(f"/v1/users/{path}").json()["events"][0]["item_id"] == one
    assert client.get(f"/v1/users/{path}/recommendations").json()["user_id"] == one
    assert client.get(f"/v1/items/{path}").json()["item_id"] == one


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a%00b", "user_id: user_id must not hold a NUL character, found 'a\\x00b'."),
        ("%ff", "expected percent-encoded UTF-8, found '%ff'."),
        ("%ED%A0%80", "expected percent-encoded UTF-8, found '%ED%A0%80'."),
        ("x" * 513, "user_id: user_id may have at most 512 characters, found 513: 'xxxxxxxxxxxxxxxxxxxx'…"),  # noqa: E501
    ],
)  # fmt: skip
def test_ids_that_can_be_none(client, path, said):
    for route in (f"/v1/users/{path}", f"/v1/users/{path}/recommendations"):
        assert problem(client.get(route), 422, "invalid-request") == said


def test_unknown_ids_are_404_where_they_must_be_known(client):
    assert problem(client.get("/v1/users/nobody"), 404, "unknown-id") == (
        "user 'nobody' is unknown: no event names them. Recommendations can be asked for all the "
        "same, and are what is popular."
    )
    assert problem(client.get("/v1/items/what"), 404, "unknown-id") == (
        "item 'what' is unknown: no event names it, and it was never described. PUT /v1/items "
        "describes it."
    )
    assert "item 'what' has no vector" in problem(
        client.get("/v1/items/what/similar"), 404, "unknown-id"
    )
    assert client.get("/v1/users/nobody/recommendations").json()["fallback"]


# --- the other routes ----------------------------------------------------------------------------


def test_similar_items(client, engine):
    answer = client.get("/v1/items/i1/similar?k=3&details=true").json()
    expected = engine.similar_items("i1", 3).result(30)
    assert [one["item_id"] for one in answer["items"]] == expected.items
    assert "i1" not in expected.items
    assert answer["items"][0]["title"] == f"Item {expected.items[0][1:]}"
    assert answer["item_id"] == "i1" and answer["model_version"] == engine.model_version
    said = problem(client.get("/v1/items/i1/similar?at=2026-01-01"), 422, "invalid-request")
    assert said == "at: unknown field 'at'; known are k, by, details, min_seq, timeout_ms."


def test_items_are_put_one_by_one(client, engine):
    sent = [
        {"item_id": "i1", "title": "Tent", "available_from": "2026-03-01"},
        {"item_id": "i2", "price": "x"},
        {"item_id": "new", "categories": ["boats"]},
    ]
    answer = client.put("/v1/items", json=sent).json()
    assert answer == {
        "accepted": 2,
        "rejected": 1,
        "results": [
            {"item_id": "i1", "status": "accepted"},
            {
                "item_id": None,
                "status": "rejected",
                "error": "price must be a finite number, found 'x'.",
            },
            {"item_id": "new", "status": "accepted"},
        ],
        **standing(engine),
    }
    assert client.get("/v1/items/i1").json() == {
        "item_id": "i1",
        "title": "Tent",
        "available_from": "2026-03-01T00:00:00Z",
        "seen": True,
        **standing(engine),
    }
    assert client.get("/v1/items/new").json() == {
        "item_id": "new",
        "categories": ["boats"],
        "seen": False,
        **standing(engine),
    }
    lines = b'{"item_id":"i3","title":"Boat"}\nnot json\n'
    answer = client.put("/v1/items", content=lines, headers=NDJSON).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert client.get("/v1/items/i3").json()["title"] == "Boat"


def test_what_is_not_available_yet_is_not_recommended_until_it_is(client):
    client.put("/v1/items", json={"item_id": "i1", "available_from": "2026-03-01"})

    def items(at: str) -> set[str]:
        answer = client.get(f"/v1/users/u1/recommendations?k=30&at={at}").json()
        return {one["item_id"] for one in answer["items"]}

    assert "i1" not in items("2026-02-28T23:59:59Z") and "i1" in items("2026-03-01")


def test_users_are_listed_page_by_page(client):
    first = client.get("/v1/users?limit=15").json()
    second = client.get(f"/v1/users?limit=15&after={first['next_after']}").json()
    listed = first["users"] + second["users"]
    assert (first["n_users"], second["next_after"]) == (20, None)
    assert sorted(one["user_id"] for one in listed) == sorted(f"u{n}" for n in range(20))
    assert sum(one["n_events"] for one in listed) == 400
    user = client.get(f"/v1/users/{listed[3]['user_id']}").json()
    assert user["n_events"] == listed[3]["n_events"]
    assert user["events"][-1]["timestamp"] == listed[3]["newest"]
    said = problem(client.get("/v1/users?limit=0&after=-1"), 422, "invalid-request")
    assert "limit: expected a whole number from 1 to 200" in said and "after: expected" in said


def test_a_user_has_a_history(client):
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i5", "event_type": "wish"})
    answer = client.get("/v1/users/u1?limit=2").json()
    assert len(answer["events"]) == 2
    assert answer["events"][-1] == {
        "item_id": "i5",
        "timestamp": "2026-02-10T00:00:00Z",
        "event_type": "wish",
        "title": "Item 5",
    }
    earlier = client.get("/v1/users/u1?at=2026-02-10").json()
    assert earlier["n_events"] == answer["n_events"] - 1
    assert earlier["at"] == "2026-02-10T00:00:00Z"


def test_models_health_ready(client, engine):
    (model,) = client.get("/v1/models").json()["models"]
    assert model["model_version"] == engine.model_version and model["active"]
    assert (model["n_users"], model["n_items"]) == (20, 30)
    assert model["cut"].startswith("2026-01-30T")
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/ready").json()["status"] == "ready"


def test_metrics_count_every_status_by_route_not_by_id(client):
    client.post("/v1/events", json=[{"user_id": "u1", "item_id": "i1"}, {}])
    client.get("/v1/users/u1/recommendations")
    client.get("/v1/users/u2/recommendations")
    client.get("/v1/users/u2/recommendations?k=0")
    client.get("/nothing/here")
    text = client.get("/metrics").text
    route = '{code="200",method="GET",route="/v1/users/{user_id}/recommendations"}'
    assert f"recency_request_seconds_count{route} 2.0" in text
    assert f"recency_request_seconds_count{route.replace('200', '422')} 1.0" in text
    assert 'recency_request_seconds_count{code="404",method="GET",route="none"} 1.0' in text
    assert 'recency_events_total{result="accepted"} 1.0' in text
    assert 'recency_events_total{result="rejected"} 1.0' in text
    assert "recency_log_seq 1.0" in text and "recency_applied_seq 1.0" in text
    assert "recency_event_visible_seconds_count 1.0" in text
    assert "recency_event_commit_seconds_count 1.0" in text
    assert "u1" not in text


def test_routes_and_methods_that_are_not_there(client):
    said = problem(client.get("/v2/events"), 404, "no-such-route")
    assert said == "there is no /v2/events; GET /openapi.json lists what there is."
    answer = client.get("/v1/events")
    assert problem(answer, 405, "wrong-method") == ("GET is not served at /v1/events; send POST.")
    assert answer.headers["allow"] == "POST"


# --- whatever comes ------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["user_id", "item_id", "timestamp", "history", "k", "at", "candidates", "exclude", "value",
     "categories", "repeats", "event_type", "event_id", "context", "title", "unit"]
)  # fmt: skip
bodies = st.binary(max_size=200) | (
    (st.dictionaries(names, json_values, max_size=6) | json_values)
    .map(lambda one: json.dumps(one).encode("utf-8", "surrogatepass"))
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    route=st.sampled_from(
        [("POST", "/v1/events"), ("POST", "/v1/recommendations"), ("PUT", "/v1/items")]
    ),
    body=bodies,
    kind=st.sampled_from(["application/json", "application/x-ndjson"]),
)
def test_whatever_is_sent_is_answered_without_a_5xx(client, route, body, kind):
    answer = client.request(*route, content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 413, 415, 422), answer.text
    answer.json()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    user=st.text(min_size=1, max_size=20).filter(lambda text: text not in (".", "..")),
    query=st.dictionaries(
        st.sampled_from(["k", "at", "repeats", "categories", "unit", "details"])
        | st.text(max_size=4),
        st.text(max_size=12) | st.integers().map(str),
        max_size=4,
    ),
)
def test_whatever_is_asked_is_answered_without_a_5xx(client, user, query):
    path = quote(user.encode("utf-8", "surrogatepass"), safe="")
    pairs = {name: value for name, value in query.items() if _encodable(name + value)}
    for route in (f"/v1/users/{path}/recommendations", f"/v1/users/{path}", f"/v1/items/{path}"):
        answer = client.get(route, params=pairs)
        assert answer.status_code in (200, 404, 422), answer.text
        answer.json()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
