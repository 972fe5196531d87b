"""A new item in the service: from its PUT to a list that has it, and what others notice of that.

    python -m benchmarks.content.new_item [--new 200] [--items 2000] [--dirty] [--no-record]

The shop is generated: titles encoded by MiniLM, a model that learned for one epoch (what an item
is scored by does not matter to how soon it is), a real server. Items come one after the other, each
with a title of its own; a client asks what is like it until the service can tell, which is when it
has a vector, and then for a list of that one candidate. Meanwhile another client asks for lists of
all items at a fixed rate; it did the same before, without new items (``alone``).
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import recency as rc
from benchmarks.content.encoding import titles
from benchmarks.record import Row, record
from benchmarks.serving.server import Server
from recency.data.catalogue import Catalogue
from recency.data.log import Log

START = 1_767_225_600_000_000  # 2026-01-01T00:00Z
USERS = 500
RATE = 20.0  # lists a second that the other client asks for
PAUSE = 0.1  # seconds between new items
PATIENCE = 300.0  # seconds for the first, which waits for the encoder to be loaded


def main() -> None:
    """Make a shop, serve it, measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--new", type=int, default=200, help="items that come")
    parser.add_argument("--items", type=int, default=2_000, help="items of the shop")
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    named = titles(arguments.items + arguments.new + 1, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(shop(Path(folder) / "shop", named[: arguments.items]))
        try:
            row = measure(server, named[arguments.items :])
        finally:
            server.stop()
    row["protocol"] += f", {arguments.items:,} items"
    print(row["metrics"])
    if not arguments.no_record:
        print(record("content", [row], dirty=arguments.dirty))


def shop(folder: Path, named: list[str]) -> Path:
    """Save a model that knows items by their titles."""
    random = np.random.default_rng(0)
    ids = [f"i{n}" for n in range(len(named))]
    events = np.concatenate((np.arange(len(ids)), random.integers(0, len(ids), 10 * USERS)))
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in random.integers(0, USERS, len(events))],
            "item_id": [ids[n] for n in events],
            "timestamp": pl.Series(START + np.arange(len(events)) * 1_000_000).cast(
                pl.Datetime("us", "UTC")
            ),
        }
    )
    catalogue = Catalogue.from_frame(pl.DataFrame({"item_id": ids, "title": named}))
    vectors = rc.ItemVectors.of_texts(catalogue, rc.TextEncoder(device="cpu"))
    training = rc.TrainConfig(epochs=1, valid_share=0.0)
    model = rc.SequenceRecommender(
        rc.Tide(dim=64), training=training, experts=None, fallback_half_life="7d"
    )
    model.fit(Log.from_frame(frame), catalogue, content=rc.Content([vectors]))
    model.save(folder)
    return folder


def measure(server: Server, named: list[str]) -> Row:
    """Let items come, and listen to what another client gets meanwhile."""
    first = until_given(server.port, "new0", named[0])
    alone = Listener(server.port)
    time.sleep(min(20.0, PAUSE * len(named)))
    idle = alone.stop()
    meanwhile = Listener(server.port)
    taken = []
    for n, title in enumerate(named[1:], start=1):
        taken.append(until_given(server.port, f"new{n}", title))
        time.sleep(PAUSE)
    busy = meanwhile.stop()
    return {
        "data": "generated titles",
        "protocol": "new item · PUT, then asked for until it is given",
        "model": "Tide, MiniLM",
        "metrics": {
            "new_item_p50_ms": ms(taken, 50),
            "new_item_p99_ms": ms(taken, 99),
            "first_item_ms": round(1e3 * first, 1),
            "new_items": len(taken),
            "list_p50_ms": ms(busy, 50),
            "list_p99_ms": ms(busy, 99),
            "list_p50_ms alone": ms(idle, 50),
            "list_p99_ms alone": ms(idle, 99),
            "lists": len(busy),
        },
    }


def until_given(port: int, item: str, title: str) -> float:
    """Describe an item, and give the seconds until a list has it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.perf_counter()
    call(connection, "PUT", "/v1/items", {"item_id": item, "title": title})
    while not call(connection, "GET", f"/v1/items/{item}/similar?k=1", missing=True):
        if time.perf_counter() - began > PATIENCE:
            raise SystemExit(f"{item} had no vector within {PATIENCE} s.")
        time.sleep(0.002)
    asked = {"user_id": "u1", "candidates": [item], "k": 1}
    given = call(connection, "POST", "/v1/recommendations", asked)["items"]
    taken = time.perf_counter() - began
    connection.close()
    if [one["item_id"] for one in given] != [item]:
        raise SystemExit(f"{item} has a vector and was not given.")
    return taken


class Listener:
    """Ask for lists at a fixed rate, in a thread, until stopped; a late answer delays no request.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self._port, self._seconds = port, list[float]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def stop(self) -> list[float]:
        """Stop, and give the seconds of each answer, from the moment it was due."""
        self._stopped.set()
        self._thread.join()
        return self._seconds

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = time.perf_counter()
        number = 0
        while not self._stopped.wait(max(0.0, due - time.perf_counter())):
            call(connection, "GET", f"/v1/users/u{number % USERS}/recommendations?k=10")
            self._seconds.append(time.perf_counter() - due)
            due, number = due + 1 / RATE, number + 1
        connection.close()


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    *,
    missing: bool = False,
) -> dict[str, Any]:
    """Send one request and decode its answer; empty for what is ``missing``, if that may be."""
    said = None if body is None else json.dumps(body)
    connection.request(method, path, said, {"content-type": "application/json"} if said else {})
    answer = connection.getresponse()
    content = answer.read()
    if missing and answer.status == 404:
        return {}
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
    found: dict[str, Any] = json.loads(content)
    return found


def ms(seconds: list[float], percentile: float) -> float:
    """Give a percentile in milliseconds."""
    return round(1e3 * float(np.percentile(seconds, percentile)), 1)


if __name__ == "__main__":
    main()
