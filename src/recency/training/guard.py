"""The guard: heads trained jointly may cost the next item a stated share, and no more.

What they cost is the difference to a training in which they are apart, under the same seed. Both
are judged by NDCG@10 on the newest slice; where the joint one is worse by more than the share, the
other is kept, and says so.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from recency.data.histories import Histories
from recency.nn.model import SequenceModel
from recency.training.checkpoints import weights_of
from recency.training.config import TrainConfig, TrainingResult
from recency.training.loop import train

log = logging.getLogger(__name__)


def train_guarded(
    model: SequenceModel, histories: Histories, config: TrainConfig, **settings: Any
) -> TrainingResult:
    """Train a model in place, its heads jointly if that costs the next item little.

    Args:
        model: See `train`; one without heads is trained as there.
        histories: See `train`.
        config: ``heads`` and ``guard`` count here.
        **settings: As `train` takes them; the tracker is told of the training that is asked for.

    Returns:
        What happened in the training that is kept.
    """
    guarded = len(model.heads) and config.heads == "joint" and config.guard < 1
    if not guarded:
        return train(model, histories, config, **settings)
    first = weights_of(model)
    apart = replace(config, heads="apart", checkpoint_dir=_within(config, "apart"))
    alone = train(model, histories, apart, **{**settings, "tracker": None})
    if alone.valid is None:
        note = "heads are learned apart: there is no newest slice to judge on what they would cost."
        log.warning(note)
        return replace(alone, notes=(*alone.notes, note))
    kept = weights_of(model)
    model.load_state_dict(first)
    joint = replace(config, checkpoint_dir=_within(config, "joint"))
    together = train(model, histories, joint, **settings)
    joint_best, apart_best = _best(together), _best(alone)
    said = f"NDCG@10 {joint_best:.4f} with heads joint, {apart_best:.4f} apart"
    if joint_best >= (1 - config.guard) * apart_best:
        return replace(together, choices=(*together.choices, f"heads joint: {said}"))
    model.load_state_dict(kept)
    note = (
        f"heads are learned apart: jointly they would cost the next item more than "
        f"{config.guard:.1%} ({said}); lower their weights, or raise TrainConfig(guard=...)."
    )
    log.warning(note)
    return replace(alone, notes=(*alone.notes, note))


def _best(result: TrainingResult) -> float:
    """Give the best judgement of all: that which was chosen may be of another kind in each."""
    return max(epoch.valid or 0.0 for epoch in result.history)


def _within(config: TrainConfig, name: str) -> Path | None:
    """Give each of the two trainings a folder of its own for checkpoints."""
    return None if config.checkpoint_dir is None else Path(config.checkpoint_dir) / name
