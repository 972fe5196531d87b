"""How fast weights move: the optimizer, and the learning rate over the epochs."""

import math
from typing import Any

import torch
from torch import nn

from recency.nn.learned_features import learned_features
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig
from recency.training.row_optimizer import RowAdamW

LAST = 0.05  # share of the learning rate left at the end
MATRIX = 2  # dimensions from which on a parameter decays
HEADS_PACE = 3.0  # of the learning rate: heads are small, and learn as long as the next item gains


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Make AdamW that decays matrices only: biases and norms have no large values to lose.

    With ``config.item_updates="rows"`` item vectors move, and decay, when a batch touches them.
    """
    paces = _paces(model, config)
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for pace in dict.fromkeys((1.0, *paces.values())):
        part = [p for p in parameters if paces.get(p, 1.0) == pace]
        groups += _groups(part, config.weight_decay, pace)
    settings: dict[str, Any] = {"lr": config.lr, "betas": (0.9, 0.98), "fused": True}
    if config.item_updates == "rows":
        assert isinstance(model, SequenceModel)
        return RowAdamW(model, groups, **settings)
    return torch.optim.AdamW(groups, **settings)


def _paces(model: nn.Module, config: TrainConfig) -> dict[nn.Parameter, float]:
    """Give the share of the learning rate that parameters of a pace of their own learn at."""
    if not isinstance(model, SequenceModel):
        return {}
    learned = learned_features(model)
    paces = dict.fromkeys(model.heads.parameters(), HEADS_PACE)
    if learned is not None:
        paces |= dict.fromkeys(learned.parameters(), learned.learning_rate / config.lr)
    return paces


def _groups(parameters: list[nn.Parameter], decay: float, pace: float) -> list[dict[str, Any]]:
    """Part parameters into those that decay and the others, both at one pace."""
    kinds = (
        (decay, [p for p in parameters if p.ndim >= MATRIX]),
        (0.0, [p for p in parameters if p.ndim < MATRIX]),
    )
    return [{"params": part, "weight_decay": one, "pace": pace} for one, part in kinds]


def learning_rate(config: TrainConfig, epoch: float, cooled_from: int | None = None) -> float:
    """Give the learning rate after so many epochs, whole or broken: a rise, then a cosine.

    Args:
        config: Settings.
        epoch: 0 at the start.
        cooled_from: From this epoch on it falls in a line instead, within ``config.cooling``.
    """
    low = config.lr * LAST
    if cooled_from is not None and epoch > cooled_from:
        left = max(0.0, 1 - (epoch - cooled_from) / config.cooling)
        return low + (learning_rate(config, cooled_from) - low) * left
    if epoch < config.warmup:
        return config.lr * epoch / config.warmup
    gone = (epoch - config.warmup) / max(config.epochs - config.warmup, 1e-9)
    return low + (config.lr - low) * (1 + math.cos(math.pi * min(gone, 1.0))) / 2
