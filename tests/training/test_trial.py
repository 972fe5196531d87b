"""A trial asks about everything in the newest slice, and measures what can be learned."""

from dataclasses import replace
from typing import Any

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
    """Remember what was said: of questions for new items, then of all."""

    asked: list[tuple[list[Vote], Ints]] = []

    def __init__(self, votes: list[Vote], users: Ints) -> None:
        super().__init__(votes, users)
        Kept.asked.append((votes, users))

    def best(self) -> Any:
        """Tell the two apart."""
        return np.full(len(self._shares), len(self._users) / 64)


def judged(log: Histories, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, SequenceModel, float]:
    monkeypatch.setattr(module, "Votes", Kept)
    monkeypatch.setattr(Kept, "asked", [])
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
    said, _ = Kept.asked[-1]
    assert len(said) == len(in_time)
    is_new = log.items[in_time] == NEWS
    news = [one for one, new in zip(said, is_new, strict=True) if new]
    others = [one for one, new in zip(said, is_new, strict=True) if not new]
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
    gains = Votes(*Kept.asked[-1]).gains(model.experts.lift[1].double().numpy())
    assert found == pytest.approx(gains[log.items[in_time] != NEWS].mean())
    assert found != pytest.approx(gains.mean())


def test_lists_of_new_items_have_a_lift_of_their_own(log, monkeypatch):
    plan, model, _ = judged(log, monkeypatch)
    assert plan.arrivals is not None and model.experts is not None
    (news, users), (everything, _) = Kept.asked
    positions = plan.arrivals.positions
    in_time = positions[np.argsort(log.times[positions], kind="stable")]
    before = [set(log.items[log.offsets[log.user_of[p]] : log.group_start[p]]) for p in in_time]
    fresh = [log.items[p] not in one for p, one in zip(in_time, before, strict=True)]
    assert 0 < sum(fresh) < len(fresh)
    assert users.tolist() == log.user_of[in_time[fresh]].tolist()
    wide = [one for one, new in zip(everything, fresh, strict=True) if new]
    for one, other in zip(news, wide, strict=True):
        assert one.shares[:, 0].tolist() == other.shares[:, 0].tolist()  # of the same target
        assert not one.own.any()  # what the user had is no candidate
    assert any(one.own.any() for one in wide)
    for row, votes in enumerate((news, everything)):
        assert set(model.experts.lift[row].tolist()) == {len(votes) / 64}
