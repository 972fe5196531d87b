"""Rules through the service: how they are written, what is wrong with them, how soon they hold."""

import time
from urllib.parse import quote

import pytest

from recency.serving.http.question_checks import asked_in_body, query_reader
from recency.serving.http.rule_checks import RULE_FIELDS
from recency.serving.questions import Question

from .conftest import NOW


def items_of(client, query=""):
    answer = client.get(f"/v1/users/u3/recommendations?k=30&{query}")
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


def posted(client, **body):
    answer = client.post("/v1/recommendations", json={"user_id": "u3", "k": 30, **body})
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("price=5..20", {"price": "5..20"}),
        ("price=5..20", {"price": [5, 20]}),
        ("price=5..", {"price": {"least": 5}}),
        ("price=..20", {"price": [None, 20]}),
        ("boost=odd:3", {"boost": {"odd": 3}}),
        ("boost=odd:3,item:i4:0.5&boost=i5:2", {"boost": {"odd": 3, "item:i4": 0.5, "i5": 2}}),
        ("domain=de,fr", {"domain": ["de", "fr"]}),
        ("domain=de", {"domain": "de"}),
        ("exclude_categories=odd", {"exclude_categories": ["odd"]}),
        ("candidates=i1,i2&exclude=i2", {"candidates": ["i1", "i2"], "exclude": ["i2"]}),
        ("diversity=0.4&explore=0.2", {"diversity": 0.4, "explore": 0.2}),
        ("max_per_category=3", {"max_per_category": 3}),
        ("out_of_stock=true", {"out_of_stock": True}),
        ("explore=1&explore_age=40d", {"explore": 1, "explore_age": 3_456_000}),
    ],
)
def test_an_address_says_what_a_body_says(client, query, body):
    client.put(
        "/v1/items",
        json=[
            {"item_id": "i1", "categories": ["odd"], "price": 5, "domain": "de"},
            {"item_id": "i2", "categories": ["even"], "price": 20, "domain": "fr"},
            {"item_id": "i3", "categories": ["odd"], "price": 99, "in_stock": False},
        ],
    )
    assert items_of(client, query) == posted(client, **body)
    assert items_of(client, query) != items_of(client) or query.startswith("explore")


def test_all_rules_reach_the_selection(client, engine):
    body = {
        "history": [],
        "exclude_categories": ["odd"],
        "domain": ["de"],
        "price": [None, 3],
        "out_of_stock": True,
        "boost": {"even": 2},
        "rotation": 0.5,
        "rotation_time": "1h",
        "counts_as_shown": False,
        "diversity": 0.25,
        "max_per_category": 4,
        "explore": 0.125,
        "explore_age": "7d",
        "objective": {"buy": 0.5},
    }
    assert set(body) - {"history"} == set(RULE_FIELDS)
    found = asked_in_body(body, engine.checks).question.selection
    assert found.keywords() == {
        "exclude_categories": ("odd",),
        "domain": ("de",),
        "price": (None, 3.0),
        "out_of_stock": True,
        "boost": (("even", 2.0),),
        "rotation": 0.5,
        "rotation_time": 3600.0,
        "counts_as_shown": False,
        "diversity": 0.25,
        "max_per_category": 4,
        "explore": 0.125,
        "explore_age": 604_800.0,
        "objective": (("buy", 0.5),),
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("price=5", "price: expected least..most such as 5..20, 5.. or ..20, found '5'."),
        ("price=..", "price: expected least..most such as 5..20, 5.. or ..20, found '..'."),
        ("price=9..x", "price: the most must be a finite number, found 'x'."),
        ("price=9..2", "price: the least is more than the most, found 9..2."),
        ("boost=camping", "boost: expected name:factor such as camping:2, found 'camping'."),
        ("boost=odd:x", "boost: expected name:factor such as camping:2, found 'odd:x'."),
        ("boost=odd:0", "boost.odd: expected a factor above 0, found 0.0."),
        ("boost=odd:-2", "boost.odd: expected a factor above 0, found -2.0."),
        ("boost=odd:nan", "boost.odd: the factor must be a finite number, found nan."),
        (
            "boost=ods:2",
            "boost of 'ods': neither a category nor an item is called so; did you mean 'odd'?",
        ),
        ("rotation=2", "rotation: expected a number from 0 to 1, found 2."),
        ("diversity=much", "diversity: expected a number from 0 to 1, found 'much'."),
        ("explore=-1", "explore: expected a number from 0 to 1, found -1."),
        (
            "rotation_time=soon",
            "rotation_time: expected seconds above 0, or text such as 2h or 30d, found 'soon'.",
        ),
        (
            "explore_age=0",
            "explore_age: expected seconds above 0, or text such as 2h or 30d, found 0.",
        ),
        ("max_per_category=0", "max_per_category: expected a whole number of at least 1, found 0."),
        ("out_of_stock=2", "out_of_stock: expected true or false, found '2'."),
        ("domain=fr", "no item has the domain 'fr'. Known: none."),
        (
            "price=a..&diversity=3",
            "price: the least must be a finite number, found 'a'. "
            "diversity: expected a number from 0 to 1, found 3.",
        ),
    ],
)
def test_what_is_wrong_in_an_address_is_said(client, query, said):
    answer = client.get(f"/v1/users/u3/recommendations?{quote(query, safe='=&')}")
    assert answer.status_code == 422
    assert answer.json()["detail"] == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"price": [1, 2, 3]},
            "price: expected least..most such as 5..20, 5.. or ..20, found a list.",
        ),
        ({"price": [True, 2]}, "price: the least must be a finite number, found true."),
        ({"boost": ["odd"]}, "boost: expected an object of names and factors, found a list."),
        ({"boost": {"odd": "2"}}, "boost.odd: the factor must be a finite number, found '2'."),
        ({"boost": {"odd": None}}, "boost.odd: expected a factor above 0, found null."),
        (
            {"boost": dict.fromkeys(map(str, range(1001)), 1)},
            "boost: expected at most 1,000, found 1,001.",
        ),
        ({"domain": [1]}, "domain: expected a list of texts, none of them empty, found a list."),
        (
            {"exclude_categories": ["x"] * 1001},
            "exclude_categories: expected at most 1,000, found 1,001.",
        ),
        ({"explore": True}, "explore: expected a number from 0 to 1, found true."),
        ({"counts_as_shown": "no"}, "counts_as_shown: expected true or false, found 'no'."),
        (
            {"rotation_time": True},
            "rotation_time: expected seconds above 0, or text such as 2h or 30d, found true.",
        ),
        (
            {"max_per_category": 1.5},
            "max_per_category: expected a whole number of at least 1, found 1.5.",
        ),
    ],
)
def test_what_is_wrong_in_a_body_is_said(client, body, said):
    answer = client.post("/v1/recommendations", json={"user_id": "u3", **body})
    assert answer.status_code == 422
    assert answer.json()["detail"] == said


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"is_hidden": 1}, "is_hidden must be true or false, found 1."),
        ({"in_stock": "yes"}, "in_stock must be true or false, found 'yes'."),
        ({"domain": ["de"]}, "domain must be text, found a list."),
    ],
)
def test_what_is_wrong_with_an_item_is_said(client, item, said):
    answer = client.put("/v1/items", json={"item_id": "i1", **item}).json()
    assert answer["results"][0]["error"] == said


def test_a_new_item_is_given_at_once_and_after_a_restart(client, engine, shop, clock):
    started = time.perf_counter()
    client.put("/v1/items", json={"item_id": "new", "categories": ["odd"], "price": 2})
    assert "new" in everything(client)
    assert time.perf_counter() - started < 1
    assert "new" in everything(client, "categories=odd") and "new" in everything(
        client, "price=..3"
    )
    assert "new" not in everything(client, "categories=even")
    assert not client.get("/v1/items/new").json()["seen"]
    client.put("/v1/items", json={"item_id": "new", "categories": ["odd"], "price": 4})
    assert "new" not in everything(client, "price=..3")
    client.put("/v1/items", json={"item_id": "new", "is_hidden": True})
    assert "new" not in everything(client)
    client.post("/v1/events", json={"user_id": "u3", "item_id": "new"})
    assert "new" not in everything(client) and client.get("/v1/items/new").json()["seen"]


def everything(client, query=""):
    answer = client.get(f"/v1/users/u3/recommendations?k=40&{query}").json()
    return {one["item_id"] for one in answer["items"]}


def test_what_a_user_was_shown_steps_back(client, engine):
    now = [NOW]
    engine._clock = lambda: now[0]

    def first(query="rotation=1"):
        answer = client.get(f"/v1/users/u3/recommendations?k=3&{query}").json()
        now[0] += 60_000_000
        return [one["item_id"] for one in answer["items"]]

    plain = first("")
    assert first() == plain and not set(first()) & set(plain)
    assert first("") == plain  # nobody asked for rotation
    event = {"user_id": "u4", "item_id": "i1", "impression": ["i5", "i6"]}
    client.post("/v1/events", json=event)
    shown = engine.call(lambda model: model.rules.shown.count("u4")).result(timeout=10)
    assert shown == 2


def test_questions_of_several_lengths_are_answered_as_if_alone(engine):
    asked = [
        Question(
            "u3",
            k=k,
            selection=asked_in_body(
                {"history": [], "explore": 0.5, "diversity": 0.5}, engine.checks
            ).question.selection,
        )
        for k in (2, 5, 9)
    ]
    from recency.serving.answering import answer_all

    def answers(questions):
        found = engine.call(lambda model: answer_all(model, questions, NOW, engine.as_of)).result(
            timeout=30
        )
        return [one.items for one in found]

    assert answers(asked) == [answers([one])[0] for one in asked]


def test_texts_of_an_address_become_numbers_and_lists(client, engine):
    from starlette.datastructures import QueryParams

    raw = query_reader(
        QueryParams("domain=a,b&boost=a:b:2&explore=0.5&price=1.."), engine.checks
    ).raw
    assert raw == {"domain": ["a", "b"], "boost": {"a:b": 2.0}, "explore": 0.5, "price": "1.."}
