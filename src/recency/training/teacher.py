"""A teacher: takes a model through the batches of a stage, one step of the optimizer a batch."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recency.data.batches import Epoch, TrainingBatch, TrainingWindows
from recency.nn.evidence import EvidenceTable
from recency.nn.inputs import Tensors
from recency.nn.learned_features import renew, study
from recency.nn.losses import Sample
from recency.nn.model import SequenceModel
from recency.nn.powers import half_softmax
from recency.training.augmentation import Augmenter
from recency.training.balance import Balance
from recency.training.carrying import CarriedStates
from recency.training.config import TrainConfig
from recency.training.contrast import ContrastLoss
from recency.training.head_lessons import HeadLessons, clip_apart
from recency.training.laps import lap
from recency.training.negatives import Sampler
from recency.training.row_optimizer import RowAdamW, lent_rows


class Taught(NamedTuple):
    """Tell of one batch: its mean loss, the norm of all gradients, and its targets."""

    loss: float
    norm: float
    n_targets: int

    @property
    def finite(self) -> bool:
        """Tell whether weights were moved; where something was not finite, they were not."""
        return math.isfinite(self.loss + self.norm)


class Teacher:
    """Teach a model what windows hold, batch by batch.

    Args:
        model: Changed in place.
        config: Settled, see `recency.training.choices`.
        windows: Of this stage.
        optimizer: Of the model.
        evidence: What the model's experts knew of every event before it; None without experts.
        until: Heads learn nothing of this instant and later (microseconds); None: they learn all.
    """

    def __init__(
        self,
        model: SequenceModel,
        config: TrainConfig,
        windows: TrainingWindows,
        optimizer: torch.optim.Optimizer,
        evidence: EvidenceTable | None,
        until: int | None,
    ) -> None:
        self._model, self._config, self._optimizer = model, config, optimizer
        self._evidence, self._device = evidence, model.bias.device
        self._balance = Balance(model.domains, windows)
        self._augmenter = Augmenter(config.augmentation, windows)
        self._contrast = ContrastLoss(config.contrast, windows)
        self._sampler = Sampler(config, windows, model.n_items, self._device)
        joint, lent = config.heads == "joint", isinstance(optimizer, RowAdamW)
        self._heads = HeadLessons(model, windows, joint=joint, until=until, lent=lent)
        self.growth = self._balance.growth  # of the targets, where domains are balanced

    def begin(self, epoch: int, batches: Epoch) -> None:
        """Make ready for the batches of an epoch: 0, 1, …"""
        self._states = CarriedStates(self._model, batches)
        self._heads.begin(epoch + 1)
        renew(self._model, epoch)
        self._model.train()

    def teach(
        self, part: TrainingBatch, lr: float, share: float, rng: np.random.Generator
    ) -> Taught:
        """Take one step.

        Args:
            part: The batch, as it is read from the windows.
            lr: Learning rate.
            share: What each target weighs.
            rng: Of balance, augmentation and contrast.
        """
        part = self._balance.draw(part, rng)
        weight = len(part.targets) * share
        part = self._augmenter.augment(part, rng)
        targets = torch.from_numpy(part.targets).to(self._device)
        batch = Tensors.from_batch(part.batch, self._device)
        lap("reading", len(part.targets))
        sample = self._sampler.draw(targets)
        study(self._model, batch.items, targets, *([] if sample is None else [sample.items]))
        self._heads.read_ahead(part)
        with lent_rows(self._optimizer, self._model, batch, targets, sample) as (read, drawn):
            loss, beside = self._losses(part, read, targets, drawn, rng)
            self._optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward((loss + beside) * weight)
            lap("backward")
            norm = clip_apart(self._model, self._config.clip)
            taught = Taught(float(loss.detach()), float(norm), len(part.targets))
            lap("clipping")
            if taught.finite:
                for group in self._optimizer.param_groups:
                    group["lr"] = lr * group["pace"]
                self._optimizer.step()
        lap("optimiser")
        return taught

    def _losses(
        self,
        part: TrainingBatch,
        batch: Tensors,
        targets: Tensor,
        sample: Sample | None,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Give the mean loss of a batch, and what is added to it."""
        rows, sources, last_times, at = (
            torch.from_numpy(cells).to(self._device)
            for cells in (part.rows, part.sources, part.last_times, part.at)
        )
        half = self._config.precision == "bf16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
            outputs, after = self._model(batch, self._states.before(part))
            self._states.keep(part, after)
            asked = outputs[rows, sources]
            queries = self._model.ask(asked, last_times, at)
            beside = self._contrast.of(self._model, outputs, part, rng)
        lap("output")
        given = None
        if self._evidence is not None:
            given = self._evidence.of(part.positions, self._device)
            lap("evidence")
        with half_softmax(self._config.precision != "fp32"):
            loss = self._model.domain_loss(queries, targets, sample, given)
        lap("loss")
        own = targets if sample is None else sample.places(targets)
        beside = beside + self._heads.loss(asked, part, own)
        lap("heads")
        return loss, beside
