"""Heads over HTTP: the same numbers as asked of the model, and what cannot be asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

import recency as rc
from recency.data.log import Log
from recency.recommender import SequenceRecommender
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.http import schema
from recency.serving.http.documentation import ROUTES

USERS, ITEMS = ["u1", "u2"], ["i1", "i2"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    start = 1_767_225_600_000_000
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n % 15}" for n in range(240)],
            "item_id": [f"i{n * 7 % 11}" for n in range(240)],
            "timestamp": pl.Series([start + n * n * 60_000_000 for n in range(240)]),
            "event_type": ["buy" if n * 5 % 3 == 0 else "view" for n in range(240)],
            "value": [float(n % 5) for n in range(240)],
        }
    ).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    heads = [
        rc.RatingHead(),
        rc.TypeHead("buy"),
        rc.TimeHead(parts=2),
        rc.HorizonHead("buy", "1d"),
        rc.BasketHead("2d"),
    ]
    training = rc.TrainConfig(epochs=1, heads="apart", device="cpu")
    folder = tmp_path_factory.mktemp("model") / "shop"
    model = SequenceRecommender(rc.GRU(dim=8), training=training, heads=heads)
    model.fit(Log.from_frame(frame)).save(folder)
    return folder


@pytest.fixture(scope="module")
def service(kept: Path) -> Iterator[TestClient]:
    engine = Engine.open(kept, clock=lambda: 1_774_000_000_000_000)
    with TestClient(create_app(engine)) as client:
        yield client
    engine.close()


def told(service: TestClient, **asked: Any) -> list[dict[str, Any]]:
    answer = service.post("/v1/foretell", json={"at": 1_770_000_000_000_000, **asked})
    assert answer.status_code == 200, answer.text
    schema.ForetellAnswer.model_validate_json(answer.content)
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def same(rows: list[dict[str, Any]], frame: pl.DataFrame) -> None:
    assert list(rows[0]) == frame.columns
    for row, expected in zip(rows, frame.to_dicts(), strict=True):
        for name, value in expected.items():
            assert row[name] == (
                value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
            )


def test_the_service_tells_what_the_model_tells(service, kept):
    model, at = SequenceRecommender.load(kept), 1_770_000_000_000_000
    same(told(service, what="rating", users=USERS, items=ITEMS), model.rate(USERS, ITEMS, at=at))
    same(
        told(service, what="propensity", users=USERS, items=ITEMS, event_type="buy"),
        model.propensity(USERS, ITEMS, event_type="buy", at=at),
    )
    same(
        told(service, what="propensity", users=USERS, event_type="buy", horizon="1d"),
        model.propensity(USERS, event_type="buy", horizon="1d", at=at),
    )
    same(
        told(service, what="next_time", users=USERS, horizons=["1d", 3600]),
        model.next_time(USERS, at=at, horizons=["1d", 3600]),
    )
    same(told(service, what="basket", users=USERS, k=3), model.basket(USERS, 3, at=at))


def test_the_examples_of_the_documentation_are_accepted(service):
    (route,) = (one for one in ROUTES if one.answer is schema.ForetellAnswer)
    for body in route.bodies.values():
        assert service.post(route.path, json=body).status_code == 200


def test_an_event_counts_for_the_next_answer(service):
    asked = {"what": "next_time", "users": ["u3"], "horizons": ["1d"], "at": 1_774_000_000_000_000}
    basket = {"what": "basket", "users": ["u3"], "k": 2, "at": 1_774_000_000_000_000}
    before, unmoved = told(service, **asked), told(service, **basket)
    event = {"user_id": "u3", "item_id": "i1", "timestamp": 1_773_999_990_000_000}
    assert service.post("/v1/events", json=event).status_code == 200
    assert told(service, **asked) != before
    assert told(service, **basket) != unmoved


@pytest.mark.parametrize(
    ("objective", "status", "said"),
    [
        ("buy", 200, ""),
        ("buy:0.5", 200, ""),
        ("click", 422, "no head for events of type 'click'"),
        ("buy:x", 422, "expected name:factor"),
    ],
)
def test_lists_follow_an_objective(service, objective, status, said):
    answer = service.get("/v1/users/u1/recommendations", params={"objective": objective})
    assert answer.status_code == status and said in answer.text


def test_all_faults_of_a_question_come_together(service):
    asked = {"what": "mood", "users": [], "items": ["i1"], "horizon": -1, "moon": 1}
    answer = service.post("/v1/foretell", json=asked)
    assert answer.status_code == 422
    for said in (
        "expected one of rating, propensity, next_time, basket",
        "1 to",
        "above 0",
        "moon",
    ):
        assert said in answer.json()["detail"]


def test_what_the_model_has_no_head_for_is_refused(service):
    asked = {"what": "propensity", "users": ["u1"], "event_type": "like", "horizon": "1d"}
    answer = service.post("/v1/foretell", json=asked)
    assert answer.status_code == 422 and "no head for 'like within 1 d'" in answer.json()["detail"]
    basket = service.post("/v1/foretell", json={"what": "basket", "users": ["u1"], "k": 0})
    assert basket.status_code == 422 and "1 to 1,000" in basket.json()["detail"]
    assert basket.headers["content-type"] == "application/problem+json"
    many = service.post("/v1/foretell", json={"what": "basket", "users": ["u1"] * 101})
    assert many.status_code == 422 and "at most 100 for baskets" in many.json()["detail"]
    rating = service.post("/v1/foretell", json={"what": "rating", "users": ["u1"]})
    assert rating.status_code == 422 and "one for each of 1 users" in rating.json()["detail"]
