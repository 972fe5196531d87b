"""Is an acknowledged event in the very next answer, and how soon is that answer there?

Clients post an event and, as soon as it is acknowledged, ask for the same user's list. The answer
must have seen the event's place in the log, and must not repeat the item when it is asked for items
the user has not had. Some users belong to all clients at once.
"""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

SHARED = 8  # users that every client writes to


@dataclass
class Pairs:
    """Count event-and-answer pairs of one client.

    Attributes:
        seconds: From the acknowledgement to the answer, one a pair.
        unseen: Pairs whose answer had not seen the event.
    """

    seconds: list[float] = field(default_factory=list)
    unseen: int = 0


def visible(port: int, n_pairs: int, n_users: int, n_items: int, clients: int = 8) -> Pairs:
    """Send pairs from several clients at once; give what all of them counted."""
    found = [Pairs() for _ in range(clients)]
    threads = [
        threading.Thread(target=_client, args=(port, n, clients, n_pairs, n_users, n_items, one))
        for n, one in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Pairs([s for one in found for s in one.seconds], sum(one.unseen for one in found))


def _client(
    port: int, number: int, clients: int, n_pairs: int, n_users: int, n_items: int, pairs: Pairs
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for n in range(number, n_pairs, clients):
        user = f"u{n % SHARED}" if n % 3 == 0 else f"u{n % n_users}"
        item = f"i{(n * 7919) % n_items}"
        posted = _call(connection, "POST", "/v1/events", {"user_id": user, "item_id": item})
        seq = posted["results"][0]["seq"]
        began = time.perf_counter()
        path = f"/v1/users/{user}/recommendations?k=10&repeats=false"
        answer = _call(connection, "GET", path)
        pairs.seconds.append(time.perf_counter() - began)
        given = {one["item_id"] for one in answer["items"]}
        pairs.unseen += answer["as_of"]["seq"] < seq or item in given
    connection.close()


def _call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> dict[str, Any]:
    said = None if body is None else json.dumps(body)
    connection.request(method, path, said, {"content-type": "application/json"} if said else {})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
    found: dict[str, Any] = json.loads(content)
    return found
