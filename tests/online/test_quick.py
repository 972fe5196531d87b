"""Quick rounds move what they may, and leave alone what states are made of."""

import numpy as np
import pytest
import torch

from recency.errors import ConfigError
from recency.live.states import outputs_at
from recency.nn.inputs import Tensors
from recency.nn.scored_items import tie, untie
from recency.online.config import LearnConfig
from recency.online.feed import LogFeed
from recency.online.learner import Learner
from recency.online.quick import state_version


def outputs(one, histories):
    users = np.arange(histories.n_users)
    return outputs_at(one.live.model, histories, users, histories.offsets[1:])


def learned(small_shop, config):
    one = small_shop.model()
    one.observe(small_shop.test)
    histories = one.live.timelines.histories()
    before, version, weights = outputs(one, histories), state_version(one.live.model), one
    learner = Learner(small_shop.model(), LogFeed(small_shop.test), config)
    told = learner.round(learner.plan())
    return before, version, weights, learner.recommender, told, histories


def test_states_stay_valid_over_a_quick_round(small_shop):
    config = LearnConfig(asked=0, round_events=10**6, whole=None)
    before, version, old, new, told, histories = learned(small_shop, config)
    assert told.n_targets > 100 and not told.whole
    assert told.state_version == version == state_version(new.live.model)
    assert torch.equal(outputs(new, histories), before)
    assert told.model_version != old.model_version
    assert not torch.equal(new.live.model.vectors[: old.live.n_learned], old.live.model.vectors)
    assert new.live.n_learned == len(new.items)  # new items have a score of their own


def test_a_whole_round_makes_other_states(small_shop):
    config = LearnConfig(asked=0, round_events=10**6, whole="1h", held=0.0)
    before, version, _, new, told, histories = learned(small_shop, config)
    assert told.whole and told.state_version != version
    assert not torch.equal(outputs(new, histories), before)
    assert new.live.model.scored_items is None  # items are read as they are scored again


def test_what_makes_states_is_what_the_encoder_reads(small_shop):
    model = small_shop.model().live.model
    version = state_version(model)
    with torch.no_grad():
        untie(model, model.n_items + 3)
        model.vectors.add_(1.0)
        model.bias.add_(1.0)
        model.experts.gate.weight.add_(1.0)
        model.experts.trust.add_(1.0)
    assert state_version(model) == version
    batch = Tensors.from_batch(small_shop.model().live.timelines.histories().gather(
        np.array([0]), np.array([5])))  # fmt: skip
    now = model(batch)[0]
    for part in (model.items, model.output.weight, next(model.encoder.parameters())):
        kept = part.detach().clone()
        with torch.no_grad():
            part[-3:].add_(0.5)
        assert state_version(model) != version
        with torch.no_grad():
            part.copy_(kept)
    assert torch.equal(model(batch)[0], now)


def test_new_items_are_read_as_unknown_until_the_model_is_tied(small_shop):
    model = small_shop.model().live.model
    n_items = model.n_items
    untie(model, n_items + 2)
    assert model.n_items == n_items + 2 and len(model.items) == n_items + 2  # two are special
    tokens = model.events.eval().tokens(torch.tensor([[n_items - 1, n_items]]), len(model.items))
    assert tokens.tolist() == [[n_items + 1, 1]]
    tie(model)
    tokens = model.events.tokens(torch.tensor([[n_items]]), len(model.items))
    assert tokens.tolist() == [[n_items + 2]]


def test_rows_never_go(small_shop):
    model = small_shop.model().live.model
    with pytest.raises(ConfigError, match="knows .* items; rows never go"):
        untie(model, 1)


def test_an_untied_model_is_saved_and_loaded(small_shop, tmp_path):
    config = LearnConfig(asked=0, round_events=10**6, whole=None)
    *_, new, _, _ = learned(small_shop, config)
    new.save(tmp_path / "model")
    back = type(new).load(tmp_path / "model")
    assert back.model_version == new.model_version
    at = new.live.now
    rows = np.arange(20)
    assert np.array_equal(back.live.scores(rows, at)[0], new.live.scores(rows, at)[0])


def test_the_gate_learns_from_what_comes(small_shop):
    config = LearnConfig(asked=0, round_events=10**6, whole=None, head_epochs=0, gate_steps=40)
    *_, old, new, told, _ = learned(small_shop, config)
    none = LearnConfig(asked=0, round_events=10**6, whole=None, head_epochs=0, gate_steps=0)
    *_, without, _ = learned(small_shop, none)
    assert told.nats < without.nats  # on the very targets
    assert not torch.equal(old.live.model.experts.trust, new.live.model.experts.trust)
    assert torch.equal(old.live.model.items, new.live.model.items)


def test_impossible_settings_are_told_together():
    with pytest.raises(ConfigError) as told:
        LearnConfig(round_events=0, head_lr=-1, replayed=-2, delay=-5, whole="0s", held=1.0)
    for name in ("round_events=0", "head_lr=-1", "replayed=-2", "delay=-5", "whole=0", "held=1.0"):
        assert name in str(told.value)
