"""Events as other systems send them: other names, packed bodies, keys of requests."""

import gzip
from typing import Any

import msgspec
import pytest
from backports import zstd

from recency.serving.http import encodings
from recency.serving.intake.event_aliases import ALIASES, by_own_names, with_event_id
from recency.serving.intake.event_checks import EVENT_FIELDS

JSON = {"content-type": "application/json"}
EVENT = {"user_id": "u1", "item_id": "i1", "event_id": "a"}


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["detail"])


# --- names ---------------------------------------------------------------------------------------


def test_events_of_other_systems_are_understood(client, engine):
    sent = [
        {"userId": "u1", "itemId": "i1", "eventType": "view", "sentAt": "2026-02-09T10:00Z"},
        {"UserId": "u1", "ItemId": "i2", "FeedbackType": "star", "Timestamp": "2026-02-09T11:00Z"},
        {"user_id": "u1", "item_id": "i3", "type": "buy", "properties": {"size": "L"}},
        {"user_id": "u1", "item_id": "i4", "event": "buy", "eventTime": "2026-02-09", "Value": 2},
    ]  # fmt: skip
    assert client.post("/v1/events", json=sent).json()["accepted"] == 4
    kept = [event for _, event in engine.store.read()]
    assert [one.event_type for one in kept] == ["view", "star", "buy", "buy"]
    assert [one.item_id for one in kept] == ["i1", "i2", "i3", "i4"]
    assert kept[2].context == '{"size":"L"}' and kept[3].value == 2.0
    assert kept[0].time < kept[1].time


def test_two_names_of_one_thing_are_a_fault_even_where_they_agree(client):
    sent = [EVENT | {"event_type": "view", "eventType": "view"}, EVENT | {"type": 1, "event": 2}]
    errors = [one["error"] for one in client.post("/v1/events", json=sent).json()["results"]]
    said = "'event_type' and 'eventType' both name the event_type of an event; send one."
    assert errors[0] == said
    assert errors[1].startswith("'type' and 'event' both name the event_type of an event")
    assert "event_type must be text such as 'click', found 1." in errors[1]  # all faults together


def test_aliases_lead_to_fields_and_are_none_themselves():
    assert set(ALIASES.values()) <= set(EVENT_FIELDS)
    assert not set(ALIASES) & set(EVENT_FIELDS)
    faults: list[str] = []
    assert by_own_names(EVENT, faults) is EVENT and not faults
    assert with_event_id({"eventId": "x"}, "y") == {"eventId": "x"}
    assert with_event_id({"eventId": None, "item_id": 1}, "y") == {"item_id": 1, "event_id": "y"}


# --- packed bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_packed_bodies_are_unpacked_within_the_limit(client, engine, encoding, pack):
    def send(content: bytes) -> Any:
        return client.post(
            "/v1/events", content=content, headers=JSON | {"content-encoding": encoding}
        )

    assert send(pack(msgspec.json.encode(EVENT))).json()["accepted"] == 1
    large = msgspec.json.encode([EVENT | {"context": {"n": "x" * 4000}}] * 100)
    assert send(pack(large)).json()["duplicate"] == 100  # unpacked beside the event loop
    bomb = pack(b" " * (4 * engine.limits.body_bytes))
    assert len(bomb) < 64_000
    said = problem(send(bomb), 413, "too-large")
    assert said.startswith("expected a body of at most 8,388,608 bytes once unpacked, found more")
    said = problem(send(pack(b"{}")[:-3]), 422, "not-unpackable")
    assert said == f"expected a body packed as {encoding}, found a damaged one: it ends too early."
    assert "more follows it" in problem(send(pack(b"{}") + b"x"), 422, "not-unpackable")
    assert "damaged one" in problem(send(b"{}"), 422, "not-unpackable")
    assert "expected JSON" in problem(send(pack(b"{")), 422, "not-json")


def test_where_there_is_no_zstd_it_is_said(client, monkeypatch):
    monkeypatch.setattr(encodings, "_zstd", lambda: None)
    answer = client.post("/v1/events", content=b"", headers=JSON | {"content-encoding": "zstd"})
    assert problem(answer, 415, "wrong-content-encoding") == (
        "expected a body that is plain or packed as gzip, found Content-Encoding 'zstd'."
    )


# --- keys of requests ----------------------------------------------------------------------------


def test_a_batch_sent_again_under_its_key_is_kept_once(client, engine):
    sent = [
        {"user_id": "u1", "item_id": "i1"},
        EVENT,
        {"item_id": "i1"},
        {"user_id": "u1", "itemId": "i2", "eventId": None},
    ]
    headers = {"Idempotency-Key": "basket 17"}
    first = client.post("/v1/events", json=sent, headers=headers).json()
    again = client.post("/v1/events", json=sent, headers=headers).json()
    assert (first["accepted"], first["rejected"]) == (3, 1)
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (0, 3, 1)
    assert [one["event_id"] for one in first["results"]] == [
        one["event_id"] for one in again["results"]
    ]
    assert first["results"][1]["event_id"] == "a"
    assert engine.last_seq == 3
    other = client.post("/v1/events", json=sent, headers={"Idempotency-Key": "basket 18"}).json()
    assert (other["accepted"], other["duplicate"]) == (2, 1)


def test_another_event_under_the_same_key_and_place_is_refused(client):
    headers = {"Idempotency-Key": "k"}
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}, headers=headers)
    (one,) = client.post(
        "/v1/events", json={"user_id": "u1", "item_id": "i2"}, headers=headers
    ).json()["results"]
    assert one["status"] == "rejected"


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_a_key_must_have_some_length(client, key):
    answer = client.post("/v1/events", json=EVENT, headers={"Idempotency-Key": key})
    said = problem(answer, 422, "invalid-request")
    assert said == f"Idempotency-Key: expected 1 to 256 characters, found {len(key)}."
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_request_has_an_id_of_its_own_or_the_one_it_brought(client):
    assert client.get("/health", headers={"X-Request-ID": "web-7f:3"}).headers["x-request-id"] == (
        "web-7f:3"
    )
    made = {client.get("/health").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    unfit = client.get("/v1/nothing", headers={"X-Request-ID": "a b\tc" + "x" * 200})
    assert len(unfit.headers["x-request-id"]) == 36


def test_where_an_event_came_from_is_kept_with_it(client, engine):
    answer = client.get("/v1/users/u1/recommendations?k=3").json()
    shown = [one["item_id"] for one in answer["items"]]
    event = {
        "user_id": "u1",
        "item_id": shown[0],
        "recommendation_id": answer["recommendation_id"],
        "impression": shown,
    }
    assert client.post("/v1/events", json=event).json()["accepted"] == 1
    ((_, kept),) = engine.store.read()
    assert kept.recommendation_id == answer["recommendation_id"]
    assert msgspec.json.decode(kept.impression) == shown
