"""The judgement of epochs: NDCG@10 over the whole catalogue."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.batches import TrainingWindows
from recency.data.histories import UNKNOWN
from recency.nn.inputs import Tensors
from recency.training import validation
from recency.training.validation import gains, validation_ndcg


def test_gains_by_hand():
    scores = torch.tensor(
        [
            [9.0, 1.0, 2.0, 3.0],  # target first
            [1.0, 9.0, 2.0, 3.0],  # last of four
            [5.0, 5.0, 5.0, 1.0],  # one of three equal firsts: mean rank 2
        ]
    )
    found = gains(scores, torch.tensor([0, 0, 0]))
    expected = [1.0, 1 / math.log2(5), 1 / math.log2(3)]
    assert found.tolist() == pytest.approx(expected)


def test_beyond_rank_ten_nothing_is_gained():
    scores = torch.arange(12.0).repeat(12, 1)  # item 11 is first
    found = gains(scores, torch.arange(12))
    assert (found > 0).tolist() == [False] * 2 + [True] * 10


def test_a_constant_score_earns_nothing_in_a_large_catalogue():
    assert float(gains(torch.zeros(5, 1_000), torch.arange(5)).sum()) == 0.0


def test_the_mean_is_that_of_single_questions(new_model, histories, monkeypatch):
    model = new_model("known").eval()
    windows = TrainingWindows(histories, max_len=64)
    found = validation_ndcg(model, windows, 128)
    total = 0.0
    with torch.no_grad():
        for user in range(histories.n_users):
            for stop in range(histories.offsets[user] + 1, histories.offsets[user + 1]):
                start = histories.offsets[user : user + 1]
                batch = Tensors.from_batch(histories.gather(start, start * 0 + stop))
                outputs = model(batch)[0][:, -1]
                at = torch.tensor([int(histories.times[stop])])
                query = model.ask(outputs, batch.times[:, -1], at)
                target = torch.tensor([int(histories.items[stop])])
                total += float(gains(model.scores(query), target))
    assert found == pytest.approx(total / windows.n_targets, abs=1e-6)
    monkeypatch.setattr(validation, "_CELLS", 20)  # three questions at a time
    assert validation_ndcg(model, windows, 128) == pytest.approx(found, abs=1e-6)


def test_items_that_occur_nowhere_are_no_candidates(new_model, histories):
    """Item 5 is scored first by far; where it never occurs it must not push the others down."""
    model = new_model().eval()
    without = np.where(histories.items == 5, UNKNOWN, histories.items).astype(np.int32)
    windows = TrainingWindows(replace(histories, items=without), max_len=64)
    found = []
    for bias in (100.0, -100.0):
        with torch.no_grad():
            model.bias[5] = bias
        found.append(validation_ndcg(model, windows, 128))
    assert found[0] == found[1] > 0.2
    with torch.no_grad():
        model.bias[5] = 100.0
    assert validation_ndcg(model, TrainingWindows(histories, max_len=64), 128) < found[0]
