"""Pairs of a short half-life fade to nothing over months; what is left must stay a distribution."""

import numpy as np

import recency as rc
from recency.data.synthetic import shop


def test_pairs_that_have_faded_beyond_floats_answer_no_nan():
    log = shop(n_users=40, n_items=30, days=60, seed=0).log
    train, test = log.split_at(log.quantile(0.8))
    experts = rc.ExpertConfig(pair=("1min", "10min"), crowd=("1d",))
    training = rc.TrainConfig(epochs=1, device="cpu")
    one = rc.SequenceRecommender(rc.GRU(dim=4), training=training, experts=experts).fit(train)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        report = rc.evaluate(one, test, reading="growing", baselines=False, resamples=2)
    scores, _ = one.live.scores(np.arange(len(one.users)), one.live.now + 10**12)
    assert not np.isnan(scores).any()
    assert 0 < report.model.metrics["ndcg@10"] < 1
