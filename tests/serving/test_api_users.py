"""Users: listed, shown, joined with what they did before they had a name, exported, erased."""

import json
from typing import Any

import pytest


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["detail"])


def test_users_are_listed_by_cursor(client):
    cursor, listed = "", []
    while cursor is not None:
        page = client.get(f"/v1/users?limit=8{cursor and '&cursor=' + cursor}").json()
        listed += [one["user_id"] for one in page["users"]]
        cursor = page["next_cursor"]
    assert sorted(listed) == sorted(f"u{n}" for n in range(20))
    said = problem(client.get("/v1/users?cursor=x"), 422, "invalid-request")
    assert said == "cursor: expected the next_cursor of the page before, found 'x'."
    said = problem(client.get("/v1/users?cursor=r3&after=4"), 422, "invalid-request")
    assert said == "after: says the same as cursor; send one of the two."


def test_a_user_tells_how_old_the_state_is(client):
    client.post(
        "/v1/events",
        json={"user_id": "u1", "item_id": "i1", "timestamp": "2026-02-09T23:00:00Z"},
    )
    answer = client.get("/v1/users/u1").json()
    assert answer["idle_seconds"] == 3600.0 and answer["model_version"]
    assert client.get("/v1/users/u1?at=2020-01-01").json()["idle_seconds"] is None


def test_what_was_done_without_a_name_becomes_the_users(client):
    for n in range(3):
        event = {"anonymous_id": "guest", "item_id": f"i{n}", "event_type": "view"}
        assert client.post("/v1/events", json=event).json()["accepted"] == 1
    before = client.get("/v1/users/u1").json()["n_events"]
    answer = client.post("/v1/users/u1/merge", json={"anonymous_id": "guest"}).json()
    assert (answer["user_id"], answer["anonymous_id"], answer["already"]) == ("u1", "guest", False)
    assert answer["seq"] == answer["as_of"]["seq"] == 4
    assert client.get("/v1/users/u1").json()["n_events"] == before + 3
    client.post("/v1/events", json={"anonymous_id": "guest", "item_id": "i9"})
    history = client.get("/v1/users/u1").json()
    assert history["n_events"] == before + 4 and history["events"][-1]["item_id"] == "i9"
    again = client.post("/v1/users/u1/merge", json={"anonymous_id": "guest"}).json()
    assert again["already"] and again["seq"] == 4


def test_merges_that_cannot_be_are_refused(client):
    def refused(user: str, body: Any) -> str:
        return problem(client.post(f"/v1/users/{user}/merge", json=body), 422, "invalid-request")

    assert refused("u1", {}) == "anonymous_id: is missing."
    assert refused("u1", [1]) == "expected a JSON object, found a list."
    assert refused("u1", {"anonymous_id": True}) == (
        "user_id must be text or an integer, found true."
    )
    assert "u1" in refused("u1", {"anonymous_id": "u1"})
    client.post("/v1/users/u1/merge", json={"anonymous_id": "guest"})
    assert "guest" in refused("u2", {"anonymous_id": "guest"})


def test_all_that_is_kept_of_a_user_can_be_had(client):
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1", "context": {"a": 1}})
    answer = client.get("/v1/users/u1/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in answer.text.splitlines()]
    kinds = [row["kind"] for row in rows]
    assert kinds.count("event") == 1 and kinds.count("fitted") > 5
    (event,) = [row for row in rows if row["kind"] == "event"]
    assert (event["item_id"], event["context"], event["seq"]) == ("i1", {"a": 1}, 1)
    assert client.get("/v1/users/nobody/export").text == ""


def test_an_erased_user_is_gone_and_stays_gone(client, engine):
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
    page = client.get("/v1/users/u1/recommendations").json()["recommendation_id"]
    answer = client.request("DELETE", "/v1/users/u1").json()
    gone = client.post("/v1/recommendations/next", json={"recommendation_id": page})
    assert problem(gone, 410, "list-expired")
    assert (answer["user_id"], answer["already"], answer["pending"]) == ("u1", False, False)
    assert answer["n_events"] == 1 and answer["as_of"]["seq"] == answer["seq"] == 2
    assert problem(client.get("/v1/users/u1"), 404, "unknown-id")
    (late,) = client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}).json()["results"]
    assert late["status"] == "rejected" and "erased" in late["error"]
    assert client.get("/v1/users/u1/export").text == ""
    users = client.get("/v1/users?limit=200").json()["users"]
    assert sorted(one["user_id"] for one in users) == sorted(f"u{n}" for n in range(20) if n != 1)
    assert client.get("/v1/users/u1/recommendations").json()["fallback"]
    assert client.request("DELETE", "/v1/users/u1").json()["already"]
    assert '"user_id":"u1"' not in client.get("/v1/export").text


@pytest.mark.parametrize("path", ["/v1/users/u1/export?k=1", "/v1/users/a%00b/export"])
def test_what_is_wrong_in_an_address_is_said(client, path):
    assert problem(client.get(path), 422, "invalid-request")
    assert problem(client.request("DELETE", path.replace("/export", "")), 422, "invalid-request")
