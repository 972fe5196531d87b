"""T14, the transport: who is slow, endless or half there is cut off, and nobody else notices."""

import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from benchmarks.serving.shop import untrained_shop
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.limits import ConnectionLimits, Limits
from recency.serving.server import served

LIMITS = ConnectionLimits(
    connections=24, header_bytes=4096, header_seconds=0.4, idle_seconds=1.0, write_seconds=0.5
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    shop = untrained_shop(tmp_path_factory.mktemp("t14") / "shop", 20, 10, 200, dim=8)
    engine = Engine.open(shop, limits=Limits(body_seconds=0.4, body_bytes=2**16))
    yield engine
    engine.close()


@contextmanager
def serving(engine: Engine) -> Iterator[int]:
    """Serve in a thread of this process; give the port."""
    with served(create_app(engine), limits=LIMITS) as address:
        yield int(address.rpartition(":")[2])


@pytest.fixture(scope="module")
def port(engine: Engine) -> Iterator[int]:
    with serving(engine) as port:
        yield port


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def rest_of(one: socket.socket) -> bytes:
    """Read until the server ends the connection, which it must do in time."""
    got = b""
    try:
        while piece := one.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def ended_within(one: socket.socket, seconds: float) -> bytes:
    started = time.monotonic()
    got = rest_of(one)
    assert time.monotonic() - started < seconds
    return got


def works(port: int) -> None:
    """Check that an honest client is served."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as honest:
        honest.request("POST", "/v1/events", json.dumps({"user_id": "u1", "item_id": "i1"}),
                       {"content-type": "application/json"})  # fmt: skip
        answer = honest.getresponse()
        assert answer.status == 200, answer.read()


def problem_in(got: bytes) -> dict[str, object]:
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head and b"connection: close" in head
    return dict(json.loads(body))


def test_t14_headers_that_drip_are_cut_off(port):
    with connected(port) as slow:
        started = time.monotonic()
        slow.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
        for _ in range(20):
            time.sleep(0.1)
            try:
                slow.sendall(b"x-a: b\r\n")
            except OSError:
                break
        assert time.monotonic() - started < 2.0
        works(port)


def test_t14_a_head_that_stops_is_told_and_ended(port):
    with connected(port) as half:
        half.sendall(b"GET /health HTTP/1.1\r\nhost")
        assert problem_in(ended_within(half, 2.0))["code"] == "too-slow"


def test_t14_a_silent_connection_is_ended(port):
    with connected(port) as silent:
        assert ended_within(silent, 2.0) == b""


def test_t14_an_idle_connection_is_ended(port):
    with connected(port) as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"200 OK" in ended_within(idle, 4.0)


def test_t14_a_body_that_drips_is_told_and_ended(port):
    with connected(port) as slow:
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\n"
                     b"content-type: application/json\r\ncontent-length: 999\r\n\r\n{")  # fmt: skip
        got = ended_within(slow, 4.0)
        assert got.startswith(b"HTTP/1.1 408") and b"too-slow" in got
    works(port)


def test_t14_a_body_nobody_asked_for_does_not_hold_the_connection(port):
    """The answer, a 404, is there at once; the body never ends."""
    with connected(port) as slow:
        started = time.monotonic()
        slow.sendall(b"POST /nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999\r\n\r\n")
        try:
            for _ in range(40):
                slow.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started < 1.9


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-large: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx-endless: " + b"a" * 100_000,
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
    ],
    ids=["one header", "endless header", "path", "many headers"],
)
def test_t14_a_head_too_large_is_refused(port, head):
    with connected(port) as large:
        large.sendall(head)
        got = ended_within(large, 2.0)
        assert got.startswith(b"HTTP/1.1 431 "), got[:80]
        assert problem_in(got)["code"] == "headers-too-large"
    works(port)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"NONSENSE\r\n\r\n",
     b"GET http://[ HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
     b"POST /v1/events HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0",
     b"POST /v1/events HTTP/1.1\r\ncontent-length: -1\r\n\r\n"],
    ids=["tls", "version", "nonsense", "address", "not ascii", "smuggled", "negative"],
)  # fmt: skip
def test_t14_what_is_no_http_gets_one_plain_answer(port, sent):
    with connected(port) as odd:
        odd.sendall(sent)
        got = ended_within(odd, 3.0)
        assert got.startswith(b"HTTP/1.1 4"), got[:80]
        assert b"Traceback" not in got
    works(port)


def test_t14_an_upgrade_nobody_offers_is_an_ordinary_request(port):
    with connected(port) as odd:
        odd.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, close\r\n"
                    b"upgrade: websocket\r\n\r\n")  # fmt: skip
        assert ended_within(odd, 3.0)[9:12] in (b"200", b"400")
    works(port)


def test_t14_too_many_connections_are_told_to_come_again(port):
    held = [connected(port) for _ in range(LIMITS.connections)]
    try:
        time.sleep(0.1)
        with connected(port) as late:
            got = ended_within(late, 2.0)
            assert got.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in got
    finally:
        for one in held:
            one.close()
    time.sleep(0.2)
    works(port)


def test_t14_who_never_reads_the_answers_is_cut_off(port):
    """Answers pile up for a client that does not take them, up to a bound and for a while."""
    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.settimeout(5)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 400)
        time.sleep(LIMITS.write_seconds + 1.0)
        works(port)
        assert rest_of(deaf).count(b"HTTP/1.1 200 OK") < 400


def test_t14_a_crowd_of_broken_clients_takes_nothing_from_the_rest(engine, soak, fault_row):
    """Half-open, dripping, garbled and vanishing connections, at random, beside honest ones."""
    runs, chance = (4000 if soak else 120), random.Random(7)
    starts = [b"", b"G", b"GET /health HTTP/1.1\r\nho", b"\x00\xff\r\n\r\n",
              b"POST /v1/events HTTP/1.1\r\ncontent-type: application/json\r\n"
              b"content-length: 90\r\n\r\n{\"us"]  # fmt: skip
    before = engine.last_seq
    with serving(engine) as port:
        held: list[socket.socket] = []
        honest = 0
        for n in range(runs):
            one = connected(port)
            one.sendall(chance.choice(starts))
            held.append(one)
            while len(held) > 12:
                held.pop(chance.randrange(len(held))).close()
            if n % 10 == 0:
                works(port)
                honest += 1
        for one in held:
            one.close()
        time.sleep(LIMITS.header_seconds + 0.3)
        works(port)
    assert engine.last_seq == before + honest + 1
    fault_row("T14", runs=runs, lost=0, doubled=0, honest=honest + 1)
