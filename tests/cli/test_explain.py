"""explain, as a person types it."""

import json
from pathlib import Path

import pytest

from recency.data.synthetic import shop
from recency.loading import load
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = SequenceRecommender(GRU(8), training=TrainConfig(epochs=1, device="cpu"))
    place = tmp_path_factory.mktemp("why") / "shop"
    model.fit(shop(n_users=20, n_items=20, days=10, seed=0).log).save(place)
    return place


def test_the_first_item_is_explained_in_words_and_as_a_table(run: Run, folder: Path) -> None:
    done = run("explain", folder, "--user", "u01", "--without", 1)
    assert done.code == 0
    best = load(folder).recommend(["u01"], 1).items[0][0]
    assert done.out.startswith(f"item {best} stands at place 1 for user u01 at ")
    assert "Without the event 1 ago" in done.out
    assert "contribution" in done.out


def test_json_and_a_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.svg"
    done = run("explain", folder, "--user", "u01", "--json", "--plot", picture)
    facts = json.loads(done.out)
    assert facts["rank"] == 1 and facts["events"][0]["ago"] == 1
    assert picture.read_text().startswith("<?xml") and "Drawn into" in done.err


def test_what_is_wrong_is_told_with_exit_code_2(run: Run, folder: Path) -> None:
    done = run("explain", folder, "--user", "u01", "--method", "guess")
    assert done.code == 2 and "method: expected one of" in done.err
    done = run("explain", folder, "--user", "nobody")
    assert done.code == 2 and "never seen" in done.err
    done = run("explain", folder, "--user", "u01", "--plot", "why.gif")
    assert done.code == 2 and "expected a picture ending in" in done.err
