"""What a run learns from and is judged on."""

from dataclasses import replace

import numpy as np
import pytest

from recency.data.batches import TrainingWindows
from recency.data.histories import UNKNOWN, Histories
from recency.training import plan as plans
from recency.training.config import TrainConfig
from recency.training.plan import as_seen_at, plan_training, tokens_for

SECOND = 1_000_000


def instants(windows: TrainingWindows | None) -> list[int]:
    assert windows is not None
    return [int(at) for part in windows.epoch(999) for at in part.at]


def test_the_newest_slice_begins_where_the_share_says(histories, config):
    plan = plan_training(histories, replace(config, valid_share=0.25), None)
    newest = instants(plan.newest)
    older = instants(plan.older)
    cut = np.sort(histories.times)[int(0.75 * histories.n_events)]
    assert max(older) < cut == min(newest)
    assert len(older) + len(newest) == plan.everything.n_targets


def test_a_share_of_zero_judges_nothing(histories, config):
    plan = plan_training(histories, replace(config, valid_share=0.0), None)
    assert plan.older is None and plan.newest is None and plan.notes == ()


def test_the_slice_is_one_of_the_targets_asked_for(histories, config):
    since = int(np.sort(histories.times)[240])
    plan = plan_training(histories, replace(config, valid_share=0.5), since)
    older = instants(plan.older)
    assert since <= min(older) and 100 < len(older) < 140


def test_a_slice_can_be_judged_on_fewer_targets(histories, config):
    plan = plan_training(histories, replace(config, valid_share=0.5, max_valid_targets=30), None)
    assert len(instants(plan.newest)) == 30


def test_a_slice_of_new_items_only_judges_nothing(histories, config):
    newest = histories.times >= np.quantile(histories.times, 0.9)
    fresh = np.where(newest, 12 + np.arange(histories.n_events), histories.items)
    plan = plan_training(replace(histories, items=fresh.astype(np.int32)), config, None)
    assert plan.newest is None and "hold 0 targets on items seen before" in plan.notes[0]


def test_items_are_known_from_their_first_event_on():
    histories = Histories(
        offsets=np.array([0, 3, 5]),
        items=np.array([0, 1, 2, 2, UNKNOWN], np.int32),
        times=np.array([0, 5, 9, 4, 5]) * SECOND,
    )
    assert as_seen_at(histories, 5 * SECOND).items.tolist() == [0, -1, 2, 2, -1]
    assert as_seen_at(histories, 6 * SECOND).items.tolist() == [0, 1, 2, 2, -1]
    assert as_seen_at(histories, 0).items.tolist() == [-1] * 5


@pytest.mark.parametrize(
    ("n_targets", "tokens"), [(1, 256), (100_000, 1_024), (1_600_000, 4_096), (10**9, 16_384)]
)
def test_batches_grow_with_the_root_of_the_targets(n_targets, tokens):
    assert tokens_for(n_targets) == tokens


def test_tokens_said_are_tokens_used(histories, config):
    assert plan_training(histories, config, None).tokens == 64
    assert plan_training(histories, TrainConfig(), None).tokens == 256


def test_a_judgement_over_many_items_asks_for_fewer_targets(monkeypatch):
    times = np.tile(np.arange(50, dtype=np.int64), 20) * 60_000_000
    items = np.arange(1_000, dtype=np.int32) % 40
    histories = Histories(np.arange(21) * 50, items, times)
    asked = TrainConfig(max_valid_targets=60)
    newest = plan_training(histories, asked, None).newest
    assert newest is not None and newest.n_targets == 60
    monkeypatch.setattr(plans, "JUDGED", 40 * 30)  # scores of 30 targets
    fewer = plan_training(histories, asked, None)
    assert fewer.newest is not None and fewer.arrivals is not None
    assert fewer.newest.n_targets == fewer.arrivals.n_targets == 30
