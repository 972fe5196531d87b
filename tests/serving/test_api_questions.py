"""Lists: their ids and what follows them, terms of an answer, visits, what is popular and new."""

import asyncio
import threading
import time
from typing import Any

import pytest

from recency.data.log import Log
from recency.errors import StoreError
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.http.given_lists import GivenLists
from recency.serving.http.problems import Problem
from recency.serving.http.question_checks import Asked
from recency.serving.http.terms import Terms
from recency.serving.questions import Question
from recency.training.config import TrainConfig


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["detail"])


def items(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/users/u3/recommendations", "/v1/trending", "/v1/latest"])
def test_pages_repeat_nothing_and_end(client, path):
    answer = client.get(f"{path}?k=7")
    seen: list[str] = []
    for _ in range(10):
        page = items(answer)
        assert not set(page) & set(seen)
        seen += page
        asked = {"recommendation_id": answer.json()["recommendation_id"]}
        answer = client.post("/v1/recommendations/next", json=asked)
    assert len(seen) == 30 and items(answer) == []
    assert seen == items(client.get(f"{path}?k=30"))  # nothing happened in between


def test_the_same_page_can_be_asked_for_again(client):
    first = client.get("/v1/users/u3/recommendations?k=5").json()["recommendation_id"]
    asked = {"recommendation_id": first, "k": 3}
    pages = [client.post("/v1/recommendations/next", json=asked) for _ in range(2)]
    assert items(pages[0]) == items(pages[1])
    assert len(items(pages[0])) == 3
    assert len({first, *(page.json()["recommendation_id"] for page in pages)}) == 3


def test_a_page_follows_the_events_that_came_since(client):
    asked = {"user_id": "u3", "k": 5, "repeats": False, "exclude": ["i1"]}
    first = client.post("/v1/recommendations", json=asked)
    client.post("/v1/events", json={"user_id": "u3", "item_id": "i2"})
    following = client.post(
        "/v1/recommendations/next",
        json={"recommendation_id": first.json()["recommendation_id"], "k": 30},
    )
    assert not {"i1", "i2"} & set(items(following))
    assert following.json()["as_of"]["seq"] == 1


def test_lists_that_are_not_known_are_gone(client):
    asked = {"recommendation_id": "what"}
    said = problem(client.post("/v1/recommendations/next", json=asked), 410, "list-expired")
    assert said == (
        "no list is kept under recommendation_id 'what': they are kept for 600 s, fewer where "
        "many are asked for, and not over a restart. Ask anew."
    )
    said = problem(client.post("/v1/recommendations/next", json={"id": 1}), 422, "invalid-request")
    assert "recommendation_id: expected that of a list, found null." in said and "id:" in said
    said = problem(client.post("/v1/recommendations/next", json=[1]), 422, "invalid-request")
    assert said == "expected a JSON object, found a list."


def test_lists_are_forgotten_in_time_and_memory_is_bounded():
    now = [0.0]
    lists = GivenLists(seconds=10, most_ids=40, longest=12, clock=lambda: now[0])
    asked = Asked(Question("u"), False)
    for n in range(20):
        lists.keep(str(n), asked, Engine.recommend, ("a", "b", "c"))
    assert len(lists) == 10  # four ids each
    with pytest.raises(Problem, match="no list is kept under recommendation_id '9'"):
        lists.following("9", 0, Terms())
    assert lists.following("10", 5, Terms())[0].question.k == 5
    now[0] = 11
    with pytest.raises(Problem, match="kept for 10 s"):
        lists.following("19", 0, Terms())
    lists.keep("new", asked, Engine.recommend, tuple("abcdefghijkl"))
    assert len(lists) == 1
    with pytest.raises(Problem, match="expected at most 12 items in one chain, found 12"):
        lists.following("new", 0, Terms())


# --- terms ---------------------------------------------------------------------------------------


def test_an_acknowledged_event_is_never_waited_for(client):
    (sent,) = client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}).json()["results"]
    for path in ("users/u1/recommendations", "items/i1/similar", "trending", "latest"):
        answer = client.get(f"/v1/{path}?min_seq={sent['seq']}")
        assert answer.json()["as_of"]["seq"] >= sent["seq"]
        assert answer.json()["took_ms"] < 1000


def test_an_entry_that_does_not_come_is_waited_for_so_long(client):
    started = time.perf_counter()
    answer = client.get("/v1/users/u1/recommendations?min_seq=3&timeout_ms=50")
    said = problem(answer, 503, "not-seen-yet")
    assert 0.04 < time.perf_counter() - started < 2
    assert answer.headers["retry-after"] == "1"
    assert said == (
        "expected to have seen entry 3 of the log within 0.05 s, found 0; ask again, or ask "
        "another server."
    )


def test_an_entry_that_comes_is_waited_for(client, engine):
    def later() -> None:
        time.sleep(0.1)
        engine.ingest([{"user_id": "u1", "item_id": "i1"}]).result()

    thread = threading.Thread(target=later)
    thread.start()
    answer = client.get("/v1/users/u1/recommendations?min_seq=1&timeout_ms=30000")
    thread.join()
    assert answer.json()["as_of"]["seq"] == 1


def test_an_answer_that_takes_too_long_is_not_waited_for(client, engine):
    gate = threading.Event()
    blocked = threading.Thread(target=lambda: engine.call(lambda _: gate.wait(20)).result())
    blocked.start()
    answer = client.get("/v1/users/u1/recommendations?timeout_ms=30")
    gate.set()
    blocked.join()
    assert problem(answer, 503, "timeout") == (
        "expected an answer within 30 ms, found none: the server is busy. Ask again, or allow "
        "more with timeout_ms."
    )


def test_what_is_amiss_is_named(client, engine, monkeypatch):
    assert client.get("/v1/users/u1/recommendations").json()["degraded"] == []
    monkeypatch.setattr(Engine, "fault", StoreError("no disk"))
    assert client.get("/v1/users/u1/recommendations").json()["degraded"] == ["store-failed"]


def test_an_explanation_names_the_experts(client, shop_log_frame, tmp_path, clock, make_client):
    answer = client.get("/v1/users/u1/recommendations?explain=true").json()
    voices = answer["explanation"]["voices"]
    assert sum(voices.values()) == pytest.approx(1, abs=1e-4) and "encoder" in voices
    assert "explanation" not in client.get("/v1/users/u1/recommendations").json()
    stranger = client.get("/v1/users/nobody/recommendations?explain=1").json()
    assert stranger["explanation"] == {"voices": None, "items": None}
    settings = TrainConfig(epochs=1, device="cpu")
    model = SequenceRecommender(GRU(dim=8), training=settings, experts=None)
    model.fit(Log.from_frame(shop_log_frame)).save(tmp_path / "plain")
    engine = Engine.open(tmp_path / "plain", clock=clock)
    answer = make_client(engine).get("/v1/users/u1/recommendations?explain=1").json()
    assert answer["explanation"]["voices"] is None
    assert all(one["voices"] is None for one in answer["explanation"]["items"])
    engine.close()


def test_an_explanation_names_the_events_that_speak_for_each_item(client, shop_log_frame):
    answer = client.get("/v1/users/u1/recommendations?k=3&explain=true")
    told = answer.json()["explanation"]["items"]
    assert [one["item_id"] for one in told] == items(answer)
    history = set(shop_log_frame.filter(user_id="u1")["item_id"])
    for one in told:
        assert 0 < one["chance"] < 1
        assert sum(one["voices"].values()) == pytest.approx(1, abs=1e-6)
        brought = [event["contribution"] for event in one["events"]]
        assert brought == sorted(brought, reverse=True) and all(b > 0 for b in brought)
        assert all(event["item_id"] in history for event in one["events"])
        assert all((e["title"] or e["item_id"]) in e["sentence"] for e in one["events"])
    visit = [{"item_id": "i1", "timestamp": "2026-02-09T10:00Z"}]
    answer = client.post("/v1/recommendations", json={"history": visit, "k": 2, "explain": True})
    told = answer.json()["explanation"]["items"]
    assert [one["item_id"] for one in told] == items(answer)


# --- visits, popular, new ------------------------------------------------------------------------


def test_a_visit_is_a_list_of_events(client, engine):
    visit = [
        {"item_id": "i1", "timestamp": "2026-02-09T10:00Z", "event_type": "view"},
        {"itemId": "i2", "sentAt": "2026-02-09T10:05Z", "value": 2, "user_id": "x"},
    ]  # fmt: skip
    answer = client.post("/v1/recommendations/session?k=4&repeats=false", json=visit)
    named = [{"item_id": "i1", "timestamp": "2026-02-09T10:00Z", "event_type": "view"},
             {"item_id": "i2", "timestamp": "2026-02-09T10:05Z", "value": 2}]  # fmt: skip
    same = client.post("/v1/recommendations", json={"history": named, "k": 4, "repeats": False})
    assert items(answer) == items(same) and len(items(answer)) == 4
    assert engine.last_seq == 0 and engine.n_users == 20
    lines = b'{"item_id":"i1"}\n{"item_id":"i2"}\n'
    headers = {"content-type": "application/x-ndjson"}
    now = client.post("/v1/recommendations/session", content=lines, headers=headers).json()
    assert not now["fallback"] and now["at"] == "2026-02-10T00:00:00Z"


def test_what_is_wrong_in_a_visit_is_said(client):
    said = problem(
        client.post("/v1/recommendations/session?k=0", json=[{"item": "i1"}, 3]),
        422,
        "invalid-request",
    )
    assert "history[0]: unknown field 'item'; did you mean 'item_id'? item_id: is missing." in said
    assert "history[1]: expected an object, found 3." in said and "k: expected" in said
    lines = b'{"item_id":"i1"}\n{\n'
    headers = {"content-type": "application/x-ndjson"}
    answer = client.post("/v1/recommendations/session", content=lines, headers=headers)
    assert "line 2 is not JSON" in problem(answer, 422, "invalid-request")


def test_what_is_popular_moves_with_events(client):
    answer = client.get("/v1/trending?k=3").json()
    assert answer["fallback"] and answer["user_id"] is None
    client.post("/v1/events", json=[{"user_id": f"n{n}", "item_id": "i7"} for n in range(200)])
    assert client.get("/v1/trending?k=3").json()["items"][0]["item_id"] == "i7"
    odd = items(client.get("/v1/trending?k=30&categories=odd"))
    assert odd[0] == "i7" and {int(one[1:]) % 2 for one in odd} == {1}
    said = problem(client.get("/v1/trending?repeats=true"), 422, "invalid-request")
    assert "repeats: unknown field" in said


def test_what_came_last_comes_first(client):
    sent = [
        {"item_id": "i3", "available_from": "2026-02-05"},
        {"item_id": "i4", "available_from": "2026-02-06", "categories": ["odd"]},
        {"item_id": "i5", "available_from": "2030-01-01"},
    ]
    client.put("/v1/items", json=sent)
    answer = client.get("/v1/latest?k=30")
    listed = items(answer)
    assert listed[:2] == ["i4", "i3"] and "i5" not in listed and len(listed) == 29
    assert answer.json()["items"][0]["score"] == pytest.approx(1_770_336_000.0)
    assert items(client.get("/v1/latest?k=2")) == ["i4", "i3"]
    assert items(client.get("/v1/latest?k=1&categories=odd")) == ["i4"]
    assert items(client.get("/v1/latest?k=1&at=2030-01-01")) == ["i5"]
    client.post("/v1/events", json={"user_id": "u1", "item_id": "brand-new"})
    assert items(client.get("/v1/latest?k=3")) == ["i4", "i3", "brand-new"]
    few = client.get("/v1/latest?k=40&candidates=i3,nothing")
    assert items(few) == ["i3"]
    assert few.json()["notes"][0] == "1 of 2 candidates were never seen: left out."
    assert "k=40" in few.json()["notes"][1]


def test_waiting_does_not_hold_up_others(client):
    async def both() -> list[Any]:
        slow = client._http.get("/v1/trending?min_seq=9&timeout_ms=300")
        fast = client._http.get("/v1/trending")
        return list(await asyncio.gather(slow, fast))

    slow, fast = client._runner.run(both())
    assert slow.status_code == 503 and fast.status_code == 200
