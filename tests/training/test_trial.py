"""A trial asks about everything in the newest slice, and measures what can be learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.histories import Histories, Ints
from recency.nn.evidence import EvidenceTable
from recency.nn.experts import ExpertConfig
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.nn.recurrent import GRU
from recency.training import trial as module
from recency.training.config import TrainConfig
from recency.training.lift import Vote, Votes
from recency.training.plan import Plan, plan_training
from recency.training.trial import Trial
from tests.training.conftest import N_ITEMS, cycle

NEWS = N_ITEMS  # an item that comes up in the newest slice only
ENCODER = 0


@pytest.fixture
def log() -> Histories:
    """Let every other event of the newest fifth be on an item that nobody knew."""
    histories = cycle()
    late = np.flatnonzero(histories.times >= np.quantile(histories.times, 0.8))
    items = histories.items.copy()
    items[late[::2]] = NEWS
    return replace(histories, items=items)


class Kept(Votes):
    """Remember what was said."""

    said: list[Vote]
    users: Ints

    def __init__(self, votes: list[Vote], users: Ints) -> None:
        super().__init__(votes, users)
        Kept.said, Kept.users = votes, users


def judged(log: Histories, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, SequenceModel, float]:
    monkeypatch.setattr(module, "Votes", Kept)
    torch.manual_seed(0)
    experts = ExpertConfig(pair=("1h",), crowd=("10min", "1d"))
    model = SequenceModel(GRU(8), N_ITEMS + 1, 0, InputConfig(value=False), experts=experts)
    plan = plan_training(log, TrainConfig(valid_share=0.2, max_len=16, device="cpu"), None)
    assert plan.newest is not None and plan.arrivals is not None
    evidence = EvidenceTable(log, experts, ages_to_target=False)
    trial = Trial(model, plan.newest, plan.arrivals, evidence)
    return plan, model, trial.judge()


def test_new_items_are_asked_about_and_only_memories_know_them(log, monkeypatch):
    plan, model, _ = judged(log, monkeypatch)
    assert plan.arrivals is not None and model.experts is not None
    positions = plan.arrivals.positions
    in_time = positions[np.argsort(log.times[positions], kind="stable")]
    assert len(Kept.said) == len(in_time)
    is_new = log.items[in_time] == NEWS
    news = [one for one, new in zip(Kept.said, is_new, strict=True) if new]
    others = [one for one, new in zip(Kept.said, is_new, strict=True) if not new]
    assert len(news) > 20
    assert not any(one.shares[ENCODER, 0] for one in news)  # it has no weights for it yet
    heard = [one.shares[-1, 0] > 0 for one in news]
    assert not heard[0] and all(heard[-10:])  # nobody had taken it before the first did
    assert all(one.shares[ENCODER, 0] > 0 for one in others)


def test_the_measure_is_of_items_that_were_seen_before(log, monkeypatch):
    plan, model, found = judged(log, monkeypatch)
    assert plan.arrivals is not None and model.experts is not None
    positions = plan.arrivals.positions
    in_time = positions[np.argsort(log.times[positions], kind="stable")]
    gains = Votes(Kept.said, Kept.users).gains(model.experts.lift.double().numpy())
    assert found == pytest.approx(gains[log.items[in_time] != NEWS].mean())
    assert found != pytest.approx(gains.mean())
