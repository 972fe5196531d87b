"""A shop's log, and a recommender small enough to be fitted in a moment."""

import os

import pytest

import recency as rc
from recency.data.log import Log
from recency.data.synthetic import shop


@pytest.fixture(autouse=True)
def _one_thread_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def log() -> Log:
    return shop(n_users=40, n_items=30, days=20, seed=1).log


@pytest.fixture
def start() -> rc.SequenceRecommender:
    """A GRU of two epochs, 0.2 s a fit."""
    training = rc.TrainConfig(epochs=2, max_len=32, lr=0.01, device="cpu")
    return rc.SequenceRecommender(rc.GRU(dim=8), training=training, request_time="known", seed=3)
