"""Who is let in: keys, the names that a server answers to, and what stays open."""

import json
import stat

import pytest

from recency.errors import ConfigError, FormatError
from recency.serving.access.keys import KeyRing
from recency.serving.http.access import LOOPBACK
from recency.studio import mount

KEY = "a-key-of-some-length"


@pytest.fixture
def guarded(engine, make_client):
    return make_client(engine, keys=KeyRing.of(KEY))


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY} "}],
)
def test_a_key_opens_the_door(guarded, headers):
    assert guarded.get("/v1/models", headers=headers).status_code == 200
    sent = {"user_id": "u1", "item_id": "i1"}
    assert guarded.post("/v1/events", json=sent, headers=headers).json()["accepted"] == 1


def test_the_studio_page_is_open_and_its_data_is_not(guarded):
    mount(guarded.app, report={"model": "secret"})
    assert guarded.get("/").headers["location"] == "/studio/"
    assert guarded.get("/studio/").status_code == 200
    assert guarded.get("/studio/studio.js").status_code == 200
    for path in ("/studio/report.json", "/v1/models"):
        assert guarded.get(path).status_code == 401
    for path in ("/studio/../v1/models", "/studio/%2e%2e/v1/models", "/studio/%72eport.json"):
        answer = guarded.get(path)
        assert answer.status_code in (401, 404) and "secret" not in answer.text
    held = guarded.get("/studio/report.json", headers={"X-API-Key": KEY})
    assert held.json() == {"model": "secret"}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, "found none"),
        ({"X-API-Key": KEY + "x"}, "found another"),
        ({"X-API-Key": ""}, "found another"),
        ({"X-API-Key": KEY.upper()}, "found another"),
        ({"Authorization": f"Basic {KEY}"}, "found none"),
        ({"Authorization": "Bearer"}, "found none"),
        ({"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}"}, "found another"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/openapi.json", "/nothing"])
def test_without_the_key_it_stays_shut(guarded, engine, path, headers, found):
    answer = guarded.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == (
        f"expected a valid API key, {found}. Send it as 'X-API-Key: KEY' or "
        f"'Authorization: Bearer KEY'."
    )
    sent = {"user_id": "u1", "item_id": "i1"}
    assert guarded.post("/v1/events", json=sent, headers=headers).status_code == 401
    assert engine.last_seq == 0


def test_health_and_readiness_stay_open(guarded):
    assert guarded.get("/health").status_code == guarded.get("/ready").status_code == 200
    assert guarded.get("/health%2F..%2Fv1%2Fmodels").status_code == 401


def test_openapi_says_how_to_send_the_key(guarded, client):
    whole = guarded.get("/openapi.json", headers={"X-API-Key": KEY}).json()
    assert whole["security"] == [{"key": []}, {"bearer": []}]
    assert whole["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert "security" not in client.get("/openapi.json").json()


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_a_server_without_a_key_answers_to_names_of_this_machine(engine, make_client, host):
    client = make_client(engine, hosts=LOOPBACK)
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_and_to_no_other_name(engine, make_client, host):
    """A page of evil.example may let its own name point to 127.0.0.1; the header tells."""
    answer = make_client(engine, hosts=LOOPBACK).get("/v1/models", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["detail"] == (
        f"this server answers to 127.0.0.1, ::1, localhost, the request was for {host!r}. Set an "
        f"API key to serve it under other names."
    )


def test_a_key_is_made_once_and_kept_as_a_hash(tmp_path):
    path = tmp_path / "serve" / "api_keys.json"
    ring, key = KeyRing.kept_in(path)
    assert key is not None and key.startswith("rcy_") and len(key) > 40
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["api_keys.json"]
    again, none = KeyRing.kept_in(path)
    assert none is None and again == ring
    assert again.allows(key) and not again.allows(key[:-1]) and not again.allows("")
    assert KeyRing.kept_in(tmp_path / "other.json")[1] != key


def test_two_keys_may_be_valid_while_one_replaces_the_other():
    both = KeyRing(KeyRing.of("the-old-key-12345").keys + KeyRing.of("the-new-key-12345").keys)
    assert both.allows("the-old-key-12345") and both.allows("the-new-key-12345")
    assert not both.allows("another-key-12345")


def test_a_key_that_can_be_guessed_is_refused():
    with pytest.raises(ConfigError) as caught:
        KeyRing.of("hunter2")
    assert str(caught.value) == (
        "expected an API key of at least 16 characters, found 7; leave it out to have one made."
    )


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"format": 2, "sha256": []}', '{"format": 1, "sha256": []}',
     '{"format": 1, "sha256": ["zz"]}', '{"format": 1, "sha256": [3]}', "\xff",
     '{"format": 2, "keys": [{"sha256": "zz", "name": "a", "scopes": ["admin"]}]}',
     '{"format": 2, "keys": [{"sha256": "ab", "name": "a", "scopes": ["all"]}]}'],
)  # fmt: skip
def test_a_damaged_file_of_keys_lets_nobody_in(tmp_path, content):
    path = tmp_path / "api_keys.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(FormatError) as caught:
        KeyRing.kept_in(path)
    assert str(caught.value) == (
        f"expected hashes of API keys, found something else: {path}. Remove the file to have a "
        f"new key made."
    )


def test_a_file_of_keys_is_plain_json(tmp_path):
    path = tmp_path / "api_keys.json"
    ring, _ = KeyRing.kept_in(path)
    (key,) = ring.keys
    line = {"sha256": key.sha256, "name": "default", "scopes": ["admin"]}
    assert json.loads(path.read_text()) == {"format": 2, "keys": [line]}


def test_a_file_of_the_first_format_is_read_as_keys_for_everything(tmp_path):
    path = tmp_path / "api_keys.json"
    (known,) = KeyRing.of(KEY).keys
    path.write_text(json.dumps({"format": 1, "sha256": [known.sha256]}))
    ring = KeyRing.read(path)
    found = ring.find(KEY)
    assert found is not None and found.may("admin") and found.may("events:write")
