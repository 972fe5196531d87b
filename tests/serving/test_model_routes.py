"""Models over HTTP: listed, published from incoming/, promoted, challenged, taken back."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recency.data.log import Log
from recency.serving.http import schema
from recency.serving.models.registry import Registry


@pytest.fixture
def handed_in(shop: Path, fit: Any, shop_log_frame: Any) -> Path:
    """A second model of the shop, in the registry's incoming/."""
    folder = Registry.of(shop).incoming / "second"
    folder.parent.mkdir(parents=True)
    fit(Log.from_frame(shop_log_frame.head(390))).save(folder)
    return folder


def test_a_version_is_published_promoted_and_taken_back(client, handed_in):
    (only,) = client.get("/v1/models").json()["models"]
    first = only["model_version"]
    assert (only["active"], only["role"], only["share"]) == (True, "champion", 1.0)
    published = client.post("/v1/models", json={"folder": "second"})
    assert published.status_code == 200, published.text
    second = published.json()["version"]
    assert published.json()["model_version"] == first
    found = client.post(f"/v1/models/{second}/promote?reason=newer")
    assert found.json()["model_version"] == second == found.json()["version"]
    assert client.get("/v1/users/u1/recommendations").json()["model_version"] == second
    lines = {one["model_version"]: one for one in client.get("/v1/models").json()["models"]}
    assert (lines[first]["role"], lines[second]["role"]) == ("previous", "champion")
    assert client.post("/v1/models/rollback").json()["model_version"] == first
    challenged = client.post(f"/v1/models/{second}/challenge", json={"share": 0.25})
    assert challenged.status_code == 200, challenged.text
    answer = client.get("/v1/models")
    schema.ModelsAnswer.model_validate_json(answer.content)
    shares = {one["model_version"]: one["share"] for one in answer.json()["models"]}
    assert shares == {first: 0.75, second: 0.25}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v1/models/nobody/promote", None, 404, "there is no version 'nobody'. Known: "),
        ("POST", "/v1/models/..%2Fshop/promote", None, 422, "expected the name of a version"),
        ("POST", "/v1/models/x/promote?force=maybe&why=1", None, 422, "force: expected"),
        ("POST", "/v1/models/rollback", None, 422, "there is no version to go back to"),
        ("POST", "/v1/models", {"folder": "../../etc"}, 422, "expected the name of a folder in"),
        ("POST", "/v1/models", {"folder": "https://x/y"}, 422, "expected the name of a folder in"),
        ("POST", "/v1/models", {"folder": 7}, 422, "folder: expected the name of a folder"),
        ("POST", "/v1/models", [], 422, "expected a JSON object, found a list"),
        ("POST", "/v1/models/x/challenge", {"share": "all"}, 422, "share: expected a number"),
        ("POST", "/v1/models/x/challenge", {"share": 1}, 422, "expected a share of the users of"),
        ("POST", "/v1/models/x/challenge", {"share": 0.1, "to": 1}, 422, "unknown field 'to'"),
    ],
)
def test_what_cannot_be_is_told(client, method, path, body, status, said):
    answer = client.request(method, path, **({} if body is None else {"json": body}))
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


def test_a_version_that_cannot_serve_is_refused_and_listed(client, handed_in):
    version = client.post("/v1/models", json={"folder": "second"}).json()["version"]
    registry = client.app.state.engine.registry
    (weights,) = (registry.models / version).glob("weights-*")
    weights.write_bytes(b"")
    answer = client.post(f"/v1/models/{version}/promote")
    assert (answer.status_code, answer.json()["code"]) == (409, "model-refused")
    assert "was changed or cut short" in answer.json()["detail"]
    lines = {one["model_version"]: one for one in client.get("/v1/models").json()["models"]}
    assert "was changed or cut short" in lines[version]["refused"]


def test_a_folder_that_is_no_model_is_told(client, shop):
    (Registry.of(shop).incoming / "empty").mkdir(parents=True)
    answer = client.post("/v1/models", json={"folder": "empty"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-model")


def test_an_engine_without_a_folder_says_so(shop, tmp_path, make_client: Callable[..., Any], clock):
    from recency.loading import load
    from recency.serving.engine import Engine
    from recency.serving.log.event_store import EventStore

    shutil.rmtree(shop / "serve", ignore_errors=True)
    engine = Engine(load(shop), EventStore(tmp_path / "events"), clock=clock)
    client = make_client(engine)
    assert len(client.get("/v1/models").json()["models"]) == 1
    answer = client.post("/v1/models/rollback")
    assert answer.status_code == 422 and "Engine.open serves a folder" in answer.json()["detail"]
    engine.close()
