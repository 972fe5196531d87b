"""T18: what was served is what a replay of the log gives, score for score and rank for rank.

Clients send events, late ones among them, and ask, all at once. Afterwards the log is read from its
beginning by a model that was never served, and each question is asked again as of the place in the
log that its answer names, by scoring, masking and ranking every item.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from recency.asking.selection import Selection
from recency.data.log import Log
from recency.loading import load
from recency.nn.item_table import ItemTable
from recency.nn.tide import Tide
from recency.ranking.filters import drop_history
from recency.ranking.topk import top_k
from recency.recommender import SequenceRecommender
from recency.serving.engine import Engine
from recency.serving.log.event_store import EventStore
from recency.serving.questions import Question, Ranked
from recency.training.config import TrainConfig

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
NOW = START + 40 * DAY
N_USERS, N_ITEMS, N_CLIENTS = 30, 60, 4


def shop(folder: Path) -> Path:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in random.integers(0, N_USERS, 800)],
            "item_id": [f"i{int(n)}" for n in N_ITEMS * random.power(0.5, 800)],
            "timestamp": pl.Series(START + np.sort(random.integers(0, 30 * DAY, 800))).cast(
                pl.Datetime("us", "UTC")
            ),
        }
    )
    training = TrainConfig(epochs=1, device="cpu")
    model = SequenceRecommender(Tide(dim=16), training=training, request_time="known")
    model.fit(Log.from_frame(frame)).save(folder)
    return folder


def event_of(random: np.random.Generator, name: str) -> dict[str, object]:
    late = int(random.integers(0, 20 * DAY)) if random.random() < 0.1 else 0
    return {
        "event_id": name,
        "user_id": f"u{random.integers(0, N_USERS + 10)}",
        "item_id": f"i{random.integers(0, N_ITEMS + 10)}",
        "timestamp": NOW - late - int(random.integers(0, DAY)),
    }


def serve(folder: Path, each: int) -> list[tuple[Question, Ranked]]:
    """Let clients send and ask ``each`` times; give what was answered."""
    served: list[tuple[Question, Ranked]] = []
    engine = Engine.open(folder, clock=lambda: NOW)

    def run(client: int) -> None:
        random = np.random.default_rng(client)
        for turn in range(each):
            events = [event_of(random, f"{client}-{turn}-{n}") for n in range(4)]
            engine.ingest(events).result(timeout=60)
            question = Question(
                f"u{random.integers(0, N_USERS + 12)}",
                k=int(random.integers(1, 20)),
                at=None if random.random() < 0.8 else NOW - int(random.integers(0, 5 * DAY)),
                selection=Selection(repeats=bool(random.random() < 0.7)),
            )
            served.append((question, engine.recommend(question).result(timeout=60)))

    clients = [threading.Thread(target=run, args=(n,)) for n in range(N_CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join(timeout=600)
    engine.close()
    assert len(served) == N_CLIENTS * each
    return served


def test_served_scores_are_those_of_a_replay(
    tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    folder = shop(tmp_path / "shop")
    served = serve(folder, 2_500 if soak else 20)
    offline = load(folder)
    assert isinstance(offline, SequenceRecommender)
    store = EventStore(folder / "serve" / "events.sqlite")
    log, done, skewed = store.read(limit=10**7), 0, 0
    store.close()
    for question, answer in sorted(served, key=lambda pair: pair[1].as_of.seq):
        due = [event for seq, event in log[done:] if seq <= answer.as_of.seq]
        done += len(due)
        if due:
            offline.observe(
                [
                    {"user_id": one.user_id, "item_id": one.item_id, "timestamp": one.time}
                    for one in due
                ]
            )
        skewed += not same(offline, question, answer)
    assert done == len(log)
    assert skewed == 0
    fault_row("T18", runs=len(served), lost=0, doubled=0, skewed=skewed)


def same(offline: SequenceRecommender, question: Question, answer: Ranked) -> bool:
    """Compare an answer with scores of all items; places may change only between equal scores."""
    live, row = offline.live, offline.users.rows([question.user or ""])
    scores, fallback = live.scores(row, answer.at, question.selection.repeats)
    if not question.selection.repeats:
        seen = live.seen(row, answer.at)
        drop_history(scores, seen, seen.offsets[:-1], seen.offsets[1:])
    items, values = top_k(scores, question.k)
    there = items[0] >= 0
    expected = values[0][there]
    if fallback[0] != answer.fallback or len(expected) != len(answer.items):
        return False
    rows = offline.items.rows(answer.items)
    unequal = rows != items[0][there]
    near = np.abs(scores[0][rows] - expected) < 2e-6
    close = np.abs(np.array(answer.scores) - expected) <= 1e-5
    return bool(close.all() and near[unequal].all())


def test_the_comparison_would_notice(tmp_path: Path) -> None:
    offline = load(shop(tmp_path / "shop"))
    assert isinstance(offline, SequenceRecommender)
    question = Question("u1", k=10)
    found = offline.recommend(["u1"], 10)
    answer = Ranked("u1", found.items[0], found.scores[0], False, found.at, None, "v")  # type: ignore[arg-type]  # not read
    assert same(offline, question, answer)
    offline.observe([{"user_id": "u1", "item_id": "i5", "timestamp": found.at - 1}])
    assert not same(offline, question, answer)


def test_rough_search_serves_what_a_replay_gives(tmp_path: Path) -> None:
    offline = load(shop(tmp_path / "shop"))
    assert isinstance(offline, SequenceRecommender)
    live = offline.live
    exact = offline.recommend([f"u{n}" for n in range(N_USERS)], 10)
    live.scoring.shortlists._table = ItemTable(live.model, rough=True)
    rough = offline.recommend([f"u{n}" for n in range(N_USERS)], 10)
    assert rough.items == exact.items  # so few items are all made exact
    np.testing.assert_allclose(rough.scores, exact.scores, atol=1e-5)
