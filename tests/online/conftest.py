"""What tests of learning share: a small log, and a small model fitted on the first part of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

import recency as rc
from recency.data.log import Log
from recency.data.synthetic import shop

EXPERTS = rc.ExpertConfig(pair=("1d",), crowd=("1h", "1d"))


@dataclass(frozen=True)
class Shop:
    """A log cut in two, and the folder of a model that learned the first part."""

    train: Log
    test: Log
    folder: Path

    def model(self) -> rc.SequenceRecommender:
        """Read the model anew."""
        return rc.SequenceRecommender.load(self.folder)


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Sixty users, forty items of which some come late, a GRU of eight."""
    log = shop(n_users=60, n_items=40, days=30, seed=3).log
    train, test = log.split_at(log.quantile(0.7))
    folder = tmp_path_factory.mktemp("online") / "model"
    made = rc.SequenceRecommender(
        rc.GRU(dim=8), training=rc.TrainConfig(epochs=2, device="cpu"), experts=EXPERTS, seed=0
    )
    made.fit(train).save(folder)
    return Shop(train, test, folder)
