"""A log that is easy to learn, and a model small enough to learn it in a moment."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from recency.data.histories import Histories
from recency.nn.inputs import InputConfig
from recency.nn.model import RequestTime, SequenceModel
from recency.nn.recurrent import GRU
from recency.training.config import TrainConfig

SECOND = 1_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01T00:00Z
N_ITEMS = 12


def cycle(n_users: int = 24, length: int = 20) -> Histories:
    """Everybody goes round the same items, one a minute, but takes any item one time in six."""
    users, steps = np.divmod(np.arange(n_users * length), length)
    generator = np.random.default_rng(0)
    anything = generator.random(len(users)) < 1 / 6
    items = np.where(
        anything, generator.integers(0, N_ITEMS, len(users)), (users + steps) % N_ITEMS
    )
    return Histories(
        offsets=np.arange(n_users + 1) * length,
        items=items.astype(np.int32),
        times=START + (60 * steps + users) * SECOND,
    )


@pytest.fixture
def histories() -> Histories:
    return cycle()


@pytest.fixture
def new_model() -> Callable[..., SequenceModel]:
    def make(request_time: RequestTime = "unknown", seed: int = 0) -> SequenceModel:
        torch.manual_seed(seed)
        inputs = InputConfig(dropout=0.1, value=False)
        return SequenceModel(GRU(16), N_ITEMS, 0, inputs, request_time)

    return make


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(epochs=6, max_len=16, tokens=64, lr=1e-2, device="cpu")


@pytest.fixture
def unjudged(config: TrainConfig) -> TrainConfig:
    return replace(config, valid_share=0.0)
