"""T21: told to stop under load, the server says so first, drains in time and loses nothing."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.serving import kill
from benchmarks.serving.server import Server
from benchmarks.serving.shop import untrained_shop


def ready_status(port: int) -> int | None:
    """Ask whether events can be taken; None where nobody listens any more."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return None
    finally:
        connection.close()


def watch(server: Server, found: list[tuple[float, float, int | None]]) -> None:
    """Note what readiness says, asked and answered when, until the server is gone."""
    while server.process.poll() is None:
        asked = time.monotonic()
        status = ready_status(server.port)
        found.append((asked, time.monotonic(), status))
        time.sleep(0.02)


@pytest.mark.parametrize(
    "durability", ["sync", pytest.param("interval:50ms", marks=pytest.mark.slow)]
)
def test_t21_a_stop_under_load_drains_and_loses_nothing(
    tmp_path: Path, durability: str, soak: bool, fault_row: Callable[..., None]
) -> None:
    shop = untrained_shop(tmp_path / "shop", 200, 50, 1_000, dim=16)
    before: dict[str, int] = {}
    clients = [kill.Client(f"single{n}", 1) for n in range(6)] + [kill.Client("batch", 64)]
    runs = 10 if soak else 1
    for _ in range(runs):
        server = Server(shop, ["--durability", durability, "--stop-delay", "1s"])
        before = before or kill.histories(server)
        assert server.get("/v1/status")["durability"]["mode"] == durability
        for client in clients:
            client.finish(server.port)
        found = stopped_under_load(server, clients)
        assert found <= 1.0 + 10.0
    server = Server(shop)
    for client in clients:
        client.finish(server.port)
    after = kill.histories(server)
    assert server.stop() == 0
    counts = kill.counts(shop / "serve" / "events.sqlite", clients, before, after)
    assert counts["acknowledged"] > 50
    for name in ("lost", "doubled", "misapplied", "refused"):
        assert counts[name] == 0, counts
    fault_row(test=f"T21 {durability}", runs=runs, lost=0, doubled=0, drain_seconds=found)


def stopped_under_load(server: Server, clients: list[kill.Client]) -> float:
    """Send SIGTERM while clients send; give the seconds until the process has ended well."""
    stop = threading.Event()
    senders = [threading.Thread(target=one.work, args=(server.port, stop)) for one in clients]
    readiness: list[tuple[float, float, int | None]] = []
    watcher = threading.Thread(target=watch, args=(server, readiness))
    for thread in (*senders, watcher):
        thread.start()
    time.sleep(0.7)
    told = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(timeout=30)
    took = time.monotonic() - told
    stop.set()
    for thread in (*senders, watcher):
        thread.join()
    if server.process.stdout is not None:
        server.process.stdout.close()
    assert code == 0
    after = [one for asked, _, one in readiness if asked > told + 0.2 and one is not None]
    assert {one for _, answered, one in readiness if answered < told} == {200}
    assert after and set(after) == {503}  # red, while it still listens
    return took


@pytest.mark.slow
def test_t21_what_is_sent_after_the_stop_is_told_so(tmp_path: Path) -> None:
    """In the delay before the end events are still taken: whoever was told 503 goes elsewhere."""
    shop = untrained_shop(tmp_path / "shop", 50, 10, 200, dim=8)
    server = Server(shop, ["--stop-delay", "2s"])
    server.process.send_signal(signal.SIGTERM)
    patience = time.monotonic() + 20
    while ready_status(server.port) != 503:
        assert time.monotonic() < patience
        time.sleep(0.01)
    row = {"event_id": "late", "user_id": "u1", "item_id": "i1"}
    assert server.post("/v1/events", row)["accepted"] == 1
    assert server.process.wait(timeout=30) == 0
    assert server.process.stdout is not None
    server.process.stdout.close()
    again = Server(shop)
    outcome = again.post("/v1/events", row)["results"][0]
    assert json.loads(json.dumps(outcome))["status"] == "duplicate"
    assert again.stop() == 0
