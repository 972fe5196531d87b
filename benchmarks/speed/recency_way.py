"""Our training in slices of time; see `pace`.

The loop of `recency.training.loop` runs as it is; what it says of its laps makes the ticks. Nothing
is judged, as nothing is on the other side. A target is an event that is asked for.
"""

from typing import Any

import numpy as np
import torch

from benchmarks.peers.exchange import Lesson
from benchmarks.speed.pace import Pacer, drive
from recency.data.histories import Histories
from recency.nn.encoders import make_encoder
from recency.nn.inputs import InputConfig
from recency.nn.model import SequenceModel
from recency.training.ceiling import flop_counter
from recency.training.config import TrainConfig
from recency.training.laps import listening
from recency.training.loop import train


def learn(lesson: Lesson, settings: dict[str, Any], pacer: Pacer) -> None:
    """Train for ever.

    Settings: ``encoder``, its arguments, ``max_len``, ``negatives`` (0 for all items), ``seed``.
    """
    given = dict(settings)
    name, max_len, negatives, seed = (
        given.pop(key) for key in ("encoder", "max_len", "negatives", "seed")
    )
    torch.manual_seed(seed)
    # The item and its place are all that the peers read.
    inputs = InputConfig(event_type=False, value=False, gap=False, calendar=False)
    model = SequenceModel(make_encoder(name, given), int(lesson.n_items), inputs=inputs)
    config = TrainConfig(
        epochs=10**6, max_len=max_len, negatives=negatives, valid_share=0, device="cpu"
    )
    step = [0]

    def hear(part: str, n_targets: int) -> None:
        step[0] += n_targets
        if part == "optimiser":
            targets, step[0] = step[0], 0
            pacer.tick(targets)

    pacer.begin({"parameters": sum(p.numel() for p in model.parameters())})
    with listening(hear):
        train(model, histories_of(lesson), config, seed=seed)


def histories_of(lesson: Lesson) -> Histories:
    """Group a lesson's events by user."""
    events, offsets = lesson.by_user()
    return Histories(offsets.astype(np.int64), events.items.astype(np.int32), events.times)


if __name__ == "__main__":
    drive(learn, flop_counter)
