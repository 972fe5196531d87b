"""The oracle ranks by the truth, and is a ceiling for everybody else."""

import pytest

from recency.baselines import Markov, Popularity
from recency.baselines.oracle import Oracle
from recency.data import synthetic
from recency.errors import DataError
from recency.evaluation.evaluate import evaluate
from recency.evaluation.protocol import Recommender


def test_nobody_beats_the_oracle() -> None:
    shop = synthetic.shop(n_users=150, n_items=60, days=40)
    train, test = shop.log.split_at(shop.log.quantile(0.8))
    oracle = Oracle(shop)
    assert isinstance(oracle, Recommender)
    assert oracle.fit(train) is oracle
    report = evaluate(oracle, test, baselines=[Popularity(), Markov()], resamples=100)
    for other in ("popularity", "markov"):
        for metric in ("ndcg@10", "recall@10"):
            assert report["truth"].metrics[metric] > report[other].metrics[metric] + 0.1


def test_on_pure_noise_the_oracle_is_no_better_than_chance() -> None:
    shop = synthetic.shop(n_users=150, n_items=60, days=40, noise=1.0)
    _, test = shop.log.split_at(shop.log.quantile(0.8))
    report = evaluate(Oracle(shop), test, baselines=False, resamples=100)
    low, high = report["truth"].intervals["recall@10"]
    assert low - 0.06 < 10 / 60 < high + 0.02, "a little better: it knows what is not on sale"


def test_questions_about_other_logs_are_refused() -> None:
    shop = synthetic.shop(n_users=20, n_items=20, days=10)
    other = synthetic.shop(n_users=20, n_items=20, days=10, seed=1)
    _, test = other.log.split_at(other.log.quantile(0.8))
    with pytest.raises(DataError, match=r"expected questions about events of the shop's own log"):
        evaluate(Oracle(shop), test, baselines=False)
