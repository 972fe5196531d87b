"""``recency models``: the versions of a model, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from recency.recommender import SequenceRecommender
from tests.serving.conftest import fitted, shop_log


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one shop."""
    from recency.data.log import Log

    folder = tmp_path_factory.mktemp("models")
    for n in (1, 2):
        fitted(Log.from_frame(shop_log(200).events.head(200 - n))).save(folder / str(n))
    return [folder / "1", folder / "2"]


def said(ran: Any) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_versions_come_go_and_come_back(run, models, tmp_path):
    shop = tmp_path / "shop"
    names = [SequenceRecommender.load(one).model_version for one in models]
    assert said(run("models", "publish", shop, models[0], "--json")) == {
        "version": names[0], "current": names[0]
    }  # fmt: skip
    ran = run("models", "publish", shop, models[1], "--reason", "weekly")
    assert ran.out == f"Published {names[1]}; {names[0]} is the current version.\n"
    ran = run("models", "promote", shop, names[1], "--json")
    assert said(ran) == {"current": names[1], "previous": names[0]}
    lines = said(run("models", shop, "--json"))["versions"]
    assert {one["version"]: one["role"] for one in lines} == {
        names[0]: "previous", names[1]: "current"
    }  # fmt: skip
    assert run("models", "rollback", shop).out == f"{names[0]} is the current version.\n"
    told = run("models", "list", shop, "--history").out
    assert [line.split()[1] for line in told.split("\n\n")[1].splitlines()[1:]] == [
        "published", "promoted", "published", "promoted", "promoted"
    ]  # fmt: skip
    assert "weekly" in told


def test_a_plain_model_is_a_registry_of_one(run, models):
    (line,) = said(run("models", models[0], "--json"))["versions"]
    assert line["role"] == "current" and line["published"] is None


def test_what_cannot_be_is_told(run, models, tmp_path):
    ran = run("models", "promote", models[0], "nobody")
    assert ran.code == 2 and "there is no version 'nobody'" in ran.err
    ran = run("models", "rollback", models[0])
    assert ran.code == 2 and "there is no version to go back to" in ran.err
    ran = run("models", tmp_path)
    assert ran.code == 1 and "found neither manifest.json nor models/" in ran.err
    ran = run("models", "publish", tmp_path / "new", tmp_path / "nothing")
    assert ran.code == 1 and "expected a model folder" in ran.err
    assert not (tmp_path / "new").exists()


def test_weights_that_are_not_finite_are_not_published(run, models, tmp_path):
    import torch

    model = SequenceRecommender.load(models[0])
    with torch.no_grad():
        model.live.model.bias[0] = float("inf")
    model.save(tmp_path / "bad")
    ran = run("models", "publish", tmp_path / "new", tmp_path / "bad")
    assert ran.code == 1 and "expected finite weights, found NaN or infinity in" in ran.err
