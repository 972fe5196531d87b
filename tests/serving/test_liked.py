"""Liked items over HTTP: somebody new is answered by them, and nothing of it is kept."""

import pytest


def test_liked_items_stand_for_a_history(client, engine):
    answer = client.post("/v1/recommendations", json={"liked": ["i1", "i2"], "k": 4})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["user_id"] is None and not body["fallback"] and len(body["items"]) == 4
    assert engine.last_seq == 0 and engine.n_users == 20
    when = "2026-02-09T23:59:59.999999Z"  # just before now
    named = [{"item_id": one, "timestamp": when} for one in ("i1", "i2")]
    same = client.post("/v1/recommendations", json={"history": named, "k": 4})
    assert same.json()["items"] == body["items"]


def test_what_is_liked_is_not_given_again_if_so_asked(client):
    asked = {"liked": ["i1", "i2"], "k": 30, "repeats": False, "at": 1770000000, "unit": "s"}
    given = client.post("/v1/recommendations", json=asked).json()
    assert len(given["items"]) == 28
    assert not {"i1", "i2"} & {one["item_id"] for one in given["items"]}


def test_items_never_seen_do_no_harm(client):
    answer = client.post("/v1/recommendations", json={"liked": ["what", "i1"]})
    assert answer.status_code == 200 and len(answer.json()["items"]) == 10


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"liked": []}, "expected at least one item"),
        ({"liked": ["i1"], "user_id": "u1"}, "expected without user_id"),
        ({"liked": ["i1"], "history": []}, "expected without history"),
        ({"liked": "i1"}, "expected a list"),
        ({"liked": [{}]}, "liked[0]"),
    ],
)
def test_bad_lists_are_refused(client, body, said):
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 422 and said in answer.json()["detail"]
