"""Learning, for both models here: epochs judged on held-back examples, then once more on all.

It takes the optimizer, the learning rate and the settings of `recency.training`; what differs is
the judgement, a loss instead of a ranking, so that lower is better.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recency.errors import ConfigError, TrainingDivergedError, raise_all
from recency.training.config import Progress, TrainConfig, TrainingStep
from recency.training.schedule import learning_rate, make_optimizer

B = TypeVar("B")  # a batch
Batches = Callable[[np.random.Generator], Sequence[B]]  # those of one epoch

FEWEST_HELD_BACK = 20  # examples; an epoch judged on fewer would be chosen by luck
_COUNTS = {"epochs", "max_len", "tokens", "lr", "weight_decay", "warmup", "clip"}
_COUNTS |= {"valid_share", "patience", "refit", "device"}


@dataclass(frozen=True)
class Learned:
    """Tell how learning went.

    Attributes:
        epochs: Epochs behind the weights.
        valid: Their loss on the held-back examples when they were chosen; None where none were held
            back. After a refit: that of the same epoch before the refit.
        history: Stage, mean loss, and loss on the held-back examples (or None) of every epoch.
        notes: What did not go as asked for, in words.
    """

    epochs: int
    valid: float | None
    history: tuple[tuple[str, float, float | None], ...]
    notes: tuple[str, ...] = ()


def checked(config: TrainConfig | None, name: str) -> TrainConfig:
    """Refuse settings of recommenders, which would change nothing here; None is all defaults.

    Raises:
        ConfigError: one of them is not as it is by default; all of them together.
    """
    plain = TrainConfig()
    config = plain if config is None else config
    faults = [
        f"{name}(training=TrainConfig({one.name}={getattr(config, one.name)!r})): this setting is "
        f"for recommenders and changes nothing here; leave it out."
        for one in fields(TrainConfig)
        if one.name not in _COUNTS and getattr(config, one.name) != getattr(plain, one.name)
    ]
    if config.device == "cuda":
        faults.append(f"{name}(training=TrainConfig(device='cuda')): sequences learn on the CPU.")
    raise_all(faults, ConfigError)
    return config


@dataclass
class Learning(Generic[B]):
    """Learn one model.

    Attributes:
        model: Changed in place.
        loss: Gives the mean loss of a batch, and over how many examples it is the mean.
        config: Settings.
        seed: Repeats the run.
        progress: Called after every batch.
    """

    model: nn.Module
    loss: Callable[[B], tuple[Tensor, int]]
    config: TrainConfig
    seed: int
    progress: Progress | None = None
    history: list[tuple[str, float, float | None]] = field(default_factory=list)

    def run(
        self,
        everything: Batches[B],
        search: tuple[Batches[B], Batches[B]] | None,
        notes: Sequence[str] = (),
    ) -> Learned:
        """Search the best number of epochs, then learn everything for so many.

        Args:
            everything: All batches.
            search: Batches that are learned in the search, and held-back ones to be judged on; None
                learns everything for all epochs.
            notes: Passed on.

        Raises:
            TrainingDivergedError: the loss is no longer finite.
        """
        first = self._weights()
        if search is None:
            self._stage("train", everything, self.config.epochs)
            return Learned(self.config.epochs, None, tuple(self.history), tuple(notes))
        best, epochs, weights = self._stage("search", search[0], self.config.epochs, search[1])
        if self.config.refit:
            self.model.load_state_dict(first)
            self._stage("refit", everything, epochs)
        else:
            self.model.load_state_dict(weights)
        return Learned(epochs, best, tuple(self.history), tuple(notes))

    @torch.no_grad()
    def judge(self, held_back: Batches[B]) -> float:
        """Give the mean loss of held-back examples; the same ones in every epoch."""
        self.model.eval()
        found = [self.loss(one) for one in held_back(np.random.default_rng(self.seed))]
        return sum(float(loss) * n for loss, n in found) / max(sum(n for _, n in found), 1)

    def _stage(
        self, stage: str, batches: Batches[B], epochs: int, held_back: Batches[B] | None = None
    ) -> tuple[float, int, dict[str, Tensor]]:
        """Give the best judgement, its epoch, and the weights it was given to."""
        optimizer = make_optimizer(self.model, self.config)
        best, best_epoch, weights = math.inf, 0, self._weights()
        for epoch in range(1, epochs + 1):
            if epoch - best_epoch > self.config.patience and held_back is not None:
                break
            words = np.random.SeedSequence((self.seed, epoch)).generate_state(2, np.uint64)
            torch.manual_seed(int(words[0] >> np.uint64(1)))
            drawn = batches(np.random.default_rng(words[1]))
            told = TrainingStep(stage, epoch, epochs, 0, len(drawn), 0.0, 0.0, 0.0, self._newest())
            loss = self._epoch(drawn, optimizer, told)
            valid = None if held_back is None else self.judge(held_back)
            self.history.append((stage, loss, valid))
            if valid is not None and valid < best:
                best, best_epoch, weights = valid, epoch, self._weights()
        self.model.eval()
        return best, max(best_epoch, 1), weights

    def _epoch(
        self, batches: Sequence[B], optimizer: torch.optim.Optimizer, told: TrainingStep
    ) -> float:
        """Learn from every batch once; give the mean loss."""
        self.model.train()
        total, count, began = 0.0, 0, time.perf_counter()
        for at, batch in enumerate(batches, start=1):
            loss, n = self.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            lr = learning_rate(self.config, told.epoch - 1 + at / len(batches))
            ahead = (told.epochs - told.epoch + 1) * len(batches) / at - 1
            eta = (time.perf_counter() - began) * ahead
            told = replace(told, step=at, loss=float(loss.detach()), lr=lr, eta=eta)
            if not math.isfinite(told.loss + float(norm)):
                raise TrainingDivergedError(_diverged(told))
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            total, count = total + told.loss * n, count + n
            if self.progress is not None:
                self.progress(told)
        return total / max(count, 1)

    def _newest(self) -> float | None:
        return self.history[-1][2] if self.history else None

    def _weights(self) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in self.model.state_dict().items()}


def _diverged(step: TrainingStep) -> str:
    return (
        f"expected a finite loss, found {step.loss:.6g} in stage {step.stage!r}, epoch "
        f"{step.epoch}, step {step.step} of {step.steps}, at learning rate {step.lr:.3g}; lower "
        f"TrainConfig(lr=...)."
    )
