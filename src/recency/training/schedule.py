"""How fast weights move: the optimizer, and the learning rate over the epochs."""

import math
from typing import Any

import torch
from torch import nn

from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig
from recency.training.row_optimizer import RowAdamW

LAST = 0.05  # share of the learning rate left at the end
MATRIX = 2  # dimensions from which on a parameter decays


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Make AdamW that decays matrices only: biases and norms have no large values to lose.

    With ``config.item_updates="rows"`` item vectors move, and decay, when a batch touches them.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in parameters if p.ndim >= MATRIX],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim < MATRIX], "weight_decay": 0.0},
    ]
    settings: dict[str, Any] = {"lr": config.lr, "betas": (0.9, 0.98), "fused": True}
    if config.item_updates == "rows":
        assert isinstance(model, SequenceModel)
        return RowAdamW(model, groups, **settings)
    return torch.optim.AdamW(groups, **settings)


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """Give the learning rate after so many epochs, whole or broken: a rise, then a cosine."""
    if epoch < config.warmup:
        return config.lr * epoch / config.warmup
    gone = (epoch - config.warmup) / max(config.epochs - config.warmup, 1e-9)
    wave = (1 + math.cos(math.pi * min(gone, 1.0))) / 2
    return config.lr * (LAST + (1 - LAST) * wave)
