"""Kill the service while it takes events, again and again, and count what is lost or doubled.

    python -m benchmarks.serving.kill [--kills 20] [--dirty]

Clients send single events and batches without a pause. In the midst of it the server is killed with
SIGKILL, started again, and each client repeats what was not answered, under the same ids. At the
end the log must hold each event that was sent exactly once, and the model must have applied each
exactly once. Between the kills, with the clients at rest, the server is killed once more, and what
it answers for every user must be the same before and after.
"""

import argparse
import http.client
import json
import random
import sqlite3
import statistics
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import record
from benchmarks.serving.server import Server
from benchmarks.serving.shop import START, untrained_shop

N_USERS, N_ITEMS, N_EVENTS = 100, 500, 5_000
ASKED_AT = "2026-06-01T00:00:00Z"
DAY = 86_400_000_000
ROUNDING = 1e-5  # of scores: one event after another, or many at once


@dataclass
class Client:
    """Send events until told to stop; repeat what was not answered.

    Attributes:
        name: Begins the ids of its events.
        batch: Events of one request.
        acknowledged: Ids whose acknowledgement arrived.
        unanswered: Events sent without an answer yet.
    """

    name: str
    batch: int
    acknowledged: list[str] = field(default_factory=list)
    unanswered: list[dict[str, Any]] = field(default_factory=list)
    n_sent: int = 0
    refused: list[str] = field(default_factory=list)

    def work(self, port: int, stop: threading.Event) -> None:
        """Send until ``stop`` is set or the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            while not stop.is_set():
                if not self.unanswered:
                    self.unanswered = [self._event() for _ in range(self.batch)]
                self._send(connection)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # killed in between: sent again after the restart
        finally:
            connection.close()

    def finish(self, port: int) -> None:
        """Send what is unanswered still."""
        if self.unanswered:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            self._send(connection)
            connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> None:
        sent = self.unanswered if self.batch > 1 else self.unanswered[0]
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/events", json.dumps(sent), headers)
        answer = connection.getresponse()
        results = json.loads(answer.read())["results"]
        for result in results:
            if result["status"] == "rejected":
                self.refused.append(result["error"])
            else:
                self.acknowledged.append(result["event_id"])
        self.unanswered = []

    def _event(self) -> dict[str, Any]:
        n = self.n_sent
        self.n_sent += 1
        return {
            "event_id": f"{self.name}-{n}",
            "user_id": f"u{n % N_USERS}",
            "item_id": f"i{(n * 7 + self.batch) % N_ITEMS}",
            # Some late, some equal, all in the past.
            "timestamp": START + 31 * DAY + (n - (n % 5) * 900) // 3 * 1_000_000,
        }


def main() -> None:
    """Kill, check, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        metrics = killed(Path(folder), arguments.kills, arguments.seed)
    print(json.dumps(metrics, indent=1))
    faults = ("lost", "doubled", "misapplied", "answers_changed", "refused")
    row = {
        "data": f"generated: {N_USERS} users, {N_ITEMS} items",
        "protocol": f"T1, {arguments.kills} SIGKILL during ingest, {arguments.kills} at rest",
        "model": "gru(dim=64), untrained",
        "seed": arguments.seed,
        "metrics": metrics,
    }
    print(record("faults", [row], dirty=arguments.dirty))
    if any(metrics[name] for name in faults):
        raise SystemExit("events were lost, doubled, or answers changed")


def killed(folder: Path, kills: int, seed: int = 0) -> dict[str, float]:
    """Run the whole trial in a folder, and give its counts.

    Args:
        folder: Empty; the model and the event store go there.
        kills: How often to kill during ingest, and as often at rest.
        seed: Of the moments.
    """
    shop = untrained_shop(folder / "shop", N_ITEMS, N_USERS, N_EVENTS)
    moments = random.Random(seed)
    clients = [Client(f"single{n}", 1) for n in range(6)] + [Client("batch", 64)]
    restarts: list[float] = []
    changed, difference = 0, 0.0
    server = Server(shop)
    before = histories(server)
    for _ in range(kills):
        ingest(server, clients, seconds=0.2 + moments.random(), kill=True)
        server = Server(shop)
        restarts.append(server.start_seconds)
        for client in clients:
            client.finish(server.port)
        answers(server)  # from here on the model keeps states, and moves them event by event
        ingest(server, clients, seconds=0.3, kill=False)
        expected = answers(server)
        server.kill()
        server = Server(shop)
        found = answers(server)
        changed += sum(not same(*pair) for pair in zip(expected, found, strict=True))
        difference = max(difference, apart(expected, found))
    after = histories(server)
    if server.stop() != 0:
        raise RuntimeError("the server did not end well")
    return {
        "kills": 2 * kills,
        "answers_changed": changed,
        "largest_score_difference": difference,
        "restart_seconds_median": round(statistics.median(restarts), 3),
        "restart_seconds_max": round(max(restarts), 3),
        **counts(shop / "serve" / "events.sqlite", clients, before, after),
    }


def ingest(server: Server, clients: list[Client], seconds: float, *, kill: bool) -> None:
    """Let the clients send for a while; then kill the server amid it, or let them end."""
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(server.port, stop)) for client in clients]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    if kill:
        server.kill()
    stop.set()
    for thread in threads:
        thread.join()


def histories(server: Server) -> dict[str, int]:
    """Count the events that the model holds of each user."""
    found: dict[str, int] = {}
    after: int | None = 0
    while after is not None:
        page = server.get(f"/v1/users?limit=200&after={after}")
        found |= {one["user_id"]: one["n_events"] for one in page["users"]}
        after = page["next_after"]
    return found


def answers(server: Server) -> list[Any]:
    """Ask about every user as of one instant."""
    return [
        server.get(f"/v1/users/u{n}/recommendations?k=20&at={ASKED_AT}") for n in range(N_USERS)
    ]


def same(before: Any, after: Any) -> bool:
    """Tell whether two answers saw the same and rank the same; equal scores in any order."""
    lists = [
        {one["item_id"]: one["score"] for one in answer["items"]} for answer in (before, after)
    ]
    ends = [min(scores.values(), default=0.0) for scores in lists]
    return before["as_of"] == after["as_of"] and all(
        # Below the end of the other list only by rounding, or in it with the same score.
        abs(score - other.get(item, end)) <= ROUNDING
        for scores, other, end in zip(lists, lists[::-1], ends[::-1], strict=True)
        for item, score in scores.items()
    )


def apart(expected: list[Any], found: list[Any]) -> float:
    """Give the largest difference of scores at the same rank."""
    return max(
        abs(one["score"] - other["score"])
        for before, after in zip(expected, found, strict=True)
        for one, other in zip(before["items"], after["items"], strict=True)
    )


def counts(
    store: Path, clients: list[Client], before: dict[str, int], after: dict[str, int]
) -> dict[str, float]:
    """Compare what was sent and acknowledged with what is kept and what is applied."""
    connection = sqlite3.connect(store)
    rows = connection.execute("SELECT seq, event_id, user_id FROM events ORDER BY seq").fetchall()
    connection.close()
    kept = Counter(event_id for _, event_id, _ in rows)
    acknowledged = Counter(one for client in clients for one in client.acknowledged)
    sent = {f"{client.name}-{n}" for client in clients for n in range(client.n_sent)}
    per_user = Counter(user for _, _, user in rows)
    return {
        "sent": len(sent),
        "acknowledged": len(acknowledged),
        "lost": len((set(acknowledged) | sent) - set(kept)),
        "doubled": sum(n - 1 for n in kept.values()) + len(set(kept) - sent),
        "misapplied": sum(after[user] - before.get(user, 0) != per_user[user] for user in after),
        "gaps_in_seq": sum(seq != n for n, (seq, _, _) in enumerate(rows, start=1)),
        "refused": sum(len(client.refused) for client in clients),
    }


if __name__ == "__main__":
    main()
