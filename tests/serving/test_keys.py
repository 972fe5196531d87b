"""Keys by scope, their rotation, the file that is read again, rates and the audit."""

import json
import stat
from typing import Any

import pytest

from recency.errors import ConfigError, FormatError, UnknownIdError
from recency.serving.access.audit import Audit
from recency.serving.access.key_file import KeyFile
from recency.serving.access.keys import KeyRing
from recency.serving.access.rates import Buckets, RateLimits
from recency.serving.http.scopes import scope_of


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# --- rings ----------------------------------------------------------------


def test_a_key_is_replaced_without_an_outage():
    ring, old = KeyRing(()).with_new("shop", ["events:write", "recommend:read"], rate=50.0)
    ring, new = ring.rotated("shop")
    first, second = ring.find(old), ring.find(new)
    assert first is not None and second is not None and old != new
    assert (first.scopes, first.rate) == (second.scopes, second.rate)
    with pytest.raises(ConfigError, match="at most 2 keys of the name 'shop'"):
        ring.rotated("shop")
    with pytest.raises(UnknownIdError, match="found 2 of them"):
        ring.without("shop")
    ring, gone = ring.without(first.id)
    assert gone == first and not ring.allows(old) and ring.allows(new)
    ring, _ = ring.without("shop")
    assert ring.keys == () and not ring.allows(new)


def test_scopes_and_what_they_hold():
    ring, key = KeyRing(()).with_new("page", ["events:write"])
    found = ring.find(key)
    assert found is not None and found.for_browsers
    assert found.may("events:write") and not found.may("recommend:read") and not found.may("admin")
    ring, key = ring.with_new("back", ["admin"])
    found = ring.find(key)
    assert found is not None and found.may("catalog:write") and not found.for_browsers


@pytest.mark.parametrize(
    ("name", "scopes", "rate", "said"),
    [
        ("", ["admin"], None, "a name of 1 to 64 printable characters, found ''"),
        ("a\nb", ["admin"], None, "found 'a\\nb'"),
        ("a", [], None, "scopes of events:write, recommend:read, catalog:write, admin, found none"),
        ("a", ["events", "admin"], None, "found events"),
        ("a", ["admin"], 0.0, "a rate above 0 requests a second, found 0.0"),
        ("a", ["admin"], float("inf"), "found inf"),
    ],
)
def test_a_key_that_cannot_be_is_refused(name, scopes, rate, said):
    with pytest.raises(ConfigError) as caught:
        KeyRing(()).with_new(name, scopes, rate=rate)
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as caught:
        KeyRing(()).with_new("", [], rate=-1.0)
    assert str(caught.value).count(";") == 2


def test_a_ring_comes_back_from_its_file(tmp_path):
    path = tmp_path / "keys.json"
    ring, _ = KeyRing(()).with_new("a", ["admin"], rate=2.5, made="2026-01-01T00:00:00Z")
    ring.write(path)
    assert KeyRing.read(path) == ring
    KeyRing(()).write(path)
    assert KeyRing.read(path).keys == ()


def test_there_are_only_so_many_keys():
    ring = KeyRing(())
    for n in range(64):
        ring, _ = ring.with_new(f"n{n}", ["admin"])
    with pytest.raises(ConfigError, match="at most 64 keys"):
        ring.with_new("one more", ["admin"])


# --- the file ----------------------------------------------------------------


def test_a_running_server_sees_new_and_revoked_keys(tmp_path):
    path, clock = tmp_path / "keys.json", Clock()
    ring, old = KeyRing(()).with_new("a", ["admin"])
    ring.write(path)
    file = KeyFile(path, ring, clock=clock)
    fresh, new = ring.rotated("a")
    fresh.write(path)
    assert file.find(new) is None  # not looked again yet
    clock.now += 1.0
    assert file.find(new) and file.find(old)
    fresh.without(ring.keys[0].id)[0].write(path)
    clock.now += 1.0
    assert file.find(new) and not file.find(old)


@pytest.mark.parametrize("accident", ["damaged", "gone"])
def test_an_accident_to_the_file_changes_nothing_and_is_logged(tmp_path, caplog, accident):
    path, clock = tmp_path / "keys.json", Clock()
    ring, key = KeyRing(()).with_new("a", ["admin"])
    ring.write(path)
    file = KeyFile(path, ring, clock=clock)
    path.write_text("{}") if accident == "damaged" else path.unlink()
    clock.now += 1.0
    assert file.find(key) and not file.find("another")
    assert "the keys stay as they were" in caplog.text and key not in caplog.text


# --- rates ----------------------------------------------------------------


def test_a_bucket_lets_a_burst_pass_and_a_flood_not():
    clock = Clock()
    buckets = Buckets(2.0, clock=clock)
    assert [buckets.take({"a": 1.0}) for _ in range(20)] == [0.0] * 20
    assert buckets.take({"a": 1.0}) == pytest.approx(0.5)
    assert buckets.take({"b": 1.0}) == 0.0
    clock.now += 0.5
    assert buckets.take({"a": 1.0}) == 0.0 and buckets.take({"a": 1.0}) > 0
    clock.now += 1e6
    assert [buckets.take({"a": 1.0}) > 0 for _ in range(21)] == [False] * 20 + [True]


def test_where_one_bucket_lacks_nothing_is_taken_of_any():
    buckets = Buckets(1.0, clock=Clock())
    buckets.take({"a": 10.0})
    assert buckets.take({"a": 1.0, "b": 5.0}) == pytest.approx(1.0)
    assert buckets.take({"b": 10.0}) == 0.0


def test_buckets_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("recency.serving.access.rates._MOST_BUCKETS", 10)
    buckets = Buckets(1.0, clock=Clock())
    for n in range(100):
        buckets.take({n: 1.0})
    assert len(buckets) == 10


def test_one_key_may_come_so_often_and_the_next_as_it_was_given(engine, make_client):
    ring, slow = KeyRing(()).with_new("slow", ["recommend:read"])
    ring, fast = ring.with_new("fast", ["recommend:read"], rate=1000.0)
    client = make_client(engine, keys=ring, rates=RateLimits(key=0.5))

    def ask(key: str) -> Any:
        return client.get("/v1/users/u1/recommendations", headers={"X-API-Key": key})

    assert [ask(slow).status_code for _ in range(6)] == [200] * 5 + [429]
    answer = ask(slow)
    assert answer.json()["code"] == "rate-limited" and answer.headers["retry-after"] == "2"
    assert answer.json()["detail"] == (
        "expected at most 0.5 requests a second, found more; send it again in 2 s."
    )
    assert {ask(fast).status_code for _ in range(20)} == {200}
    text = client.get("/metrics", headers={"X-API-Key": slow})
    assert text.status_code == 403  # whoever may not come at all does not use up anything
    assert client.get("/ready").status_code == 200


# --- scopes of routes ----------------------------------------------------------------


def test_a_route_nobody_thought_of_asks_for_admin():
    assert scope_of("POST", "/v1/something/new") == "admin"
    assert scope_of("GET", "/v1/users/u1") == scope_of("DELETE", "/v1/users/u1") == "admin"
    assert scope_of("BREW", "/v1/items/x") == "catalog:write"
    assert scope_of("GET", "/v1/users/a/b/recommendations") == "admin"


def test_a_key_without_the_scope_is_told_which(engine, make_client):
    ring, key = KeyRing(()).with_new("page", ["events:write"])
    client = make_client(engine, keys=ring)
    answer = client.get("/v1/models", headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong-scope")
    assert answer.json()["detail"] == (
        "expected a key with the scope 'admin', found one with events:write. Make another with "
        "recency keys."
    )
    assert client.get("/openapi.json", headers={"X-API-Key": key}).status_code == 200


def test_pages_of_other_addresses_may_call_where_that_was_said(engine, make_client):
    ring, key = KeyRing(()).with_new("page", ["events:write"])
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type,x-api-key"}  # fmt: skip
    client = make_client(engine, keys=ring, origins=["https://shop.example"])
    preflight = client.request("OPTIONS", "/v1/events", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in preflight.headers
    sent = client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"},
                       headers={"Origin": "https://shop.example", "X-API-Key": key})  # fmt: skip
    assert sent.status_code == 200
    assert sent.headers["access-control-allow-origin"] == "https://shop.example"
    other = client.request("OPTIONS", "/v1/events", headers=asked | {"Origin": "https://evil.test"})
    assert other.status_code == 400 and "access-control-allow-origin" not in other.headers
    closed = make_client(engine, keys=ring)
    assert closed.request("OPTIONS", "/v1/events", headers=asked).status_code == 401


# --- the audit ----------------------------------------------------------------


def test_changes_by_administrators_are_written_down(engine, make_client, tmp_path):
    path = tmp_path / "serve" / "audit.jsonl"
    ring, key = KeyRing(()).with_new("ops", ["admin"])
    client = make_client(engine, keys=ring, audit=Audit(path, clock=lambda: 0))
    headers = {"X-API-Key": key, "X-Request-ID": "r-7"}
    client.request("DELETE", "/v1/users/u%2F1", headers=headers)
    client.post("/v1/models/abc/promote", headers=headers)
    client.get("/v1/models", headers=headers)  # reading changes nothing
    client.post("/v1/events", json={"user_id": "u1", "item_id": "i1"}, headers=headers)
    client.request("DELETE", "/v1/users/u2")  # nobody: not let in, so nothing to write down
    head, erased, promoted = [json.loads(line) for line in path.read_text().splitlines()]
    assert head["format"] == 1
    whose = f"ops {ring.keys[0].id}"
    assert erased == {
        "time": "1970-01-01T00:00:00Z", "action": "erase", "method": "DELETE",
        "path": "/v1/users/{user}", "status": 200, "key": whose, "request_id": "r-7",
        "user": Audit(path).pseudonym("u/1"),
    }  # fmt: skip
    assert promoted["action"] == "promote" and promoted["path"] == "/v1/models/abc/promote"
    assert promoted["status"] >= 400
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_audit_goes_on_where_it_was_and_other_files_are_left_alone(tmp_path):
    path = tmp_path / "audit.jsonl"
    one = Audit(path)
    one.note("make-key", name="a")
    two = Audit(path)
    two.note("revoke-key", name="a")
    assert one.pseudonym("u") == two.pseudonym("u") != Audit(tmp_path / "b").pseudonym("u")
    assert len(path.read_text().splitlines()) == 3
    notes = tmp_path / "notes.txt"
    notes.write_text("mine\n")
    with pytest.raises(FormatError, match="expected an audit log of Recency"):
        Audit(notes)
    assert notes.read_text() == "mine\n"


def test_a_change_that_cannot_be_written_down_is_not_acknowledged(engine, make_client, tmp_path):
    path = tmp_path / "audit.jsonl"
    client = make_client(engine, audit=Audit(path))
    path.unlink()
    path.mkdir()
    assert client.request("DELETE", "/v1/users/u1").status_code == 500
