"""Clients of gorse and of Personalize are understood, in their own shapes."""

from typing import Any

import pytest

from recency.errors import ConfigError
from recency.serving.access.keys import EVENTS, RECOMMEND
from recency.serving.app import create_app
from recency.serving.http.compat_routes import add_compat
from recency.serving.http.scopes import scope_of


@pytest.fixture
def client(engine, make_client) -> Any:
    made = make_client(engine)
    add_compat(made.app, ["gorse", "personalize"])
    return made


def test_feedback_of_gorse_is_kept_once(client, engine):
    rows = [
        {"FeedbackType": "read", "UserId": "u1", "ItemId": "i1", "Value": 2, "Comment": "",
         "Timestamp": "2026-02-09T10:00:00Z"},
        {"FeedbackType": "star", "UserId": "u1", "ItemId": "i2", "Timestamp": ""},
    ]  # fmt: skip
    assert client.post("/api/feedback", json=rows).json() == {"RowAffected": 2}
    assert client.put("/api/feedback", json=rows[:1]).json() == {"RowAffected": 0}
    kept = [event for _, event in engine.store.read()]
    assert [(one.event_type, one.value) for one in kept] == [("read", 2.0), ("star", None)]
    answer = client.post("/api/feedback", json=[rows[1], {"UserId": "u1"}])
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "[1]"
    assert (
        "1 of 2 events could not be taken, the others are kept: item_id is missing."
        in (answer.json()["detail"])
    )


def test_lists_of_gorse_are_ids(client):
    ids = client.get("/api/recommend/u1?n=4").json()
    assert len(ids) == 4 and all(isinstance(one, str) for one in ids)
    assert client.get("/api/recommend/u1?n=2&offset=2").json() == ids[2:]
    scored = client.get("/api/recommend/u1?n=2", headers={"X-API-Version": "2"}).json()
    assert [one["Id"] for one in scored] == ids[:2] and scored[0]["Score"] >= scored[1]["Score"]
    odd = client.get("/api/recommend/u1?n=3&category=odd").json()
    assert {int(one[1:]) % 2 for one in odd} == {1}
    for query in ("n=x", "offset=-1", "n=99999", "page=1"):
        assert client.get(f"/api/recommend/u1?{query}").status_code == 422


def test_events_and_lists_of_personalize(client, engine):
    body = {
        "trackingId": "t",
        "userId": "u1",
        "sessionId": "s1",
        "eventList": [
            {"eventType": "click", "itemId": "i3", "sentAt": 1770681600, "eventId": "e1",
             "properties": '{"size": "L"}', "recommendationId": "r1", "impression": ["i3", "i4"]}
        ],
    }  # fmt: skip
    answer = client.post("/events", json=body)
    assert answer.status_code == 200 and answer.content == b""
    ((_, kept),) = engine.store.read()
    assert (kept.user_id, kept.item_id, kept.session_id) == ("u1", "i3", "s1")
    assert (kept.event_id, kept.recommendation_id, kept.context) == ("e1", "r1", '{"size":"L"}')
    del body["userId"]
    event = {"eventType": "click", "itemId": "i4", "sentAt": 1770681600, "properties": "text"}
    client.post("/events", json={**body, "eventList": [event]})
    assert engine.store.read()[-1][1].user_id == "s1"
    asked = {"campaignArn": "arn:x", "userId": "u1", "numResults": 3}
    listed = client.post("/recommendations", json=asked).json()
    assert len(listed["itemList"]) == 3 and set(listed["itemList"][0]) == {"itemId", "score"}
    assert listed["recommendationId"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/events", {"eventList": 3}),
        ("/events", [1]),
        ("/events", {"eventList": [3, None]}),
        ("/recommendations", {}),
        ("/recommendations", [1]),
        ("/recommendations", {"userId": "u1", "numResults": "x"}),
    ],
)
def test_what_is_wrong_is_said(client, path, body):
    answer = client.post(path, json=body)
    assert answer.status_code == 422 and answer.json()["code"] == "invalid-request", answer.text


def test_other_kinds_are_refused_and_without_asking_there_are_none(engine):
    app = create_app(engine)
    with pytest.raises(ConfigError, match="expected compat of gorse, personalize, found 'solr'"):
        add_compat(app, ["gorse", "solr"])
    assert not [one for one in app.routes if getattr(one, "path", "").startswith("/api/")]


def test_keys_for_events_and_lists_are_enough():
    assert scope_of("POST", "/api/feedback") == scope_of("POST", "/events") == EVENTS
    assert scope_of("GET", "/api/recommend/u1") == scope_of("POST", "/recommendations") == RECOMMEND
