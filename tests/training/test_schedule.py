"""How fast weights move."""

import pytest
import torch
from torch import nn

from recency.training.config import TrainConfig
from recency.training.schedule import learning_rate, make_optimizer


def test_only_matrices_decay():
    model = nn.Sequential(nn.Embedding(4, 3), nn.LSTM(3, 3), nn.LayerNorm(3))
    optimizer = make_optimizer(model, TrainConfig(lr=0.1, weight_decay=0.5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.flatten()[0].item() == pytest.approx(
            0.95 if parameter.ndim > 1 else 1.0
        ), name


def test_the_learning_rate_by_hand():
    config = TrainConfig(epochs=11, warmup=1.0, lr=1.0)
    assert learning_rate(config, 0.25) == 0.25
    assert learning_rate(config, 1.0) == 1.0
    assert learning_rate(config, 6.0) == pytest.approx(0.05 + 0.95 / 2)  # half way down
    assert learning_rate(config, 11.0) == pytest.approx(0.05)
    assert learning_rate(config, 12.0) == pytest.approx(0.05)


def test_cooling_leaves_the_cosine_in_a_line():
    config = TrainConfig(epochs=11, warmup=1.0, lr=1.0, cooling=2)
    assert learning_rate(config, 3.0, cooled_from=6) == learning_rate(config, 3.0)
    assert learning_rate(config, 6.0, cooled_from=6) == pytest.approx(0.525)
    assert learning_rate(config, 7.0, cooled_from=6) == pytest.approx((0.525 + 0.05) / 2)
    assert learning_rate(config, 8.0, cooled_from=6) == pytest.approx(0.05)
    assert learning_rate(config, 9.0, cooled_from=6) == pytest.approx(0.05)


def test_no_warm_up_and_nothing_but_warm_up_are_possible():
    assert learning_rate(TrainConfig(warmup=0.0, lr=1.0, epochs=1), 0.0) == 1.0
    assert learning_rate(TrainConfig(warmup=2.0, lr=1.0, epochs=1), 1.0) == 0.5
