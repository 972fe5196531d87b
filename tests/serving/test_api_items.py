"""Items, one by one: described, changed, taken away, listed; and who changes one waits his turn."""

import asyncio
from typing import Any

import pytest

from recency.serving.http.turns import Turns


def problem(answer: Any, status: int, code: str) -> str:
    """Check that an answer is a problem of this kind, and give its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["detail"])


def described(client: Any, item: str) -> dict[str, Any]:
    """Give what the service knows about an item, without what every answer has."""
    answer = client.get(f"/v1/items/{item}")
    assert answer.status_code == 200, answer.text
    return {n: one for n, one in answer.json().items() if n not in ("as_of", "model_version")}


def test_an_item_is_put_under_its_address(client, engine):
    answer = client.put("/v1/items/i1", json={"title": "Tent", "price": 3})
    assert answer.json()["status"] == "accepted" and answer.json()["item_id"] == "i1"
    assert answer.json()["as_of"]["seq"] == engine.as_of.seq == 1
    assert described(client, "i1") == {"item_id": "i1", "title": "Tent", "price": 3.0, "seen": True}
    client.put("/v1/items/i1", json={"item_id": "i1", "price": 4})
    assert described(client, "i1") == {"item_id": "i1", "price": 4.0, "seen": True}
    assert client.put("/v1/items/a%2Fb", json={"title": "x"}).json()["item_id"] == "a/b"
    assert described(client, "a%2Fb")["title"] == "x"


def test_a_change_leaves_the_rest(client):
    whole = {"title": "Tent", "categories": ["a", "b"], "expires_at": "2026-03-01", "price": 3}
    client.put("/v1/items/i1", json=whole)
    answer = client.request("PATCH", "/v1/items/i1", json={"price": 2.5, "categories": None})
    assert answer.json()["status"] == "accepted"
    assert described(client, "i1") == {
        "item_id": "i1",
        "title": "Tent",
        "expires_at": "2026-03-01T00:00:00Z",
        "price": 2.5,
        "seen": True,
    }
    client.request("PATCH", "/v1/items/i2", json={"price": 1})  # described by the model's folder
    assert described(client, "i2")["title"] == "Item 2" and described(client, "i2")["price"] == 1.0
    client.request("PATCH", "/v1/items/i2?unit=s", json={"available_from": 1_780_000_000})
    assert described(client, "i2")["available_from"] == "2026-05-28T20:26:40Z"


def test_changes_of_one_item_at_once_are_all_kept(client):
    fields = {"title": "T", "text": "long", "price": 5.0, "domain": "shop", "categories": ["c"]}

    async def change() -> None:
        requests = [
            client._http.patch("/v1/items/i1", json={name: value}) for name, value in fields.items()
        ]
        assert {one.status_code for one in await asyncio.gather(*requests)} == {200}

    client._runner.run(change())
    assert described(client, "i1") == {"item_id": "i1", **fields, "seen": True}


def test_an_item_taken_away_is_not_given_until_it_is_described_anew(client):
    def given() -> set[str]:
        answer = client.get("/v1/users/u1/recommendations?k=40").json()
        return {one["item_id"] for one in answer["items"]}

    assert "i1" in given()
    assert client.request("DELETE", "/v1/items/i1").json()["status"] == "deleted"
    assert "i1" not in given()
    assert described(client, "i1") == {"item_id": "i1", "is_hidden": True, "seen": True}
    assert client.request("DELETE", "/v1/items/i1").json()["status"] == "deleted"
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
    assert "i1" not in given()
    client.put("/v1/items/i1", json={"title": "Back"})
    assert "i1" in given()


def test_what_is_hidden_is_not_given_and_can_be_shown_again(client):
    def listed(path: str) -> list[str]:
        return [one["item_id"] for one in client.get(path).json()["items"]]

    client.request("PATCH", "/v1/items/i4", json={"is_hidden": True})
    for path in ("users/u1/recommendations", "trending", "latest"):
        assert "i4" not in listed(f"/v1/{path}?k=40")
    client.request("PATCH", "/v1/items/i4", json={"is_hidden": False})
    assert "i4" in listed("/v1/users/u1/recommendations?k=40")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_was_never_heard_of_is_not_changed(client, method):
    body = {"json": {"price": 1}} if method == "PATCH" else {}
    said = problem(client.request(method, "/v1/items/what", **body), 404, "unknown-id")
    assert said.startswith("item 'what' is unknown")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([1], "expected a JSON object, found a list."),
        ({"item_id": "i2"}, "item_id: expected 'i1' as in the address, or none, found 'i2'."),
        ({"price": "x"}, "price must be a finite number, found 'x'."),
        ({"prize": 1}, "unknown field 'prize'; did you mean 'price'?"),
        ({"is_hidden": "no"}, "is_hidden must be true or false, found 'no'."),
    ],
)
def test_what_is_wrong_with_an_item_is_said(client, body, said):
    for method in ("PUT", "PATCH"):
        answer = client.request(method, "/v1/items/i1", json=body)
        assert problem(answer, 422, "invalid-request") == said


def test_a_batch_may_be_posted_too(client):
    sent = [{"item_id": "i1", "title": "Tent"}, {"item_id": "i2", "price": "x"}]
    answer = client.post("/v1/items", json=sent).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert described(client, "i1")["title"] == "Tent"


def test_items_are_listed_page_by_page(client):
    client.put("/v1/items", json={"item_id": "new", "title": "New"})
    client.post("/v1/events", json={"user_id": "u1", "item_id": "new"})
    cursor, listed = "", []
    while cursor is not None:
        page = client.get(f"/v1/items?limit=12{cursor and '&cursor=' + cursor}").json()
        assert page["n_items"] == 31 and len(page["items"]) <= 12
        listed += page["items"]
        cursor = page["next_cursor"]
    assert [one["item_id"] for one in listed[-1:]] == ["new"]
    assert sorted(one["item_id"] for one in listed) == sorted(
        [*(f"i{n}" for n in range(30)), "new"]
    )
    assert listed[0]["title"] == f"Item {listed[0]['item_id'][1:]}"
    assert client.get("/v1/items?cursor=r31").json()["items"] == []
    for cursor in ("x", "r", "r-1", "r1.5", "r9999999999999999", "12"):
        said = problem(client.get(f"/v1/items?cursor={cursor}"), 422, "invalid-request")
        assert f"cursor: expected the next_cursor of the page before, found '{cursor}'" in said


def test_turns_are_taken_by_thing():
    async def scene() -> list[str]:
        turns, done = Turns(), []

        async def take(name: str, things: list[str], seconds: float) -> None:
            async with turns.of(things):
                await asyncio.sleep(seconds)
                done.append(name)

        await asyncio.gather(
            take("slow a", ["a"], 0.05), take("quick b", ["b"], 0.01), take("both", ["b", "a"], 0)
        )
        try:
            async with turns.of(["c"]):
                raise KeyError
        except KeyError:
            await take("c again", ["c"], 0)
        return done

    assert asyncio.run(scene()) == ["quick b", "slow a", "both", "c again"]
