"""Items that are described while a model serves: scored by their words at once, and ever after."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

import recency as rc
from recency.client import calls
from recency.data.catalogue import Catalogue
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.http import schema
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.log.events import ItemChange
from recency.serving.models.registry import Registry
from recency.serving.questions import Question

COLOURS = ("red", "blue", "green", "grey")
THINGS = ("tent", "lamp", "book", "pan")


def words(folder: Path) -> Path:
    """A table of word vectors, each word a direction of its own."""
    model2vec = pytest.importorskip("model2vec", reason="pip install 'recency[text]'")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    listed = ["[UNK]", "[PAD]", *COLOURS, *THINGS]
    tokenizer = Tokenizer(WordLevel({w: n for n, w in enumerate(listed)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.vstack((np.zeros((2, 8)), np.eye(8))).astype(np.float32)
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(str(folder))
    return folder


def learned(folder: Path, seed: int = 0) -> rc.SequenceRecommender:
    """Users each stay with one colour, so that a colour says what comes next."""
    ids = [f"{colour}-{thing}" for colour in COLOURS for thing in THINGS]
    titles = [one.replace("-", " ") for one in ids]
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": ids, "title": titles}))
    rows = [
        (f"u{n}", f"{COLOURS[n % 4]}-{THINGS[(n + step) % 3]}", f"2026-01-0{1 + step}T0{n % 8}:00")
        for n in range(32)
        for step in range(8)
    ]
    frame = pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row")
    frame = frame.with_columns(
        pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M", time_zone="UTC")
    )
    vectors = rc.ItemVectors.of_texts(catalogue, rc.StaticTextEncoder(folder))
    return rc.SequenceRecommender(
        rc.GRU(16),
        inputs=rc.InputConfig(dropout=0.0, gap=False, calendar=False),
        training=rc.TrainConfig(epochs=25, lr=1e-2, valid_share=0.0, tokens=256),
        experts=None,
        fallback_half_life="7d",
        seed=seed,
    ).fit(rc.read_log(frame), catalogue, content=rc.Content([vectors], hidden=0.5))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> rc.SequenceRecommender:
    return learned(words(tmp_path_factory.mktemp("words") / "table"))


@pytest.fixture
def shop(model: rc.SequenceRecommender, tmp_path: Path) -> Path:
    model.save(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def opened(shop: Path) -> Iterator[Callable[[], Engine]]:
    engines: list[Engine] = []

    def start() -> Engine:
        for one in engines:
            one.close()
        engines[:] = [Engine.open(shop)]
        return engines[0]

    yield start
    for one in engines:
        one.close()


def put(engine: Engine, item: str, **facts: Any) -> None:
    change = ItemChecks(engine.checks).check({"item_id": item, **facts}, "us")
    assert isinstance(change, ItemChange)
    engine.put_items([change]).result(30)


def score(engine: Engine, item: str, user: str = "u0") -> float:
    def asked(model: Any) -> float:
        return float(model.score([user], [item])[0, 0])

    return engine.call(asked).result(30)


def wait_for(check: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait until something is so, and give the seconds that took."""
    began = time.perf_counter()
    while not check():
        assert time.perf_counter() - began < seconds, "it did not come to be in time"
        time.sleep(0.005)
    return time.perf_counter() - began


def scored(engine: Engine, *items: str) -> Callable[[], bool]:
    return lambda: all(score(engine, one) > -np.inf for one in items)


def test_a_new_item_is_scored_by_its_words(opened: Callable[[], Engine]) -> None:
    engine = opened()
    put(engine, "new-red", title="red pan")
    put(engine, "new-blue", title="blue pan")
    wait_for(scored(engine, "new-red", "new-blue"))
    assert score(engine, "new-red") > score(engine, "new-blue")  # u0 stays with red
    assert score(engine, "new-red", "u1") < score(engine, "new-blue", "u1")
    assert "new-red" in engine.recommend(Question("u0", k=50)).result(30).items


def test_scores_of_others_and_the_version_stay(opened: Callable[[], Engine]) -> None:
    engine = opened()
    before, version = score(engine, "red-tent"), engine.model_version
    put(engine, "new-red", title="red pan")
    wait_for(scored(engine, "new-red"))
    assert score(engine, "red-tent") == before and engine.model_version == version


def test_a_restart_gives_the_same_rows(opened: Callable[[], Engine], shop: Path) -> None:
    engine = opened()
    items = ["new-red", "new-blue", "bare"]
    put(engine, "new-red", title="green book")
    put(engine, "bare")
    put(engine, "new-blue", title="blue pan")
    put(engine, "new-red", title="red pan")  # what is said last counts
    wait_for(scored(engine, "new-blue"))
    wait_for(lambda: engine.similar_items("new-red", 1, "content").result(30).items == ["red-pan"])
    wanted = [score(engine, one, user) for one in items for user in ("u0", "u1", "u2")]
    again = opened()
    users = ("u0", "u1", "u2")
    found = [score(again, one, user) for one in items for user in users]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert again.snapshots is not None
    again.snapshots.take()
    third = opened()
    found = [score(third, one, user) for one in items for user in users]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert list((shop / "serve" / "vectors").iterdir())


def test_an_item_of_which_nothing_is_said(opened: Callable[[], Engine]) -> None:
    engine = opened()
    put(engine, "bare")
    put(engine, "new-red", title="red pan")
    wait_for(scored(engine, "new-red"))
    assert score(engine, "bare") == -np.inf  # no weights, though an item behind it has some
    put(engine, "bare", title="blue pan")
    wait_for(scored(engine, "bare"))


def test_new_items_may_still_be_explored(opened: Callable[[], Engine]) -> None:
    engine = opened()
    learned = engine.call(lambda model: model.live.models[0].n_learned).result(30)
    put(engine, "bare")
    put(engine, "new-red", title="red pan")
    wait_for(scored(engine, "new-red"))
    assert engine.call(lambda model: model.live.models[0].n_learned).result(30) == learned
    given = engine.recommend(Question("u0", k=50)).result(30).items
    assert "bare" in given  # as likely as an item picked blindly, as before


def test_another_version_has_the_same_items(
    opened: Callable[[], Engine], shop: Path, tmp_path: Path, model: rc.SequenceRecommender
) -> None:
    source = model.adaptor.features.sources["text"].model if model.adaptor else ""
    learned(Path(source), seed=1).save(tmp_path / "other")
    engine = opened()
    put(engine, "new-red", title="red pan")
    wait_for(scored(engine, "new-red"))
    first, value = engine.model_version, score(engine, "new-red")
    other = Registry.of(shop).publish(tmp_path / "other")
    engine.promote(other, force=True).result(60)
    assert engine.model_version != first and score(engine, "new-red") > -np.inf
    put(engine, "new-blue", title="blue pan")
    engine.rollback().result(60)
    assert engine.model_version == first and score(engine, "new-red") == pytest.approx(
        value, abs=1e-5
    )
    wait_for(scored(engine, "new-blue"))


def test_an_encoder_that_is_gone_is_told_plainly(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = shop.parent / "broken"
    twin = rc.load(shop)
    assert isinstance(twin, rc.SequenceRecommender) and twin.adaptor is not None
    sources = twin.adaptor.features.sources
    object.__setattr__(sources["text"], "identity", "static-0123456789abcdef")
    twin.save(broken)
    engine = Engine.open(broken)
    try:
        with caplog.at_level(logging.WARNING):
            put(engine, "new-red", title="red pan")
            wait_for(lambda: "given by their popularity alone" in caplog.text)
        assert "put the old one back" in caplog.text
        assert score(engine, "new-red") == -np.inf
        assert score(engine, "red-tent") > -np.inf
    finally:
        engine.close()


def test_over_http(opened: Callable[[], Engine]) -> None:
    engine = opened()
    with TestClient(create_app(engine)) as client:
        client.put("/v1/items", json=[{"item_id": "new-red", "title": "red pan"}])
        wait_for(scored(engine, "new-red"))
        call = calls.search("red pan", 2, details=True, min_seq=1)
        answer = client.get(call.path, params=call.query)
        found = schema.SearchAnswer.model_validate_json(answer.content).model_dump()
        assert call.read(answer.content).item_ids == [one["item_id"] for one in found["items"]]
        assert {one["item_id"] for one in found["items"]} == {"new-red", "red-pan"}
        assert found["q"] == "red pan" and found["model_version"] == engine.model_version
        call = calls.similar("new-red", 1, "content", details=False, min_seq=0)
        near = client.get(call.path, params=call.query).json()
        assert near["items"][0]["item_id"] == "red-pan"
        assert client.get("/v1/items/new-red/similar?by=both").status_code == 200
        assert (
            "expected one of behaviour, content, both"
            in client.get("/v1/items/new-red/similar?by=price").text
        )
        assert "expected 1 to 1,000 characters" in client.get("/v1/items/search").text
