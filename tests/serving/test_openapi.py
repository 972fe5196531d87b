"""What OpenAPI says is what the service does: its models hold for every real answer."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel

from recency.serving.http import schema
from recency.serving.http.documentation import ROUTES
from recency.serving.http.question_checks import BODY_FIELDS, QUERY_FIELDS
from recency.serving.intake.event_checks import EVENT_FIELDS
from recency.serving.intake.item_checks import ITEM_FIELDS

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def whole(client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def values(tree: Any, name: str) -> Iterator[Any]:
    """Find every value of a key, however deep."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name:
                yield value
            yield from values(value, name)
    elif isinstance(tree, list):
        for one in tree:
            yield from values(one, name)


def test_it_is_valid_and_every_reference_leads_somewhere(whole):
    OpenAPI.model_validate(whole)
    assert whole["openapi"].startswith("3.1")
    references = set(values(whole, "$ref"))
    assert references
    for one in references:
        place: Any = whole
        for part in one.removeprefix("#/").split("/"):
            place = place[part]
    operations = list(values(whole, "operationId"))
    assert len(operations) == len(set(operations)) == len(ROUTES)


def test_parameters_in_paths_are_declared(whole):
    for path, operations in whole["paths"].items():
        for operation in operations.values():
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_route_has_an_example_that_fits_its_model():
    for route in ROUTES:
        if route.answer is not None:
            route.answer.model_validate(route.example)
        for example in route.bodies.values():
            assert route.body is not None
            route.body.model_validate(example)


def test_the_examples_of_bodies_are_accepted(client):
    """What the documentation tells people to send, the service takes."""
    client.put("/v1/items", json={"item_id": "tent", "title": "A tent"})
    page = client.post("/v1/recommendations", json={"history": []}).json()["recommendation_id"]
    for route in ROUTES:
        if route.answer is schema.ForetellAnswer:
            continue  # this shop has no heads: see test_api_foretell
        for name, body in route.bodies.items():
            example = body | ({"recommendation_id": page} if "recommendation_id" in body else {})
            path = route.path.replace("{item_id}", "tent").replace("{user_id}", "u1")
            answer = client.request(route.method, path, json=example)
            assert answer.status_code == 200, (route.path, name, answer.text)
            assert answer.json().get("rejected", 0) == 0, (route.path, name, answer.text)


def test_documented_fields_are_the_fields_that_are_read():
    assert set(schema.EventIn.model_fields) == set(EVENT_FIELDS)
    assert set(schema.ItemIn.model_fields) == set(ITEM_FIELDS)
    assert set(schema.QuestionIn.model_fields) == set(BODY_FIELDS)
    route = next(one for one in ROUTES if one.handler.__name__ == "get_recommendations")
    assert {one["name"] for one in route.query} == set(QUERY_FIELDS)


def test_real_answers_fit_their_models(client):
    sent = [{"user_id": "u1", "item_id": "i1", "event_type": "view"}, {}]
    history = [{"item_id": "i1", "timestamp": "2026-02-01"}]
    asked = {"history": history, "details": True, "candidates": ["i1", "what"]}
    answers: list[tuple[type[BaseModel], httpx.Response]] = [
        (schema.EventsAnswer, client.post("/v1/events", json=sent)),
        (schema.ItemsAnswer, client.put("/v1/items", json=[{"item_id": "i1", "price": 2}, {}])),
        (schema.RecommendationsAnswer, client.get("/v1/users/u1/recommendations")),
        (schema.RecommendationsAnswer, client.post("/v1/recommendations", json=asked)),
        (schema.SimilarAnswer, client.get("/v1/items/i1/similar?details=true")),
        (schema.ItemAnswer, client.get("/v1/items/i1")),
        (schema.UsersAnswer, client.get("/v1/users?limit=3")),
        (schema.DescribeAnswer, client.put("/v1/users/u1", json={"country": "AT", "age": 31})),
        (schema.UserAnswer, client.get("/v1/users/u1")),
        (schema.ModelsAnswer, client.get("/v1/models")),
        (schema.ModelChanged, client.post(f"/v1/models/{serving(client)}/promote")),
        (schema.StateAnswer, client.get("/health")),
        (schema.StateAnswer, client.get("/ready")),
        (schema.StatusAnswer, client.get("/v1/status")),
        (schema.RecommendationsAnswer, client.get("/v1/trending?details=true")),
        (schema.RecommendationsAnswer, client.get("/v1/latest")),
        (schema.RecommendationsAnswer, client.post("/v1/recommendations/session", json=history)),
        (schema.ItemListAnswer, client.get("/v1/items?limit=3")),
        (schema.ItemTaken, client.request("PATCH", "/v1/items/i1", json={"price": 3})),
        (schema.JobAnswer, client.post("/v1/import", content=b"{}", headers=NDJSON)),
        (schema.JobAnswer, client.post("/v1/backup")),
        (schema.JobsAnswer, client.get("/v1/jobs")),
        (schema.MergeAnswer, client.post("/v1/users/u1/merge", json={"anonymous_id": "a1"})),
        (schema.EraseAnswer, client.request("DELETE", "/v1/users/u9")),
        (schema.ProblemAnswer, client.get("/v1/users/u1?limit=0")),
        (schema.ProblemAnswer, client.get("/nothing")),
    ]
    for model, answer in answers:
        model.model_validate_json(answer.content)
    # A search is answered in test_item_rows: this shop knows no texts.
    documented = {route.answer for route in ROUTES} - {
        None,
        schema.SearchAnswer,
        schema.ForetellAnswer,
    }
    assert documented <= {model for model, _ in answers}


def serving(client: Any) -> str:
    return str(client.get("/v1/models").json()["models"][0]["model_version"])


def test_the_page_of_the_documentation_is_there(client):
    page = client.get("/docs")
    assert page.status_code == 200 and "/openapi.json" in page.text
