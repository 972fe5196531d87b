"""T16: the search of large catalogues, while items come, go and change.

The index is the table of vectors in 8 bits, which never changes; what the experts know of items
without weights is added exactly, what is refused is taken out, and vectors that change make another
table. Readers ask without a pause. Now and then one compares, in the model's own thread, what is
listed with what scoring every item gives.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
import torch

from recency.asking.selection import Selection
from recency.data.log import Log
from recency.nn import item_table
from recency.nn.recurrent import GRU
from recency.ranking.topk import top_k
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.log.events import ItemChange
from recency.serving.questions import LiveRecommender, Question

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
NOW = START + 40 * DAY
K, N_CLIENTS, N_USERS = 10, 4, 200


def shop(folder: Path, n_items: int) -> Path:
    """Save a model of random weights over a generated log: speed and recall need no learning."""
    random = np.random.default_rng(0)
    items = np.concatenate((np.arange(n_items), (n_items * random.power(0.4, 2_000)).astype(int)))
    times = START + np.sort(random.integers(0, 30 * DAY, len(items)))
    users = "u" + pl.Series(random.integers(0, N_USERS, len(items))).cast(pl.String)
    frame = pl.DataFrame(
        {
            "user_id": users,
            "item_id": "i" + pl.Series(items).cast(pl.String),
            "timestamp": pl.Series(times).cast(pl.Datetime("us", "UTC")),
        }
    )
    with patch("recency.fitting.train_guarded", return_value=None):
        model = SequenceRecommender(GRU(dim=16), fallback_half_life="7d")
        model.fit(Log.from_frame(frame)).save(folder)
    return folder


@pytest.fixture
def engine(tmp_path: Path, soak: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(item_table, "SMALLEST", 1_000)
    monkeypatch.setattr(item_table, "_GAIN", 0.0)  # search roughly, whatever pays here
    engine = Engine.open(shop(tmp_path / "shop", 100_000 if soak else 3_000), clock=lambda: NOW)
    yield engine
    engine.close()


def put(engine: Engine, **raw: object) -> None:
    found = ItemChecks(engine.checks).check(raw)
    assert isinstance(found, ItemChange), found
    engine.put_items([found]).result(timeout=60)


def is_rough(model: LiveRecommender) -> bool:
    assert isinstance(model, SequenceRecommender)
    return model.live.scoring.shortlists.table.rough


def change_vectors(model: LiveRecommender, random: np.random.Generator) -> None:
    assert isinstance(model, SequenceRecommender)
    vectors = model.live.model.items
    rows = torch.from_numpy(random.integers(2, len(vectors), 50))
    with torch.no_grad():
        vectors[rows] = torch.randn(50, vectors.shape[1]) / 4


def recall(user: str, model: LiveRecommender) -> float:
    """Compare one list with that of all scores."""
    assert isinstance(model, SequenceRecommender)
    live, rows = model.live, model.users.rows([user])
    allowed = Selection().mask(model.items, model.catalogue, live.now)
    few = live.shortlist(rows, live.now, K, allowed)
    assert few is not None
    scores, _ = live.scores(rows, live.now)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    best, _ = top_k(scores, K)
    return len(set(few[0][0].tolist()) & set(best[0].tolist())) / K


def test_items_come_go_and_change_while_readers_ask(
    engine: Engine, soak: bool, fault_row: Callable[..., None]
) -> None:
    assert engine.call(is_rough).result(60)
    stop, gone = threading.Event(), frozenset[str]()
    recalls: list[float] = []
    short, leaked, answered = [0] * N_CLIENTS, [0] * N_CLIENTS, [0] * N_CLIENTS

    def read(client: int) -> None:
        random = np.random.default_rng(client)
        while not stop.is_set():
            before, user = gone, f"u{random.integers(0, N_USERS)}"
            answer = engine.recommend(Question(user, k=K)).result(timeout=60)
            short[client] += len(answer.items) < K
            leaked[client] += bool(before & set(answer.items))
            answered[client] += 1
            if answered[client] % 8 == 0:
                recalls.append(engine.call(partial(recall, user)).result(60))

    readers = [threading.Thread(target=read, args=(n,)) for n in range(N_CLIENTS)]
    for one in readers:
        one.start()
    random = np.random.default_rng(99)
    turns = 2_000 if soak else 30
    try:
        for turn in range(turns):
            put(engine, item_id=f"new{turn}", categories=["new"])
            event = {"user_id": f"u{turn % N_USERS}", "item_id": f"new{turn}", "timestamp": NOW - 9}
            engine.ingest([event]).result(timeout=60)
            hidden = f"i{random.integers(0, 3_000)}"
            put(engine, item_id=hidden, is_hidden=True)
            gone |= {hidden}
            engine.call(lambda model: change_vectors(model, random)).result(60)
    finally:
        stop.set()
        for one in readers:
            one.join(timeout=60)
    lost = unreachable(engine, turns, gone)
    assert min(answered) > 0 and len(recalls) > 4
    assert sum(short) == 0 and sum(leaked) == 0 and not lost
    assert np.mean(recalls) >= 0.99
    fault_row("T16", runs=sum(answered), lost=len(lost), doubled=0, recall=np.mean(recalls))


def unreachable(engine: Engine, n_new: int, gone: frozenset[str]) -> list[str]:
    """List the items that cannot be listed although nothing refuses them."""
    asked = [f"new{n}" for n in range(n_new)] + [f"i{n}" for n in range(0, 3_000, 60)]
    lost = []
    for item in asked:
        only = Question("u1", k=K, selection=Selection(candidates=(item,)))
        found = engine.recommend(only).result(timeout=60).items
        if found != ([] if item in gone else [item]):
            lost.append(item)
    return lost
