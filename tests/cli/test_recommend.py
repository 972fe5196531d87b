"""recommend with rules, as a person types them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recency.cli.app import app
from recency.data.catalogue import Catalogue
from recency.data.synthetic import shop
from recency.errors import ConfigError
from recency.loading import load
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = shop(n_users=20, n_items=20, days=10, seed=0)
    items = Catalogue.from_frame(made.items)
    model = SequenceRecommender(GRU(8), training=TrainConfig(epochs=1, device="cpu"))
    place = tmp_path_factory.mktemp("rules") / "shop"
    model.fit(made.log, items).save(place)
    return place


def run(folder: Path, *options: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["recommend", str(folder), "--user", "u1", "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["recommendations"]


def test_rules_are_flags(folder: Path) -> None:
    items = load(folder).catalogue
    assert items is not None
    price = {one: items.describe(one)["price"] for one in items.frame["item_id"]}
    found = [row["item_id"] for row in run(folder, "--price", "5..20", "-k", "20")]
    assert found and all(5 <= price[one] <= 20 for one in found)
    last = run(folder, "-k", "20")[-1]["item_id"]
    assert run(folder, "--boost", f"item:{last}:1e9")[0]["item_id"] == last
    name = items.describe(last)["categories"][0]
    assert last not in [row["item_id"] for row in run(folder, "--exclude-category", name)]
    one_each = run(folder, "--max-per-category", "1", "--diversity", "0.5", "-k", "20")
    assert len(one_each) < 20


def test_all_that_is_wrong_is_told(folder: Path) -> None:
    options = ["--price", "x", "--boost", "tents", "--diversity", "2", "--max-per-category", "0"]
    done = CliRunner().invoke(app, ["recommend", str(folder), "--user", "u1", *options])
    said = str(done.exception) if isinstance(done.exception, ConfigError) else done.output
    for part in (
        "--price: expected",
        "--boost: expected",
        "--diversity: expected",
        "--max-per-category: expected",
    ):
        assert part in said
