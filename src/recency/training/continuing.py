"""Learning on: some epochs over new events, from the weights that are there."""

from dataclasses import replace

from recency.data.histories import Histories
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig, TrainingResult
from recency.training.loop import train

CALMER = 0.3  # share of the learning rate of a first training


def learn_on(
    model: SequenceModel,
    histories: Histories,
    since: int,
    config: TrainConfig,
    *,
    epochs: int,
    seed: int,
    replayed: int = 0,
    calm: float = CALMER,
) -> TrainingResult:
    """Learn the events since an instant.

    Args:
        model: Trained; changed in place.
        histories: All events, the new ones among them.
        since: The instant, microseconds.
        config: Of the first training.
        epochs: Passes over these events.
        seed: Repeats the run.
        replayed: Older targets learned with them, so that less is forgotten.
        calm: Share of the first training's learning rate.

    Raises:
        DataError: there is nothing to learn from.
    """
    settings = replace(
        config, epochs=epochs, lr=config.lr * calm, valid_share=0.0, checkpoint_dir=None
    )
    trust = None if model.experts is None else model.experts.trust.clone()
    try:
        return train(model, histories, settings, seed=seed, since=since, replayed=replayed)
    finally:
        if model.experts is not None and trust is not None:
            model.experts.trust.copy_(trust)  # training targets cannot teach it, and clear it
