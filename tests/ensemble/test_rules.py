"""Rules hold for an ensemble as they hold for one model."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from recency.baselines import Markov
from recency.data.catalogue import Catalogue
from recency.data.synthetic import shop
from recency.ensemble import Ensemble
from recency.loading import load
from recency.nn.experts import ExpertConfig
from recency.nn.recurrent import GRU
from recency.recommender import SequenceRecommender
from recency.training.config import TrainConfig

TRAINING = TrainConfig(epochs=1, valid_share=0.0, device="cpu")
EXPERTS = ExpertConfig(pair=("30d",), crowd=("7d",))


def model(seed: int, experts: ExpertConfig | None) -> SequenceRecommender:
    return SequenceRecommender(GRU(8), training=TRAINING, experts=experts, seed=seed)


@cache
def folders(place: Path) -> tuple[Path, Path]:
    made = shop(n_users=30, n_items=15, days=10, seed=3)
    items = Catalogue.from_frame(made.items)
    model(0, EXPERTS).fit(made.log, items).save(place / "one")
    Ensemble([model(0, EXPERTS), Markov(), model(1, None)]).fit(made.log, items).save(place / "all")
    return place / "one", place / "all"


@pytest.fixture(params=[0, 1], ids=["model", "ensemble"])
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    base = tmp_path_factory.getbasetemp() / "rules"
    base.mkdir(exist_ok=True)
    return load(folders(base)[request.param])


def test_rules_hold(fitted) -> None:
    users, ids = fitted.users.take(range(5)), fitted.items.ids.to_list()
    n, category = len(ids), fitted.catalogue.categories[0]
    at = fitted.live.now
    plain = fitted.recommend(users, n, at=at)
    assert all(len(one) == n for one in plain.items)
    fitted.describe([{"item_id": ids[0], "is_hidden": True}], merge=True)
    fitted.describe([{"item_id": ids[1], "in_stock": False}], merge=True)
    for rules in (
        {},
        {"boost": {category: 3.0}},
        {"diversity": 0.5},
        {"explore": 0.5},
        {"rotation": 0.5},
        {"max_per_category": n},
    ):
        found = fitted.recommend(users, n - 2, at=at, **rules)
        assert all(set(one) == set(ids[2:]) for one in found.items), rules
        assert np.isfinite(found.scores).all()
    few = fitted.recommend(users, n, at=at, max_per_category=1)
    for row in few.items:
        own = [name for one in row for name in fitted.catalogue.describe(one).get("categories", ())]
        assert len(own) == len(set(own))


def test_a_boost_lifts_by_its_factor(fitted) -> None:
    user, ids = fitted.users.take([0]), fitted.items.ids.to_list()
    plain = fitted.recommend(user, len(ids))
    more = fitted.recommend(user, len(ids), boost={f"item:{ids[3]}": 2.0})
    scores = dict(zip(plain.items[0], plain.scores[0], strict=True))
    found = dict(zip(more.items[0], more.scores[0], strict=True))
    assert found.pop(ids[3]) == pytest.approx(scores.pop(ids[3]) + np.log(2), abs=1e-5)
    assert found == pytest.approx(scores, abs=1e-5)


def test_vectors_give_the_cosines_that_similar_items_rank_by(fitted) -> None:
    rows = np.arange(len(fitted.items))
    vectors = fitted.live.vectors(rows)
    found = vectors @ vectors[4]
    expected = fitted.live.cosines(4)[0]
    others = rows != 4
    np.testing.assert_allclose(found[others], expected[others], atol=1e-5)
    assert not fitted.live.vectors(np.array([-1, len(rows)])).any()


def test_a_described_item_is_given_and_outlives_saving(fitted, tmp_path) -> None:
    user = fitted.users.take([0])
    category = fitted.catalogue.categories[0]
    fitted.describe([{"item_id": "newcomer", "categories": [category]}])
    found = fitted.recommend(user, len(fitted.items))
    assert "newcomer" in found.items[0]
    assert fitted.n_events_of("newcomer") == 0
    visit = [{"item_id": fitted.items.id_of(0), "timestamp": fitted.live.now}]
    assert "newcomer" in fitted.recommend_after(visit, len(fitted.items)).items[0]
    fitted.save(tmp_path / "kept")
    again = load(tmp_path / "kept").recommend(user, len(fitted.items))
    assert again.items == found.items and again.scores == found.scores
    at = fitted.live.now
    fitted.observe([{"user_id": "u", "item_id": "newcomer", "timestamp": at}])
    assert fitted.n_events_of("newcomer") == 1
    assert "newcomer" in fitted.recommend(user, len(fitted.items)).items[0]
