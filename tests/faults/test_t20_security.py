"""T20: what an attacker would try, refused: pickle, paths, addresses, timing, scopes, secrets."""

import ast
import hashlib
import hmac
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import recency
from benchmarks.serving.shop import untrained_shop
from recency.errors import ConfigError, FormatError
from recency.loading import load
from recency.serving.access.audit import FILE, Audit
from recency.serving.access.keys import SCOPES, KeyRing
from recency.serving.access.rates import Buckets
from recency.serving.app import create_app
from recency.serving.engine import Engine
from recency.serving.http.documentation import ROUTES
from recency.serving.models.registry import Registry

ROOT = Path(recency.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_shop(tmp_path_factory.mktemp("t20") / "shop", 10, 5, 60, dim=8)


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture
def engine(shop: Path) -> Iterator[Engine]:
    engine = Engine.open(shop)
    yield engine
    engine.close()


# --- nothing that is read can run --------------------------------------------------------------


class Bomb:
    """Write a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.canary, "it ran")


def test_t20_the_package_has_no_way_to_unpickle():
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    calls = {"torch.load", "eval", "exec", "yaml.load", "os.system"}
    options = {"allow_pickle": "False", "shell": "False", "weights_only": "True"}
    found = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            wrong = False
            if isinstance(node, ast.Import):
                wrong = any(one.name.partition(".")[0] in modules for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                wrong = (node.module or "").partition(".")[0] in modules
            elif isinstance(node, ast.Call):
                wrong = ast.unparse(node.func) in calls or any(
                    one.arg in options and ast.unparse(one.value) != options[one.arg]
                    for one in node.keywords
                )
            if wrong:
                found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert not found


@pytest.mark.parametrize("kind", [".safetensors", ".parquet", ".json"])
def test_t20_a_pickle_in_place_of_a_file_of_the_model_is_refused_and_does_not_run(
    shop, tmp_path, kind
):
    """Also with a checksum that fits: who can write the folder can write that too."""
    canary = tmp_path / "canary"
    bomb = pickle.dumps(Bomb(canary))
    pickle.loads(bomb)
    assert canary.read_text() == "it ran"  # the bomb works
    canary.unlink()
    manifest = json.loads((shop / "manifest.json").read_text())
    targets = [path for path in shop.iterdir() if path.suffix == kind]
    assert targets
    for row in manifest["files"].values():
        if row["file"].endswith(kind):
            row["sha256"] = hashlib.sha256(bomb).hexdigest()
    (shop / "manifest.json").write_text(json.dumps(manifest))
    for target in targets:
        target.write_bytes(bomb)
    with pytest.raises(FormatError):
        load(shop)
    assert not canary.exists()


# --- no path leads outside ---------------------------------------------------------------------


@pytest.mark.parametrize("where", ["../secret.parquet", "/etc/passwd", "a/../../secret.parquet"])
def test_t20_a_manifest_that_points_outside_is_refused(shop, tmp_path, where):
    (tmp_path / "secret.parquet").write_text("secret")
    path = shop / "manifest.json"
    text = path.read_text()
    name = next(one.name for one in shop.iterdir() if one.suffix == ".parquet")
    assert name in text
    path.write_text(text.replace(name, where))
    for read in (load, lambda folder: Registry(tmp_path / "registry").publish(folder)):
        with pytest.raises(FormatError) as caught:
            read(shop)
        assert "secret" not in str(caught.value).replace(where, "")
    models = tmp_path / "registry" / "models"
    assert not models.exists() or not list(models.iterdir())


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../shop", "/etc", "a/b", "a\\b", "%2e%2e", "a\x00", "~", "link"]
)
def test_t20_a_model_is_published_from_its_folder_and_from_nowhere_else(
    engine, shop, tmp_path, name
):
    incoming = shop / "serve" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "link").symlink_to(shop)
    with pytest.raises(ConfigError, match="expected the name of a folder in"):
        Registry.of(shop).publish_incoming(name)
    with TestClient(create_app(engine)) as client:
        answer = client.post("/v1/models", json={"folder": name})
        assert answer.status_code == 422, answer.text
    assert [one.version for one in engine.models()] == [engine.model_version]


@pytest.mark.parametrize(
    "name", ["../outside.jsonl", "/etc/passwd", "sub/../../outside.jsonl", "link.jsonl", "..", ""]
)
def test_t20_a_file_is_imported_from_its_folder_and_from_nowhere_else(engine, tmp_path, name):
    folder, outside = tmp_path / "imports", tmp_path / "outside.jsonl"
    folder.mkdir()
    outside.write_text('{"user_id": "u1", "item_id": "secret"}\n')
    (folder / "link.jsonl").symlink_to(outside)
    with TestClient(create_app(engine, imports=folder)) as client:
        answer = client.post("/v1/import", json={"file": name})
        assert 400 <= answer.status_code < 500, answer.text
        assert "root:" not in answer.text and "secret" not in answer.text
    assert engine.last_seq == 0
    with TestClient(create_app(engine)) as client:  # without a folder there is none to import from
        assert 400 <= client.post("/v1/import", json={"file": "a.jsonl"}).status_code < 500


@pytest.mark.parametrize("path", [
    "/studio/../../errors.py", "/studio/%2e%2e/%2e%2e/errors.py", "/studio/..%2f..%2ferrors.py",
    "/studio//etc/passwd",
])  # fmt: skip
def test_t20_the_pages_of_the_studio_are_all_that_its_address_gives(engine, path):
    from recency.studio import mount

    app = create_app(engine)
    mount(app)
    with TestClient(app) as client:
        answer = client.get(path)
        assert answer.status_code == 404 and "RecencyError" not in answer.text


# --- nothing is fetched --------------------------------------------------------------------------


def test_t20_the_service_has_no_client_of_its_own():
    """But the one for traces, whose address the operator gives."""
    fetching = {
        "urllib.request",
        "http.client",
        "httpx",
        "requests",
        "aiohttp",
        "ftplib",
        "smtplib",
    }
    found = []
    for path, tree in TREES.items():
        if path.relative_to(ROOT).parts[0] != "serving":
            continue
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name} imports {name}" for name in names if name in fetching]
    assert not found


def test_t20_addresses_in_requests_are_text(engine, monkeypatch, tmp_path):
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: asked.append(args))
    urls = [
        "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "gopher://x:1/_a",
        "s3://bucket/key", "\\\\host\\share", "http://[::1]:1/", "ftp://localhost/a",
    ]  # fmt: skip
    app = create_app(engine, imports=tmp_path)
    client = TestClient(app)
    for url in urls:
        for send in (
            lambda url: client.post("/v1/import", json={"file": url}),
            lambda url: client.post("/v1/import", json={"url": url}),
            lambda url: client.post("/v1/models", json={"folder": url}),
            lambda url: client.post("/v1/models", json={"url": url}),
            lambda url: client.put("/v1/items", json={"item_id": url, "title": url, "image": url}),
            lambda url: client.post("/v1/events", json={"user_id": url, "item_id": url}),
            lambda url: client.get("/health", headers={"x-forwarded-host": url, "referer": url}),
        ):
            answer = send(url)
            assert answer.status_code < 500, answer.text
            assert "root:" not in answer.text
    assert not asked


# --- keys ----------------------------------------------------------------------------------------


def test_t20_comparing_a_key_takes_the_same_steps_whoever_asks(monkeypatch):
    """By construction: every hash is compared, each by the function made for it, to its end."""
    ring, keys = KeyRing(()), []
    for n in range(8):
        ring, key = ring.with_new(f"n{n}", ["recommend:read"])
        keys.append(key)
    compared: list[tuple[str, str]] = []
    plain = hmac.compare_digest

    def noting(one: str, other: str) -> bool:
        compared.append((one, other))
        return plain(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    for key in (keys[0], keys[-1], "", keys[0][:-1], "x" * 10_000):
        compared.clear()
        ring.find(key)
        assert [known for _, known in compared] == [one.sha256 for one in ring.keys]
        assert {len(given) for given, _ in compared} == {64}


def keyed(engine: Engine, scopes: list[str], **settings: Any) -> TestClient:
    ring, key = KeyRing(()).with_new("page", scopes)
    client = TestClient(create_app(engine, keys=ring, **settings), raise_server_exceptions=False)
    client.headers["X-API-Key"] = key
    return client


def allowed(client: TestClient, method: str, path: str, **more: Any) -> bool:
    return client.request(method, path, **more).status_code not in (401, 403)


def test_t20_each_scope_opens_its_own_routes_and_no_other(engine):
    opened: dict[str, set[str]] = {}
    for scope in SCOPES:
        client = keyed(engine, [scope])
        opened[scope] = {
            f"{route.method} {route.path}"
            for route in ROUTES
            if allowed(client, route.method, re.sub(r"\{.*?\}", "x", route.path))
        }
    free = {"GET /health", "GET /ready"}
    assert opened["events:write"] == free | {"POST /v1/events"}
    assert opened["catalog:write"] == free | {
        f"{route.method} {route.path}"
        for route in ROUTES
        if (route.path.startswith("/v1/items") and route.method != "GET")
        or (route.path, route.method) == ("/v1/users/{user_id}", "PUT")
    }
    assert opened["recommend:read"] == free | {
        f"{route.method} {route.path}"
        for route in ROUTES
        if "recommendations" in route.path
        or (route.path.startswith("/v1/items") and route.method == "GET")
        or route.path in ("/v1/trending", "/v1/latest", "/v1/foretell")
    }
    assert opened["admin"] == {f"{route.method} {route.path}" for route in ROUTES}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/events/../models/rollback"),
        ("POST", "/v1/events/"),
        ("POST", "//v1/events"),
        ("POST", "/v1/events%2f..%2fmodels"),
        ("POST", "/v1/Events"),
        ("POST", "/v1/events;/../models/rollback"),
        ("DELETE", "/v1/events"),
        ("GET", "/v1/events"),
        ("DELETE", "/v1/users/u1"),
        ("GET", "/v1/users/u1%2Frecommendations"),
        ("GET", "/v1/users/recommendations"),
        ("GET", "/metrics"),
        ("GET", "/v1/status"),
        ("POST", "/health/../v1/models/rollback"),
        ("POST", "/studio/%2e%2e/v1/models/rollback"),
    ],
)
def test_t20_a_browsers_key_does_not_escape_its_scope(engine, method, path):
    client = keyed(engine, ["events:write"])
    for headers in (
        {},
        {"X-HTTP-Method-Override": "POST"},
        {"X-Original-URL": "/v1/events", "X-Rewrite-URL": "/v1/events"},
        {"X-Forwarded-For": "127.0.0.1"},
    ):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code in (401, 403, 404), (path, answer.text)
        assert answer.status_code != 404 or answer.json()["code"] == "no-such-route"


def test_t20_a_browsers_key_cannot_fill_a_users_history(engine, monkeypatch):
    monkeypatch.setitem(Buckets.__init__.__kwdefaults__, "clock", lambda: 0.0)  # nothing flows in
    client = keyed(engine, ["events:write"])
    row = {"user_id": "u1", "item_id": "i1"}
    statuses = [client.post("/v1/events", json=row).status_code for _ in range(60)]
    assert statuses == [200] * 40 + [429] * 20
    last = client.post("/v1/events", json=row)
    assert last.json()["code"] == "rate-limited" and int(last.headers["retry-after"]) >= 1
    other_name = {"userId": "u1", "itemId": "i1"}
    assert client.post("/v1/events", json=other_name).status_code == 429
    assert client.post("/v1/events", json=row | {"user_id": "u2"}).status_code == 200
    assert client.post("/v1/events", json=[row] * 41).status_code == 413
    assert keyed(engine, ["admin"]).post("/v1/events", json=[row] * 500).status_code == 200


# --- secrets stay secret -------------------------------------------------------------------------


@pytest.mark.slow
def test_t20_no_secret_reaches_a_log_line_or_a_file(shop, tmp_path, fault_row):
    chosen = "chosen-secret-0123456789"
    ring, made = KeyRing(()).with_new("shop", ["admin"])
    (shop / "serve").mkdir()
    ring.write(shop / "serve" / "api_keys.json")
    runs = 0
    for secret, more in ((made, {}), (chosen, {"RECENCY_API_KEY": chosen})):
        log = tmp_path / "log"
        with log.open("wb") as file:
            environment = os.environ | more
            server = Process(shop, environment, file)
            for path in ("/v1/models", f"/v1/{secret}", f"/v1/models?api_key={secret}",
                         f"/v1/users/{secret}/recommendations?k={secret}"):  # fmt: skip
                for headers in (
                    {"X-API-Key": secret},
                    {"Authorization": f"Bearer {secret}"},
                    {"X-API-Key": f"{secret}x"},
                    {"Authorization": f"Basic {secret}", "X-Request-ID": "fine-1"},
                ):
                    server.ask(path, headers)
                    runs += 1
            server.ask("/v1/users/somebody-7", {"X-API-Key": secret}, "DELETE")
            server.end()
        said = log.read_text()
        assert '"route": "/v1/models"' in said  # requests were logged
        assert secret not in said and secret[4:] not in said
        for path in shop.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert secret.encode() not in content, path
        lines = (shop / "serve" / FILE).read_text().splitlines()
        assert json.loads(lines[-1])["action"] == "erase"
        assert "somebody-7" not in "".join(lines) + said
        audit = Audit(shop / "serve" / FILE)
        assert json.loads(lines[-1])["user"] == audit.pseudonym("somebody-7")
    fault_row("T20", runs=runs, lost=0, doubled=0)


class Process:
    """A server that logs all it can."""

    def __init__(self, shop: Path, environment: dict[str, str], log: Any) -> None:
        command = [sys.executable, "-m", "recency", "serve", str(shop), "--port", "0", "--json",
                   "--log", "json", "--access-log"]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=environment
        )
        assert self._process.stdout is not None
        self.address = json.loads(self._process.stdout.readline())["address"]

    def ask(self, path: str, headers: dict[str, str], method: str = "GET") -> None:
        import httpx

        httpx.request(method, self.address + path, headers=headers, timeout=30)

    def end(self) -> None:
        assert self._process.stdout is not None
        self._process.terminate()
        assert self._process.wait(30) == 0
        self._process.stdout.close()
