"""How much the service takes, over loopback: durable events, and recommendations.

    python -m benchmarks.service.load [--seconds 10] [--items 10000 100000] [--dirty]

Server and load generator share the machine. The generator is wrk, where it is installed, else a
client of our own, which is slower and says so in its rows. It is bounded: each connection waits for
its answer before it asks again. Every post is answered after its events are on the disk; what one
sync of the disk costs is a row of its own.
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
from benchmarks.service.closed_loop import closed_loop
from benchmarks.service.server import Server
from benchmarks.service.shop import untrained_shop

SCRIPT = Path(__file__).with_name("load.lua")
N_USERS, N_EVENTS = 5_000, 200_000
EVENTS_OF = {"single": 1, "batch": 256}
# Kind and connections: one connection shows the time of one request, many show the rate.
TRIALS = (("recommend", 1), ("recommend", 32), ("single", 1), ("single", 64), ("batch", 4))


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each trial")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--dirty", action="store_true", help="record an uncommitted tree as such")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        rows.append(disk(Path(folder)))
        for n_items in arguments.items:
            rows += measured(Path(folder) / str(n_items), n_items, arguments.seconds)
    print(record("service", rows, dirty=arguments.dirty))


def measured(folder: Path, n_items: int, seconds: float) -> list[Row]:
    """Serve a catalogue of some size, and put it through every trial."""
    shop = untrained_shop(folder, n_items, N_USERS, N_EVENTS)
    server = Server(shop)
    for n in range(N_USERS):  # a user's history is read when he is first asked about
        server.get(f"/v1/users/u{n}/recommendations?k=1")
    rows = []
    for kind, connections in TRIALS:
        trial(server, kind, connections, n_items, seconds / 4)  # not measured
        metrics = trial(server, kind, connections, n_items, seconds)
        row = {
            "data": f"generated: {n_items:,} items, {N_USERS:,} users, {N_EVENTS:,} events",
            "protocol": f"{kind}, {connections} connections, loopback, {generator()}",
            "model": "gru(dim=64), untrained",
            "seed": 0,
            "metrics": metrics,
            "peak_mb": peak_mb(server.process.pid),
        }
        print(f"{n_items:,} items, {row['protocol']}: {metrics}")
        rows.append(row)
    if server.stop() != 0:
        raise RuntimeError("the server did not end well")
    return rows


def trial(
    server: Server, kind: str, connections: int, n_items: int, seconds: float
) -> dict[str, float]:
    """Send requests of one kind over some connections for a while."""
    if generator() == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", SCRIPT]
        done = subprocess.run(
            [*map(str, command), server.address, "--", kind, str(N_USERS), str(n_items)],
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    else:
        found = closed_loop(server.port, kind, connections, N_USERS, n_items, seconds)
    rate = found["requests"] / found["seconds"]
    metrics = {
        "requests_per_second": round(rate, 1),
        "p50_ms": round(found["p50_ms"], 3),
        "p99_ms": round(found["p99_ms"], 3),
        "errors": found["errors"],
    }
    if kind in EVENTS_OF:
        metrics["events_per_second"] = round(rate * EVENTS_OF[kind], 1)
    return metrics


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
