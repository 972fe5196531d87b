"""T17: an item that is hidden, out of stock or out of time is not in any later answer.

Eight clients read without a pause while one writer hides items, runs them out of stock or out of
time, and brings them back. A client takes down, before it asks, which items were refused for good
by then: none of these may stand in its answer.
"""

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recency.asking.selection import Selection
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.intake.event_checks import EventChecks
from recency.serving.intake.item_checks import ItemChecks
from recency.serving.log.events import ItemChange
from recency.serving.questions import Question
from recency.training.config import TrainConfig

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
NOW = START + 40 * DAY
N_ITEMS = 60
N_CLIENTS = 8
WAYS = (
    {"is_hidden": True},
    {"in_stock": False},
    {"expires_at": NOW - DAY},
    {"available_from": NOW + 30 * DAY},
)
ASKED = (
    Selection(),
    Selection(categories=("even",)),
    Selection(boost={"odd": 5.0}, repeats=False),
    Selection(explore=0.5, diversity=0.3),
    Selection(candidates=tuple(f"i{n}" for n in range(30)), rotation=0.5),
)


def shop() -> SequenceRecommender:
    random = np.random.default_rng(0)
    log = Log.from_frame(
        pl.DataFrame(
            {
                "user_id": [f"u{n}" for n in random.integers(0, 20, 600)],
                "item_id": [f"i{n}" for n in random.integers(0, N_ITEMS, 600)],
                "timestamp": pl.Series(START + np.sort(random.integers(0, 30 * DAY, 600))).cast(
                    pl.Datetime("us", "UTC")
                ),
            }
        )
    )
    items = Catalogue.from_frame(pl.DataFrame([described(n) for n in range(N_ITEMS)]))
    return SequenceRecommender(GRU(dim=8), training=TrainConfig(epochs=1, device="cpu")).fit(
        log, items
    )


def described(n: int) -> dict[str, object]:
    return {"item_id": f"i{n}", "categories": ["even" if n % 2 == 0 else "odd"], "price": n + 1.0}


@pytest.fixture
def engine(tmp_path: Path):
    shop().save(tmp_path / "shop")
    engine = Engine.open(tmp_path / "shop", clock=lambda: NOW)
    yield engine
    engine.close()


class Refused:
    """Which items are refused now: noted after the acknowledgement, lifted before coming back.

    Each time has a number: an item that came back meanwhile and was refused again is another one.
    """

    def __init__(self) -> None:
        self._items: frozenset[tuple[str, int]] = frozenset()  # replaced, never changed
        self._numbers = count()

    def now(self) -> frozenset[tuple[str, int]]:
        return self._items

    def add(self, item: str) -> None:
        self._items |= {(item, next(self._numbers))}

    def lift(self, item: str) -> None:
        self._items = frozenset(one for one in self._items if one[0] != item)


def put(engine: Engine, raw: dict[str, object]) -> None:
    change = ItemChecks(EventChecks(engine.checks.users, engine.checks.items, engine.checks.stamps))
    found = change.check(raw)
    assert isinstance(found, ItemChange), found
    engine.put_items([found]).result(timeout=30)


def test_what_is_refused_is_in_no_later_answer(
    engine: Engine, soak: bool, fault_row: Callable[..., None]
) -> None:
    wanted = 1_000_000 if soak else 1_500
    refused, stop = Refused(), threading.Event()
    counts, leaks = [0] * N_CLIENTS, list[str]()

    def read(client: int) -> None:
        random = np.random.default_rng(client)
        while not stop.is_set():
            before = refused.now()
            question = Question(
                f"u{random.integers(0, 25)}",
                k=int(random.integers(1, N_ITEMS)),
                selection=ASKED[random.integers(len(ASKED))],
            )
            answer = engine.recommend(question).result(timeout=60)
            # What came back meanwhile may stand in it; what was refused all the time may not.
            leaks.extend({item for item, _ in before & refused.now()} & set(answer.items))
            counts[client] += 1

    readers = [threading.Thread(target=read, args=(n,)) for n in range(N_CLIENTS)]
    for one in readers:
        one.start()
    random = np.random.default_rng(99)
    held: dict[int, None] = {}
    try:
        while sum(counts) < wanted and not leaks:
            n = int(random.integers(0, N_ITEMS))
            if n in held:
                continue
            put(engine, {**described(n), **WAYS[random.integers(len(WAYS))]})
            refused.add(f"i{n}")
            held[n] = None
            if len(held) > N_ITEMS // 2:
                back = next(iter(held))
                del held[back]
                refused.lift(f"i{back}")
                put(engine, described(back))
    finally:
        stop.set()
        for one in readers:
            one.join(timeout=60)
    assert not leaks
    assert sum(counts) >= wanted and min(counts) > 0
    fault_row("T17", runs=sum(counts), lost=0, doubled=len(leaks))


def test_the_clients_would_notice(engine: Engine) -> None:
    everything = Question("u1", k=N_ITEMS)
    assert "i7" in engine.recommend(everything).result(timeout=30).items
    for way in WAYS:
        put(engine, {**described(7), **way})
        assert "i7" not in engine.recommend(everything).result(timeout=30).items
        assert "i7" not in engine.similar_items("i8", N_ITEMS).result(timeout=30).items
        put(engine, described(7))
        assert "i7" in engine.recommend(everything).result(timeout=30).items
        assert "i7" in engine.similar_items("i8", N_ITEMS).result(timeout=30).items
