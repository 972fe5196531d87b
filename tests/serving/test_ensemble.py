"""An ensemble behind the real service: the same promises as one model's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recency.baselines import ItemNeighbours, Markov
from recency.data.log import Log
from recency.ensemble import Ensemble
from recency.ensemble.members import Member
from recency.loading import load
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.questions import Question, Ranked
from recency.training.config import TrainConfig

DAY = 86_400_000_000
NOW = 1_767_225_600_000_000 + 40 * DAY  # 2026-02-10T00:00Z


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "shop"
    training = TrainConfig(epochs=1, valid_share=0.0, device="cpu")
    models = [SequenceRecommender(GRU(8), training=training, seed=seed) for seed in (0, 1)]
    members: list[Member] = [*models, Markov(), ItemNeighbours(3, True)]
    Ensemble(members, valid_share=0.2).fit(Log.from_frame(events())).save(folder)
    return folder


def events() -> pl.DataFrame:
    """Twenty users walk over thirty items, mostly to the next one, for thirty days."""
    rows = [
        (f"u{n % 20}", f"i{(n // 20 * (1 + n % 2) + n) % 30}", NOW - 40 * DAY + n * 6_000_000_000)
        for n in range(400)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


@pytest.fixture
def opened(
    saved: Path, tmp_path: Path, clock: Callable[[], int]
) -> Iterator[Callable[..., Engine]]:
    """Open the shop on a store of the test's own; what is still open is closed at the end."""
    engines: list[Engine] = []

    def open_shop(store: str = "events.sqlite") -> Engine:
        engines.append(Engine.open(saved, tmp_path / store, clock=clock))
        return engines[-1]

    yield open_shop
    for engine in engines:
        engine.close()


def ask(engine: Engine, user: str, **fields: Any) -> Ranked:
    return engine.recommend(Question(user, **fields)).result(timeout=30)


def send(engine: Engine, *rows: dict[str, Any]) -> None:
    outcomes = engine.ingest(list(rows)).result(timeout=30)
    assert all(one.status == "accepted" for one in outcomes)


def row(user: str, item: str, **fields: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item} | fields


def test_an_event_is_seen_by_the_next_answer_and_survives_a_restart(opened):
    engine = opened()
    before = ask(engine, "u1", k=30)
    send(engine, row("u1", "i7"), row("u1", "i8"), row("fresh", "i3"))
    after = ask(engine, "u1", k=30)
    assert after.as_of.seq == 3 and after.scores != before.scores
    assert not ask(engine, "fresh").fallback and ask(engine, "nobody").fallback
    answers = [ask(engine, user, k=30, at=NOW + DAY) for user in ("u1", "u2", "fresh", "nobody")]
    engine.close()
    engine = opened()
    assert engine.follower.n_replayed == 3
    for old in answers:
        again = ask(engine, str(old.user), k=30, at=NOW + DAY)
        assert again.items == old.items and again.scores == pytest.approx(old.scores, abs=1e-5)


def test_a_served_score_is_the_offline_one(opened, saved):
    engine, alone = opened(), load(saved)
    rows = [row(f"u{n % 20}", f"i{n % 30}", timestamp=NOW - DAY + n) for n in range(40)]
    send(engine, *rows)
    alone.observe(rows)
    for user in ("u0", "u5", "u19"):
        served, found = ask(engine, user, k=30), alone.recommend([user], 30, at=NOW)
        assert served.items == found.items[0]
        assert served.scores == pytest.approx(found.scores[0], abs=1e-5)
        assert served.model_version == alone.model_version


def test_every_route_of_questions_answers(opened, make_client):
    client = make_client(opened())
    body = client.get("/v1/users/u1/recommendations?k=5").json()
    assert len(body["items"]) == 5
    assert client.get("/v1/items/i3/similar?k=3").status_code == 200
    visit = {"history": [{"item_id": "i1", "timestamp": "2026-02-09T10:00Z"}], "k": 4}
    assert client.post("/v1/recommendations", json=visit).status_code == 200
    assert client.post("/v1/events", json=row("u1", "i9")).status_code in (200, 202)
    assert client.get("/ready").status_code == 200
    models = client.get("/v1/models")
    assert models.status_code == 200
