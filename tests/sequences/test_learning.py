"""The loop that both models learn by."""

import pytest
import torch
from torch import nn

from recency.errors import ConfigError, TrainingDivergedError
from recency.sequences.learning import Learning, checked
from recency.training.config import TrainConfig, TrainingStep


class Line(nn.Module):
    """One weight that shall become 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def loss(self, target: float) -> tuple[torch.Tensor, int]:
        """Measure how far off it is."""
        return (self.weight - target).square().mean(), 1


def learn(config, search=None, told=None):
    model = Line()
    learned = Learning(model, model.loss, config, seed=0, progress=told).run(
        lambda rng: [3.0] * 10, search
    )
    return model, learned


def test_everything_is_learned_where_nothing_is_held_back():
    steps: list[TrainingStep] = []
    model, learned = learn(TrainConfig(epochs=60, lr=0.1), told=steps.append)
    assert model.weight.item() == pytest.approx(3, abs=0.3)
    assert learned.epochs == 60 and learned.valid is None
    assert (steps[0].stage, steps[0].epoch, steps[0].step, steps[0].steps) == ("train", 1, 1, 10)
    assert steps[-1].epoch == 60


def test_the_best_epoch_on_what_is_held_back_is_taken_and_refitted():
    """What is held back lies near the start: more epochs only leave it."""
    search = (lambda rng: [3.0] * 10, lambda rng: [0.5])
    config = TrainConfig(epochs=40, lr=0.05, warmup=0, patience=3)
    model, learned = learn(config, search)
    stages = [stage for stage, _, _ in learned.history]
    assert stages.count("search") == learned.epochs + 3
    assert stages.count("refit") == learned.epochs
    judged = [valid for stage, _, valid in learned.history if stage == "search"]
    assert learned.valid == min(judged) == judged[learned.epochs - 1]
    assert model.weight.item() < 2


def test_without_a_refit_the_best_weights_are_kept():
    search = (lambda rng: [3.0] * 10, lambda rng: [0.5])
    config = TrainConfig(epochs=40, lr=0.05, warmup=0, patience=3, refit=False)
    model, learned = learn(config, search)
    assert learned.valid == pytest.approx((model.weight.item() - 0.5) ** 2)


def test_a_loss_that_is_no_number_stops_with_its_place():
    model = Line()
    learning: Learning[float] = Learning(
        model, lambda batch: (model.weight.sum() * float("nan"), 1), TrainConfig(epochs=1), 0
    )
    with pytest.raises(TrainingDivergedError, match="stage 'train', epoch 1, step 1 of 2"):
        learning.run(lambda rng: [0.0, 0.0], None)


def test_settings_that_change_nothing_are_refused_together():
    config = TrainConfig(loss="sampled", precision="bf16", device="cpu")
    with pytest.raises(ConfigError, match=r"(?s)2 faults.*Forecaster.*loss='sampled'.*bf16"):
        checked(config, "Forecaster")
    with pytest.raises(ConfigError, match="sequences learn on the CPU"):
        checked(TrainConfig(device="cuda"), "Forecaster")
    assert checked(None, "Forecaster") == TrainConfig()
