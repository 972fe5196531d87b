"""Rounds: what they take, what they may know, and what triggers them."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import torch

import recency as rc
from recency.data.catalogue import Catalogue
from recency.data.log import Log
from recency.online import whole as lessons
from recency.online.config import LearnConfig
from recency.online.drift import Drift
from recency.online.feed import Entry, LogFeed, Merge, NewOnly
from recency.online.learner import Learner, Round

CONFIG = LearnConfig(
    round_events=150, asked=20, whole="2d", gate_steps=2, gate_targets=400, recent=2_000
)


def weights(learner):
    return learner.recommender.live.model.state_dict()


def run(learner, rounds=99):
    told: list[Round] = []
    while len(told) < rounds and (entries := learner.plan()):
        told.append(learner.round(entries))
    return told


def test_rounds_take_the_feed_to_its_end(small_shop):
    learner = Learner(small_shop.model(), LogFeed(small_shop.test), CONFIG)
    told = run(learner)
    assert [one.number for one in told] == list(range(1, len(told) + 1))
    assert sum(one.n_events for one in told) == len(small_shop.test) == told[-1].seq
    assert 0 < sum(one.whole for one in told) < len(told)
    assert all(math.isfinite(one.ndcg) for one in told)
    assert learner.recommender.live.timelines.n_events == len(small_shop.train) + told[-1].seq
    assert not learner.plan()


def test_the_same_feed_makes_the_same_bits(small_shop):
    one, other = (Learner(small_shop.model(), LogFeed(small_shop.test), CONFIG) for _ in range(2))
    assert str(run(one, 3)) == str(run(other, 3))
    for name, cells in weights(one).items():
        assert torch.equal(cells, weights(other)[name]), name


def test_nothing_is_learned_before_its_delay(small_shop):
    """Events within the delay are observed; whatever they say, weights are the same."""
    config = replace(CONFIG, delay="2d", round_events=600)
    events = small_shop.test.events
    times = small_shop.test.times
    late = times >= times[599] - 2 * 86_400_000_000
    swapped = pl.Series(np.where(late, "item-of-the-future", events["item_id"].to_numpy()))
    kind = events["item_id"].dtype
    other = Log(events.with_columns(item_id=swapped.cast(kind))) if kind == pl.String else None
    assert other is not None
    learned = []
    for log in (small_shop.test, other):
        learner = Learner(small_shop.model(), LogFeed(log), config)
        told = run(learner, 1)
        assert told[0].n_targets
        learned.append(weights(learner))
    assert learned[0].keys() == learned[1].keys()
    for name, cells in learned[0].items():
        assert torch.equal(cells, learned[1][name]), name


def test_predictions_come_before_learning(small_shop):
    """The first round's predictions are those of the weights as they were."""
    scores = []
    for steps in (0, 30):
        learner = Learner(
            small_shop.model(), LogFeed(small_shop.test), replace(CONFIG, gate_steps=steps)
        )
        run(learner, 1)
        scores.append([(a.greater, a.at_least) for a in learner.scores._window])
    assert scores[0] == scores[1]


class Alarming:
    """Tell of a drift at every look."""

    def take(self, rows, *, quiet=False):
        return [Drift("score", 1, 0.5)]


def test_a_drift_makes_the_whole_model_move_sooner(small_shop):
    config = replace(CONFIG, quick=False, whole="3d", hurry=6, round_events=60, asked=5)
    log = Log(small_shop.test.events.head(300))
    calm = run(Learner(small_shop.model(), LogFeed(log), config))
    hurried = run(Learner(small_shop.model(), LogFeed(log), config, Alarming()))
    assert sum(one.whole for one in hurried) > sum(one.whole for one in calm)
    assert hurried[0].drifts and hurried[0].to_dict()["drifts"][0]["series"] == "score"


def test_a_lesson_that_foresees_worse_is_put_back(small_shop, monkeypatch):
    """What spoils the weights leaves no trace: they are those of a learner without lessons."""
    config = replace(CONFIG, whole="1d")
    harmful = Learner(small_shop.model(), LogFeed(small_shop.test), config)

    def spoil(one, *_):
        drawn = torch.Generator().manual_seed(0)
        with one.learning_on(), torch.no_grad():
            for cells in one.live.model.parameters():
                cells.normal_(std=3.0, generator=drawn)

    with monkeypatch.context() as patch:
        patch.setattr(lessons, "learn_whole", spoil)
        told = run(harmful)
    assert sum(one.refused for one in told) > 1 and not any(one.whole for one in told)
    assert {one.state_version for one in told} == {told[0].state_version}
    none = Learner(small_shop.model(), LogFeed(small_shop.test), replace(CONFIG, whole=None))
    without = run(none)
    assert [one.ndcg for one in told] == [one.ndcg for one in without]
    assert not any(one.refused for one in without)
    for name, cells in weights(harmful).items():
        assert torch.equal(cells, weights(none)[name]), name


def test_a_lesson_that_nothing_can_judge_is_kept(small_shop):
    config = replace(CONFIG, whole="1d", held=1e-6)  # one event
    told = run(Learner(small_shop.model(), LogFeed(small_shop.test), config))
    assert any(one.whole for one in told) and not any(one.refused for one in told)


def test_what_is_held_back_is_learned_by_the_next_lesson(small_shop, monkeypatch):
    config, told = replace(CONFIG, whole="1d"), []
    learner = Learner(small_shop.model(), LogFeed(small_shop.test), config)

    def note(one, histories, since, *_):
        told.append((since, histories.times.max()))

    monkeypatch.setattr(lessons, "learn_whole", note)
    run(learner)
    assert len(told) > 2
    for (_, newest), (since, _) in pairwise(told):
        times = learner.recommender.live.timelines.histories().times
        assert newest < since and not ((times > newest) & (times < since)).any()


def test_merges_and_erasures_are_followed(small_shop):
    entries = LogFeed(small_shop.test).read(0, 40)
    first = entries[0].user_id

    class Changing:
        end = 41

        def read(self, after_seq, limit):
            mixed: list[Entry | Merge] = [*entries[:20], Merge(21, entries[3].user_id, "somebody")]
            later = [one for one in entries[20:] if one.user_id != first]
            mixed += [replace(one, seq=one.seq + 1) for one in later]
            return [one for one in mixed if one.seq > after_seq][:limit]

        def erased(self, users):
            return [first] if first in users else []

    one = small_shop.model()
    learner = Learner(one, Changing(), replace(CONFIG, round_events=25))
    run(learner)
    assert "somebody" in one.users and not len(one.history(entries[3].user_id))
    assert len(one.history("somebody")) >= 1
    assert first not in one.users


def test_what_the_model_learned_already_is_left_out(small_shop):
    one = small_shop.model()
    whole = Log(pl.concat([small_shop.train.events, small_shop.test.events], how="diagonal"))
    feed = NewOnly(LogFeed(whole), one)
    found = feed.read(0, 10)
    assert found[0].seq == len(small_shop.train) + 1
    assert isinstance(found[0], Entry) and not feed.erased(["somebody"])
    assert not feed.read(len(whole), 10)


def test_a_round_without_targets_learns_nothing(small_shop):
    strangers = small_shop.test.events.head(30).with_columns(
        user_id=pl.Series([f"new {n}" for n in range(30)])
    )
    learner = Learner(small_shop.model(), LogFeed(Log(strangers)), replace(CONFIG, whole=None))
    before = {name: cells.clone() for name, cells in weights(learner).items()}
    (told,) = run(learner)
    assert not told.n_targets and math.isnan(told.nats)
    assert all(torch.equal(cells, before[name]) for name, cells in weights(learner).items())


def test_a_gate_that_trusts_the_wrong_expert_is_put_right(small_shop):
    log = Log(small_shop.test.events.head(300))
    config = replace(CONFIG, round_events=60, asked=60, window=10**6, whole=None)
    ndcg = []
    for one in (config, replace(config, quick=False)):
        model = small_shop.model()
        with torch.no_grad():
            model.live.model.experts.trust[:] = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0])
            model.live.model.bias.uniform_(-9, 9, generator=torch.Generator().manual_seed(0))
        ndcg.append(run(Learner(model, LogFeed(log), one))[-1].ndcg)
    assert ndcg[0] > 1.2 * ndcg[1]


def test_attributes_of_items_that_come_while_it_learns_are_read(small_shop):
    frame = pl.concat((small_shop.train.events, small_shop.test.events)).select("item_id").unique()
    kinds = pl.Series("category", [f"kind {len(one) % 3}" for one in frame["item_id"]])
    catalogue = Catalogue.from_frame(frame.with_columns(kinds))
    made = rc.SequenceRecommender(
        rc.GRU(dim=8),
        inputs=rc.InputConfig(attributes=("category",)),
        training=rc.TrainConfig(epochs=1, device="cpu"),
        experts=None,
    ).fit(small_shop.train, items=catalogue)
    learner = Learner(made, LogFeed(small_shop.test), CONFIG)
    n_learned = made.live.model.n_items
    assert any(one.whole for one in run(learner))
    assert made.live.model.events.attributes is not None
    codes = made.live.model.events.attributes.codes  # of the items that the last whole round knew
    assert len(codes) > n_learned and (codes[n_learned:] >= 0).any(1).all()
