"""Learning on: some epochs over new events, from the weights that are there."""

from dataclasses import replace

import numpy as np

from recency.data.histories import Histories
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig, TrainingResult
from recency.training.loop import train

CALMER = 0.3  # share of the learning rate of a first training


def learn_on(
    model: SequenceModel,
    histories: Histories,
    n_new: int,
    config: TrainConfig,
    *,
    epochs: int,
    seed: int,
) -> TrainingResult:
    """Learn the newest events, and as many older ones once more so that less is forgotten.

    Args:
        model: Trained; changed in place.
        histories: All events, the new ones among them.
        n_new: How many events are new.
        config: Of the first training.
        epochs: Passes over these events.
        seed: Repeats the run.
    """
    oldest = max(0, histories.n_events - 2 * n_new)
    since = int(np.partition(histories.times, oldest)[oldest])
    settings = replace(
        config, epochs=epochs, lr=config.lr * CALMER, valid_share=0.0, checkpoint_dir=None
    )
    trust = None if model.experts is None else model.experts.trust.clone()
    try:
        return train(model, histories, settings, seed=seed, since=since)
    finally:
        if model.experts is not None and trust is not None:
            model.experts.trust.copy_(trust)  # training targets cannot teach it, and clear it
