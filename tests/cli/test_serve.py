"""``recency serve`` as a process: what it says, how it ends, and what it refuses to start with."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.shop import untrained_shop


class Process:
    """``recency serve`` with some arguments."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "recency", "serve", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1", **environment},
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().strip()
        self.address = self.first.rpartition(" ")[2]

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Ask; give the status and the decoded answer."""
        return self.call("GET", path, None, headers)

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """Send JSON; give the status and the decoded answer."""
        return self.call("POST", path, body, {"Content-Type": "application/json", **headers})

    def call(
        self, method: str, path: str, body: object, headers: dict[str, str]
    ) -> tuple[int, Any]:
        """Send a request."""
        port = self.address.rpartition(":")[2]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Stop it; give its exit code and what it said on stderr."""
        self.process.send_signal(how)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for its end; give its exit code and what it said on stderr."""
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture(scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 20, 10, 200, dim=8)


@pytest.fixture
def shop(_shop: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_shop, tmp_path / "shop"))


@pytest.fixture
def serve() -> Iterator[Callable[..., Process]]:
    """Start servers; what still runs at the end is killed."""
    started: list[Process] = []

    def start(*arguments: object, **environment: str) -> Process:
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


EVENT = {"user_id": "u1", "item_id": "i1", "event_id": "a"}


def test_it_serves_keeps_events_and_ends_when_told(serve, shop):
    server = serve(shop, "--port", 0)
    assert re.fullmatch(r"Serving at http://127\.0\.0\.1:\d+", server.first)
    assert server.get("/health")[0] == 200
    status, answer = server.post("/v1/events", EVENT)
    assert (status, answer["accepted"]) == (200, 1)
    assert server.get("/v1/users/u1/recommendations?k=3")[1]["as_of"]["seq"] == 1
    code, said = server.end()
    assert code == 0, said
    assert "10 users, 20 items" in said and "0 events applied from the event log" in said
    assert "Stopped; the event log ends at seq 1." in said
    assert "Traceback" not in said
    assert not (shop / "serve" / "events.sqlite-wal").exists()  # folded into the file
    again = serve(shop, "--port", 0, "--json")
    facts = json.loads(again.first)
    assert facts["n_replayed"] == 1 and facts["address"].startswith("http://127.0.0.1:")
    again.address = facts["address"]
    assert again.post("/v1/events", EVENT)[1]["duplicate"] == 1
    assert again.end(signal.SIGINT)[0] == 0


def test_what_is_underway_is_finished_before_the_end(serve, shop):
    """SIGTERM under load: every answer that arrives is kept, and the exit is clean."""
    server = serve(shop, "--port", 0)
    acknowledged: list[str] = []
    stop = threading.Event()

    def work(name: str) -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            try:
                answer = server.post("/v1/events", EVENT | {"event_id": f"{name}-{n}"})[1]
            except OSError:
                return
            acknowledged.extend(one["event_id"] for one in answer.get("results", []))

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(acknowledged) <= 20 and time.monotonic() < until:
        stop.wait(0.05)
    code, said = server.end()
    stop.set()
    for thread in threads:
        thread.join()
    assert code == 0, said
    assert "Traceback" not in said, said
    with sqlite3.connect(shop / "serve" / "events.sqlite") as connection:
        kept = {row[0] for row in connection.execute("SELECT event_id FROM events")}
    connection.close()
    assert len(acknowledged) > 10 and set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 4


def test_a_public_address_makes_a_key_shows_it_once_and_asks_for_it(serve, shop):
    server = serve(shop, "--host", "0.0.0.0", "--port", 0)
    assert server.get("/health")[0] == 200
    status, answer = server.get("/v1/models")
    assert (status, answer["code"]) == (401, "no-valid-key")
    code, said = server.end()
    assert code == 0
    key = re.search(r"API key, shown only now: (rcy_\S+)", said)
    assert key is not None
    again = serve(shop, "--host", "0.0.0.0", "--port", 0)
    for headers in ({"X-Api-Key": key[1]}, {"Authorization": f"Bearer {key[1]}"}):
        assert again.get("/v1/models", **headers)[0] == 200
        assert again.get("/v1/models", Host="shop.example", **headers)[0] == 200
    said = again.end()[1]
    assert key[1] not in said
    keys = shop / "serve" / "api_keys.json"
    assert f"Requests need the API key of {keys}; remove the file to have a new one" in said
    assert key[1] not in keys.read_text()


def test_a_key_may_be_given_and_guards_this_machine_too(serve, shop):
    server = serve(shop, "--port", 0, RECENCY_API_KEY="0123456789abcdef")
    assert server.get("/v1/models")[0] == 401
    assert server.get("/v1/models", **{"X-API-Key": "0123456789abcdef"})[0] == 200
    assert "0123456789abcdef" not in server.end()[1]
    assert not (shop / "serve" / "api_keys.json").exists()


def test_without_a_key_other_names_are_refused(serve, shop):
    server = serve(shop, "--port", 0)
    assert server.get("/v1/models", Host="evil.example")[1]["code"] == "wrong-host"
    server.end()


def test_insecure_is_allowed_and_told(serve, shop):
    server = serve(shop, "--host", "0.0.0.0", "--port", 0, "--insecure")
    assert server.get("/v1/models")[0] == 200
    assert (
        "Warning: no key is asked for; whoever reaches this port may do anything."
        in (server.end()[1])
    )


def test_a_port_in_use_is_told_before_anything_is_loaded(run, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = run("serve", tmp_path / "no-such-model", "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"ConfigError: port {port} on 127.0.0.1 is in use by another program. Choose another with "
        f"--port, or --port 0 for any free one.\n"
    )


def test_a_store_in_use_is_told(serve, shop):
    first = serve(shop, "--port", 0)
    second = serve(shop, "--port", 0)
    code, said = second.ended()
    assert (code, second.first) == (1, "")
    assert f"found it in use by process {first.process.pid}. Two servers cannot share" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--host", "no.such.host.invalid"],
            "ConfigError: expected an address of this machine as host, found "
            "'no.such.host.invalid': ",
        ),
        (
            ["--host", "203.0.113.7"],
            "ConfigError: 203.0.113.7 is no address of this machine; 127.0.0.1 and 0.0.0.0 always "
            "work.",
        ),
        (
            ["--insecure", "--api-key", "0123456789abcdef"],
            "ConfigError: --insecure asks for no key, but --api-key gives one; choose one.",
        ),
        (
            ["--api-key", "short"],
            "ConfigError: expected an API key of at least 16 characters, found 5; leave it out to "
            "have one made.",
        ),
    ],
)
def test_calls_at_fault_end_with_2(run, shop, arguments, said):
    ran = run("serve", shop, "--port", 0, *arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith(said)


def test_a_duration_that_is_none_is_told(run, shop):
    ran = run("serve", shop, "--port", 0, "--max-skew", "soon")
    assert ran.code == 1
    assert "expected a duration such as '90s', '30min', '1h', '7d' or '2w', found 'soon'" in ran.err


def test_a_folder_without_a_model_is_told(run, tmp_path):
    ran = run("serve", tmp_path, "--port", 0)
    assert ran.code == 1
    assert ran.err.startswith("FormatError: ") and str(tmp_path) in ran.err


def test_a_file_that_is_no_event_store_is_left_alone(run, shop, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("these are my notes and no database")
    ran = run("serve", shop, "--port", 0, "--events", notes)
    assert ran.code == 1
    assert f"expected an event store (an SQLite file), found something else: {notes}" in ran.err
    assert notes.read_text() == "these are my notes and no database"


def test_a_damaged_file_of_keys_is_told(run, shop):
    (shop / "serve").mkdir()
    (shop / "serve" / "api_keys.json").write_text("{}")
    ran = run("serve", shop, "--host", "0.0.0.0", "--port", 0)
    assert ran.code == 1
    assert "expected hashes of API keys, found something else" in ran.err
