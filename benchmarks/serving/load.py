"""How much the service takes, over loopback: durable events, recommendations, and both in turn.

    python -m benchmarks.serving.load [--seconds 10] [--items 10000 100000 1000000] [--dirty]

Server and load generator share the machine. The generator is wrk, where it is installed, else a
client of our own, which is slower and says so in its rows. It is bounded: each connection waits for
its answer before it asks again. Every post is answered after its events are on the disk; what one
sync of the disk costs is a row of its own. In large catalogues, `recall@10` and `score_error`
compare lists with those of scoring every item (`benchmarks.serving.recommend`).
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import Row, record
from benchmarks.serving.closed_loop import closed_loop
from benchmarks.serving.paced import paced
from benchmarks.serving.recommend import compare
from benchmarks.serving.server import Server
from benchmarks.serving.shop import untrained_shop
from benchmarks.serving.visible import visible
from recency.nn.tide import Tide
from recency.recommender import SequenceRecommender

SCRIPT = Path(__file__).with_name("load.lua")
N_USERS, N_EVENTS, N_PAIRS = 5_000, 200_000, 10_000
EVENTS_OF = {"single": 1, "batch": 256}
# Kind and connections: one connection shows the time of one request, many show the rate.
TRIALS = (
    ("recommend", 1),
    ("recommend", 32),
    ("recommend at 50/s", 16),
    ("recommend at 300/s", 16),
    ("single", 1),
    ("single", 64),
    ("single at 5,000/s", 64),
    ("batch", 4),
)
# Sent at a rate by a client of our own, each request timed from when it was due.
RATES = {"recommend at 50/s": 50.0, "recommend at 300/s": 300.0, "single at 5,000/s": 5_000.0}
LARGE = 500_000  # items from which on questions are sent more slowly, and lists compared


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each trial")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        rows.append(disk(Path(folder)))
        for n_items in arguments.items:
            rows += measured(Path(folder) / str(n_items), n_items, arguments.seconds)
    print(record("serving", rows, dirty=arguments.dirty))


def measured(folder: Path, n_items: int, seconds: float) -> list[Row]:
    """Serve a catalogue of some size, and put it through every trial."""
    n_events = N_EVENTS + (n_items if n_items > N_EVENTS // 2 else 0)
    shop = untrained_shop(folder, n_items, N_USERS, n_events, encoder=Tide(dim=64))
    quality = compare(SequenceRecommender.load(shop)) if n_items >= LARGE else {}
    server = Server(shop)
    ask_everybody(server)
    about = {
        "data": f"generated: {n_items:,} items, {N_USERS:,} users, {n_events:,} events",
        "model": "tide(dim=64), untrained",
        "seed": 0,
    }
    rows = []
    slowly = "recommend at 50/s" if n_items >= LARGE else "recommend at 300/s"
    for kind, connections in TRIALS:
        if kind in RATES and kind.startswith("recommend") and kind != slowly:
            continue
        trial(server, kind, connections, n_items, seconds / 4)  # not measured
        metrics = trial(server, kind, connections, n_items, seconds)
        if kind.startswith("recommend"):
            metrics |= quality
        rows.append(about | {"protocol": protocol(kind, connections), "metrics": metrics})
    # The batches have left everybody hundreds of events to be read: first with these, then after.
    rows.append(about | pairs(server, n_items, "visible: event, then question"))
    ask_everybody(server)
    for clients in (8, 1):  # eight at once wait for each other; one shows the time of a pair
        what = "visible, all else read: event, then question"
        rows.append(about | pairs(server, n_items, what, clients))
    for row in rows:
        row["peak_mb"] = peak_mb(server.process.pid)
        print(f"{n_items:,} items, {row['protocol']}: {row['metrics']}")
    if server.stop() != 0:
        raise RuntimeError("the server did not end well")
    return rows


def ask_everybody(server: Server) -> None:
    """Ask about each user once: what is new of a user is read when somebody asks."""
    for n in range(N_USERS):
        server.get(f"/v1/users/u{n}/recommendations?k=1")


def trial(
    server: Server, kind: str, connections: int, n_items: int, seconds: float
) -> dict[str, float]:
    """Send requests of one kind over some connections for a while."""
    found: dict[str, Any]
    if kind in RATES:
        sort, rate = kind.partition(" ")[0], RATES[kind]
        found = paced(server.port, sort, rate, N_USERS, n_items, seconds, connections)
    elif generator() == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", SCRIPT]
        ended = subprocess.run(
            [*map(str, command), server.address, "--", kind, str(N_USERS), str(n_items)],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(ended.stdout.splitlines()[-1])
    else:
        found = closed_loop(server.port, kind, connections, N_USERS, n_items, seconds)
    done = found["requests"] / found["seconds"]
    metrics = {
        "requests_per_second": round(done, 1),
        "p50_ms": round(found["p50_ms"], 3),
        "p99_ms": round(found["p99_ms"], 3),
        "errors": found["errors"],
    }
    if (sort := kind.partition(" ")[0]) in EVENTS_OF:
        metrics["events_per_second"] = round(done * EVENTS_OF[sort], 1)
    return metrics


def pairs(server: Server, n_items: int, what: str, clients: int = 8) -> Row:
    """Post an event and ask at once, many times; the answer must have seen it."""
    found = visible(server.port, N_PAIRS, N_USERS, n_items, clients)
    times = sorted(found.seconds)
    metrics = {
        "pairs": len(times),
        "unseen": found.unseen,
        "p50_ms": round(1000 * times[len(times) // 2], 3),
        "p99_ms": round(1000 * times[len(times) * 99 // 100], 3),
    }
    said = "1 client" if clients == 1 else f"{clients} clients"
    return {"protocol": f"{what}, {said}, loopback", "metrics": metrics}


def protocol(kind: str, connections: int) -> str:
    """Say what is sent over how many connections, and by whom."""
    sender = "our own client" if kind in RATES else generator()
    return f"{kind}, {connections} connections, loopback, {sender}"


def generator() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "our own client"


def disk(folder: Path, n: int = 500) -> Row:
    """Time what a durable event costs at least: one small write and its sync."""
    taken = []
    with open(folder / "probe", "wb", buffering=0) as file:
        for _ in range(n):
            started = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            taken.append(1000 * (time.perf_counter() - started))
    metrics = {"p50_ms": round(median(taken), 3), "p99_ms": round(sorted(taken)[n * 99 // 100], 3)}
    print(f"disk: {metrics}")
    return {
        "data": "4 KiB appended and synced",
        "protocol": "fdatasync",
        "model": "disk",
        "metrics": metrics,
    }


def peak_mb(process: int) -> float:
    """Give the most memory that a process ever held, in MiB (resident)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return round(int(peak.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
