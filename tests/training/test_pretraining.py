"""What histories teach of themselves: each lesson alone, resumed, and a start for `fit`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import recency as rc
from recency.data.batches import TrainingWindows
from recency.data.histories import UNKNOWN, Histories
from recency.data.synthetic import shop
from recency.errors import ConfigError, DataError, TrainingDivergedError
from recency.nn.model import SequenceModel
from recency.training.config import TrainConfig, TrainingStep
from recency.training.contrast import Contrast
from recency.training.loop import train
from recency.training.pretraining import BehaviourPretraining, hidden_events, pretrain

New = Callable[..., SequenceModel]
NONE = Contrast()
LESSONS = {
    "masked": BehaviourPretraining(next_event=0.0, contrast=NONE, epochs=4),
    "next": BehaviourPretraining(masked=0.0, contrast=NONE, epochs=4),
    "alike": BehaviourPretraining(masked=0.0, next_event=0.0, epochs=4),
    "all": BehaviourPretraining(epochs=4),
}


def weights(model: SequenceModel) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.named_parameters()}


@pytest.mark.parametrize("name", LESSONS)
def test_each_lesson_is_learned(
    name: str, histories: Histories, new_model: New, config: TrainConfig
) -> None:
    model = new_model()
    before = weights(model)
    result = pretrain(model, histories, LESSONS[name], config)
    losses = [one.loss for one in result.history]
    assert len(losses) == result.epochs == 4 and losses[-1] < 0.95 * losses[0]
    moved = {n for n, one in model.named_parameters() if not torch.equal(one, before[n])}
    assert any(n.startswith("encoder") for n in moved) and "items" in moved
    assert not model.training


def test_hidden_events_show_their_time_alone(histories: Histories) -> None:
    (part, *_) = TrainingWindows(histories, max_len=16).epoch(10**6)
    shown, rows, columns = hidden_events(part.batch, 0.2, np.random.default_rng(0))
    hidden = np.zeros(part.batch.items.shape, bool)
    hidden[rows, columns] = True
    assert (shown.items[hidden] == UNKNOWN).all()
    assert (shown.items[~hidden] == part.batch.items[~hidden]).all()
    assert (columns < part.batch.lengths[rows]).all()
    assert (shown.times == part.batch.times).all() and (shown.gaps == part.batch.gaps).all()
    assert 0.15 < len(rows) / part.batch.lengths.sum() < 0.25


def test_a_run_repeats_and_goes_on_from_its_checkpoint(
    histories: Histories, new_model: New, config: TrainConfig, tmp_path: Path
) -> None:
    def stop(step: TrainingStep) -> None:
        if step.epoch == 3:
            raise KeyboardInterrupt

    straight, resumed = new_model(), new_model()
    pretrain(straight, histories, LESSONS["all"], config, seed=5)
    kept = replace(config, checkpoint_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pretrain(resumed, histories, LESSONS["all"], kept, seed=5, progress=stop)
    resumed, steps = new_model(), list[TrainingStep]()
    pretrain(resumed, histories, LESSONS["all"], kept, seed=5, progress=steps.append)
    assert {one.epoch for one in steps} == {3, 4}
    one, other = weights(straight), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ConfigError, match="is of another run: lessons differ"):
        pretrain(new_model(), histories, replace(LESSONS["all"], mask_share=0.3), kept, seed=5)


def test_a_fit_starts_from_it(tmp_path: Path) -> None:
    log = shop(n_users=40, n_items=30, days=20, seed=0).log
    training = TrainConfig(epochs=1, valid_share=0.0, lr=1e-5, device="cpu")

    def new() -> rc.SequenceRecommender:
        return rc.SequenceRecommender(rc.GRU(8), training=replace(training, lr=1e-2))

    base = new().pretrain(log, BehaviourPretraining(epochs=3))
    assert base.cut == log.end
    base.save(tmp_path / "base")
    started = rc.SequenceRecommender(rc.GRU(8), training=training)
    started.fit(log, init_from=tmp_path / "base", init_items=True)
    assert started.transferred is not None
    assert started.transferred.n_items == log.n_items
    assert "encoder" in started.transferred.parts
    fresh = rc.SequenceRecommender(rc.GRU(8), training=training).fit(log)
    assert started.training_result is not None and fresh.training_result is not None
    assert started.training_result.history[0].loss < fresh.training_result.history[0].loss


def test_pretrained_weights_are_read_by_training(
    histories: Histories, new_model: New, unjudged: TrainConfig
) -> None:
    ready, fresh = new_model(), new_model()
    pretrain(ready, histories, LESSONS["all"], unjudged)
    short = replace(unjudged, epochs=1)
    losses = [train(one, histories, short).history[0].loss for one in (ready, fresh)]
    assert losses[0] < 0.9 * losses[1]


def test_faults_say_what_to_do(histories: Histories, new_model: New, config: TrainConfig) -> None:
    with pytest.raises(ConfigError) as error:
        BehaviourPretraining(masked=-1.0, mask_share=0.0, epochs=0)
    for fault in ("masked=-1.0", "mask_share=0.0", "epochs=0"):
        assert f"BehaviourPretraining({fault}): expected a" in str(error.value)
    with pytest.raises(ConfigError, match="expected one lesson at least, found all at 0"):
        BehaviourPretraining(masked=0.0, next_event=0.0, contrast=NONE)
    alone = Histories(np.arange(4), histories.items[:3], histories.times[:3])
    with pytest.raises(DataError, match="no user has events at two instants, of 3 events"):
        pretrain(new_model(), alone, config=config)
    with pytest.raises(TrainingDivergedError, match=r"lower TrainConfig\(lr"):
        pretrain(new_model(), histories, config=replace(config, lr=1e30))
