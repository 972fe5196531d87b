"""T12: hours of mixed load: memory, open files and threads stay as they are, and the WAL small."""

import itertools
import os
import threading
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.server import Server
from benchmarks.serving.shop import DAY, START, untrained_shop
from recency.serving.http.given_lists import KEPT_SECONDS

N_USERS, N_ITEMS = 300, 200
BYTES_AN_EVENT = 200  # what the model may keep of a new event: what it knows is meant to grow
LARGEST_WAL = 20_000_000  # it is folded in at 4,000 pages (16.5 MB), behind the group that fills it


@dataclass
class Sample:
    """What a server held at one moment: seconds since the begin, bytes, and numbers."""

    at: float
    rss: int
    files: int
    threads: int
    wal: int
    events: int


def sample(server: Server, shop: Path, began: float, events: int) -> Sample:
    process = Path("/proc") / str(server.process.pid)
    told = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    wal = shop / "serve" / "events.sqlite-wal"
    return Sample(
        at=time.monotonic() - began,
        rss=int(told["VmRSS"].split()[0]) * 1024,
        files=len(os.listdir(process / "fd")),
        threads=int(told["Threads"]),
        wal=wal.stat().st_size if wal.exists() else 0,
        events=events,
    )


class Load:
    """Send new events, repeated ones, broken ones, and ask questions; one after the other."""

    def __init__(self, server: Server, client: int, pause: float) -> None:
        self._server, self._client, self._pause = server, client, pause
        self.n_events = self.n_asked = 0
        self.failed: list[str] = []

    def work(self, stop: threading.Event) -> None:
        """Go on until told to stop."""
        for n in itertools.count():
            if stop.wait(self._pause):
                return
            try:
                self._step(n)
            except urllib.error.HTTPError as error:
                if error.code != 422:
                    self.failed.append(f"{error.code} {error.url}")
                error.close()

    def _step(self, n: int) -> None:
        user = f"u{(n * 7 + self._client) % N_USERS}"
        if n % 4 == 0:
            rows = [self._event(k) for k in (n, n + 1, max(0, n - 40))]  # the last one again
            self._server.post("/v1/events", rows)
            self.n_events += 2
        elif n % 4 == 1:
            self._server.post("/v1/events", {"user_id": user})  # no item: refused
        else:
            self._server.get(f"/v1/users/{user}/recommendations?k=10")
            self.n_asked += 1

    def _event(self, n: int) -> dict[str, object]:
        return {
            "event_id": f"{self._client}-{n}",
            "user_id": f"u{n % N_USERS}",
            "item_id": f"i{n * 3 % N_ITEMS}",
            "timestamp": START + 31 * DAY + n * 1_000_000,
        }


def growth(samples: list[Sample]) -> float:
    """Fit the slope of memory, less what new events may take: bytes a second."""
    at = np.array([one.at for one in samples])
    rss = np.array([one.rss - BYTES_AN_EVENT * one.events for one in samples], np.float64)
    return float(np.polyfit(at, rss, 1)[0])


@pytest.mark.slow
def test_mixed_load_leaves_a_server_as_it_was(
    tmp_path: Path, soak: bool, fault_row: Callable[..., None]
) -> None:
    # Lists that were given are remembered for a while: memory grows until the first are forgotten.
    warm, watched, every = (KEPT_SECONDS + 60.0, 600.0, 5.0) if soak else (2.0, 2.0, 0.25)
    shop = untrained_shop(tmp_path / "shop", N_ITEMS, N_USERS, 3_000, dim=16)
    rhythm = ["--snapshot-events", "2000" if soak else "100", "--user-rate", "0"]
    server = Server(shop, rhythm)
    loads = [Load(server, n, 0.002) for n in range(3)]
    stop, began = threading.Event(), time.monotonic()
    threads = [threading.Thread(target=load.work, args=(stop,)) for load in loads]
    for thread in threads:
        thread.start()
    samples = []
    try:
        while time.monotonic() - began < warm + watched:
            time.sleep(every)
            samples.append(sample(server, shop, began, sum(load.n_events for load in loads)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    last = sample(server, shop, began, 0)
    kept = [one for one in samples if one.at >= warm]
    assert server.stop() == 0
    assert [load.failed for load in loads] == [[], [], []]
    assert min(load.n_asked for load in loads) > 5
    assert max(one.wal for one in samples) <= LARGEST_WAL
    assert not (shop / "serve" / "events.sqlite-wal").exists()  # folded into the file at the stop
    # A snapshot in the making has files and a thread or two of its own, for a moment.
    assert max(one.files for one in kept) - min(one.files for one in kept) <= 12
    assert last.files <= kept[0].files + 4 and last.threads <= kept[0].threads + 4
    if soak:
        an_hour = growth(kept) * 3600 / kept[0].rss
        assert an_hour < 0.01, f"memory grows by {an_hour:.1%} an hour"
    else:
        assert kept[-1].rss - kept[0].rss < 40_000_000
    assert list((shop / "serve" / "snapshots").iterdir())
    asked = sum(load.n_asked for load in loads)
    fault_row("T12", runs=1, lost=0, doubled=0, asked=asked, growth_a_second=growth(kept))
