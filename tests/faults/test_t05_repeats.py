"""T5: a third is sent twice, the order is shaken by minutes, clients try again across restarts."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.loading import load
from recency.serving.engine import Engine
from recency.serving.snapshots.state_hash import state_hash

SECOND = 1_000_000
NOW = START + 60 * DAY
Row = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 60, 25, 600, dim=8)


def stream(chance: random.Random, n: int) -> list[Row]:
    """Events a second apart or at the same second, of known and new users and items."""
    at = START + 31 * DAY
    rows = []
    for k in range(n):
        at += chance.choice([0, 1, 1, 7]) * SECOND
        rows.append(
            {
                "event_id": f"e{k}",
                "user_id": f"u{chance.randrange(30)}",
                "item_id": f"i{chance.randrange(80)}",
                "timestamp": at,
            }
        )
    return rows


def shaken(rows: list[Row], chance: random.Random) -> list[list[Row]]:
    """Send 30 % twice, each within five minutes of its turn, in requests of any size."""
    sent = rows + chance.sample(rows, k=len(rows) * 3 // 10)
    sent.sort(key=lambda row: row["timestamp"] + chance.uniform(0, 300) * SECOND)
    requests = []
    while sent:
        size = chance.choice([1, 1, 3, 20, 150])
        requests.append(sent[:size])
        sent = sent[size:]
    return requests


def by_the_rule(requests: list[list[Row]]) -> list[Row]:
    """Each event once; in the order of time, and at one instant in the order of arrival."""
    first: dict[str, Row] = {}
    for request in requests:
        for row in request:
            first.setdefault(row["event_id"], row)
    return sorted(first.values(), key=lambda row: row["timestamp"])


@pytest.mark.parametrize("seed", range(3))
def test_t05_the_state_is_that_of_the_clean_stream(
    model: Path, tmp_path: Path, seed: int, soak: bool, fault_row: Callable[..., None]
) -> None:
    chance = random.Random(seed)
    rows = stream(chance, 20_000 if soak else 1_200)
    requests = shaken(rows, chance)
    shop = Path(shutil.copytree(model, tmp_path / "shop"))
    engine = Engine.open(shop, clock=lambda: NOW)
    statuses: list[str] = []
    restarts = 0
    for place, request in enumerate(requests):
        replies = [engine.ingest(request)]
        if chance.random() < 0.2:  # a client that hears nothing in time sends it all again
            replies += [engine.ingest(request) for _ in range(3)]
        for reply in replies:
            statuses += [one.status for one in reply.result(timeout=60)]
        if place in (len(requests) // 3, len(requests) // 2):
            engine.close()
            engine = Engine.open(shop, clock=lambda: NOW)
            restarts += 1
            again = requests[max(0, place - 5) : place + 1]  # a storm of retries after the restart
            for old in again:
                outcomes = engine.ingest(old).result(timeout=60)
                assert {one.status for one in outcomes} == {"duplicate"}
    assert statuses.count("accepted") == len(rows) == engine.store.count_events()
    assert statuses.count("rejected") == 0
    found = engine.call(state_hash).result(60)
    engine.close()

    clean = load(model)
    clean.observe(
        [{name: row[name] for name in row if name != "event_id"} for row in by_the_rule(requests)]
    )
    assert found == state_hash(clean)
    clean.observe([{"user_id": "u1", "item_id": "i1", "timestamp": NOW}])
    assert found != state_hash(clean)  # one more event would have been seen
    fault_row(
        test="T5",
        runs=1,
        lost=len(rows) - statuses.count("accepted"),
        doubled=engine_doubles(shop),
        restarts=restarts,
    )


def engine_doubles(shop: Path) -> int:
    """Count the event ids that the log holds more than once."""
    from recency.serving.log.event_store import EventStore

    with EventStore(shop / "serve" / "events.sqlite") as store:
        ids = [one.event_id for _, one in store.read(limit=10**6)]
    return len(ids) - len(set(ids))
