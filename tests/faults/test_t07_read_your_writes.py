"""T7: whoever is told that an event is kept finds it in the very next answer, over HTTP.

A real server process; several clients post an event and ask, again and again, also about the same
users at the same time. No answer may lag behind, and no event of the same user may get lost between
two that arrive together.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from benchmarks.serving.kill import histories
from benchmarks.serving.server import Server
from benchmarks.serving.shop import untrained_shop
from benchmarks.serving.visible import SHARED, visible

N_USERS, N_ITEMS = 40, 300
CLIENTS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("t07") / "shop"
    server = Server(untrained_shop(folder, N_ITEMS, N_USERS, 500, dim=8), ["--no-studio"])
    yield server
    server.stop()


def sent_to(n_pairs: int) -> Counter[str]:
    """Count the events that `visible` sends about each user."""
    return Counter(f"u{n % SHARED}" if n % 3 == 0 else f"u{n % N_USERS}" for n in range(n_pairs))


def test_t07_every_answer_has_seen_the_event_before_it(
    server: Server, soak: bool, fault_row: Callable[..., None]
) -> None:
    n_pairs = 10_000 if soak else 400
    before = histories(server)
    pairs = visible(server.port, n_pairs, N_USERS, N_ITEMS, CLIENTS)
    assert len(pairs.seconds) == n_pairs
    assert pairs.unseen == 0
    after = histories(server)
    sent = sent_to(n_pairs)
    lost = sum(max(0, before[user] + n - after[user]) for user, n in sent.items())
    doubled = sum(max(0, after[user] - before[user] - n) for user, n in sent.items())
    assert (lost, doubled) == (0, 0)
    assert server.get("/v1/users/u0/recommendations?k=1")["as_of"]["seq"] == n_pairs
    p99 = float(np.quantile(pairs.seconds, 0.99)) * 1000
    fault_row(test="T7", runs=n_pairs, lost=lost, doubled=doubled, unseen=pairs.unseen, p99_ms=p99)


def test_t07_an_answer_waits_for_the_entry_that_another_client_was_told_of(server: Server) -> None:
    """``min_seq`` hands a promise on: from who wrote to who reads."""
    for n in range(30):
        told = server.post("/v1/events", {"user_id": "u1", "item_id": f"i{n}"})
        seq = told["results"][0]["seq"]
        answer = server.get(f"/v1/users/u2/recommendations?k=1&min_seq={seq}")
        assert answer["as_of"]["seq"] >= seq
        listed = server.post("/v1/recommendations", {"user_id": "u1", "min_seq": seq, "k": 1})
        assert listed["as_of"]["seq"] >= seq
