"""``recency serve`` as it is run in earnest: TLS, scopes, an admin port, and a slow goodbye."""

import datetime
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import recency as rc
from benchmarks.serving.shop import untrained_shop
from recency.serving.access.keys import FILE, KeyRing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("model") / "shop", 20, 10, 200, dim=8)


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


class Process:
    """A ``recency serve``, and what it said first."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "recency",
                "serve",
                *map(str, arguments),
                "--port",
                "0",
                "--json",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.facts: dict[str, Any] = json.loads(line) if line else {}

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture
def serve() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*arguments: object) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that vouches for itself."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, secret


@pytest.mark.slow
def test_tls_scoped_keys_and_an_admin_port(serve, shop, tmp_path):
    cert, secret = certificate(tmp_path)
    ring, page = KeyRing(()).with_new("page", ["events:write"])
    ring, back = ring.with_new("back", ["recommend:read"])
    ring.write(shop / "serve" / FILE)
    server = serve(shop, "--tls-cert", cert, "--tls-key", secret, "--admin-port", 0,
                   "--origin", "https://shop.example", "--log", "json")  # fmt: skip
    address, admin = server.facts["address"], server.facts["admin_address"]
    assert address.startswith("https://") and admin.startswith("https://")
    trusted = ssl.create_default_context(cafile=cert)
    with httpx.Client(base_url=address, verify=trusted, headers={"x-api-key": page}) as http:
        with rc.Client(address, http=http) as client:
            assert client.event(user_id="u1", item_id="i1") == 1
            with pytest.raises(rc.client.NotAllowedError) as caught:
                client.recommend("u1")
            assert caught.value.code == "wrong-scope"
        assert http.get("/ready").headers["x-content-type-options"] == "nosniff"
    with httpx.Client(base_url=address, verify=trusted, headers={"x-api-key": back}) as http:
        assert len(http.get("/v1/users/u1/recommendations").json()["items"]) == 10
        assert http.get("/metrics").status_code == 403
        fresh, third = KeyRing.read(shop / "serve" / FILE).with_new("ops", ["admin"])
        fresh.write(shop / "serve" / FILE)  # as `recency keys make` does, while it runs
        time.sleep(1.1)
        assert http.get("/metrics", headers={"x-api-key": third}).status_code == 200
    with httpx.Client(base_url=admin, verify=trusted) as http:
        assert "recency_log_seq 1.0" in http.get("/metrics").text
        assert http.get("/v1/status").json()["last_seq"] == 1
        for path in ("/v1/models", "/v1/users/u1", "/studio/", "/metrics/../v1/models"):
            assert http.get(path).status_code == 404
        assert http.delete("/v1/users/u1").status_code == 404
    code, said = server.end()
    assert code == 0, said
    assert page not in said and back not in said and third not in said


@pytest.mark.slow
def test_readiness_turns_red_before_the_end(serve, shop):
    server = serve(shop, "--stop-delay", "2s")
    address = server.facts["address"]
    assert urllib.request.urlopen(f"{address}/ready").status == 200
    server.process.send_signal(signal.SIGTERM)
    seen = []
    with httpx.Client(base_url=address) as http:
        for _ in range(100):
            answer = http.get("/ready")
            seen.append(answer.status_code)
            if answer.status_code == 503:
                break
            time.sleep(0.02)
        assert answer.json()["code"] == "stopping"
        kept = http.post("/v1/events", json={"user_id": "u1", "item_id": "i1"})
        assert kept.json()["accepted"] == 1
    said = server.process.communicate(timeout=60)[1]
    assert server.process.returncode == 0 and "ends at seq 1." in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", 0], "expected a --rate above 0 requests a second, found 0."),
        (["--origin", "shop.example"], "expected an --origin such as https://shop.example"),
        (["--origin", "https://*"], "expected an --origin such as https://shop.example"),
        (["--tls-key", "k.pem"], "--tls-key is of no use without --tls-cert; give both."),
        (["--tls-cert", "no.pem"], "expected a certificate and its key, without a passphrase"),
        (["--log", "xml"], "expected a log format of plain or json, found 'xml'"),
        (["--otlp", "collector"], "expected an address such as http://127.0.0.1:4318/v1/traces"),
        (["--durability", "soon"], "expected durability as 'sync', 'interval:50ms'"),
    ],
)
def test_calls_at_fault_end_with_2(run, shop, arguments, said):
    ran = run("serve", shop, "--port", 0, *arguments)
    assert ran.code == 2 and said in ran.err, ran.err


def test_keys_that_were_made_guard_this_machine_too(serve, shop):
    ring, key = KeyRing(()).with_new("a", ["admin"])
    ring.write(shop / "serve" / FILE)
    server = serve(shop)
    address = server.facts["address"]
    assert httpx.get(f"{address}/v1/models").status_code == 401
    assert httpx.get(f"{address}/v1/models", headers={"x-api-key": key}).status_code == 200
    assert server.end()[0] == 0
