"""Contrast: a second loss that asks two views of one history to be told from all others.

A history is read twice, each time varied; the outputs after its newest event shall be near each
other and far from those of other histories in the batch. With few events, this teaches the encoder
what makes two histories alike, which next items alone tell too seldom.

Two ways to the views (`Contrast.views`): varied histories, as in Xie et al., Contrastive Learning
for Sequential Recommendation, ICDE 2022 (CL4SRec); or the same history under two draws of dropout,
as in Qiu et al., Contrastive Learning for Representation Degeneration Problem in Sequential
Recommendation, WSDM 2022 (DuoRec). The latter is the cheap one: the reading that the next items are
told from is the first view already.

Cost: one more forward and backward pass of the encoder with dropout alone, two with varied
histories, and a product of [2B, dim] by [dim, 2B] for the B rows of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import Batch
from recency.errors import ConfigError, raise_all
from recency.nn.inputs import Tensors
from recency.nn.losses import cosine
from recency.nn.model import SequenceModel
from recency.training.augmentation import Augmentation, Augmenter


@dataclass(frozen=True)
class Contrast:
    """Choose the contrastive loss.

    Attributes:
        weight: Of this loss beside that of the next items; 0 is off.
        temperature: Above 0; the smaller, the more the nearest other histories count.
        views: How histories are varied to two views of each; without any share, dropout alone makes
            them differ.
    """

    weight: float = 0.0
    temperature: float = 0.2
    views: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together; a table, as a file has it, becomes views."""
        object.__setattr__(self, "views", Augmentation.of(self.views))
        faults = []
        if not 0 <= self.weight < float("inf"):
            faults.append(f"Contrast(weight={self.weight!r}): expected a number of at least 0.")
        if not 0 < self.temperature < float("inf"):
            faults.append(f"Contrast(temperature={self.temperature!r}): expected a number above 0.")
        raise_all(faults, ConfigError)

    @classmethod
    def of(cls, given: "Contrast | Mapping[str, Any]") -> Self:
        """Take a contrast as it is, or as a file has it."""
        return given if isinstance(given, cls) else cls(**given)  # type: ignore[arg-type]  # a Contrast is no mapping


class ContrastLoss:
    """Measure the contrastive loss of the batches of one training stage.

    Args:
        config: Weight, temperature, views.
        windows: Of the stage.
    """

    def __init__(self, config: Contrast, windows: TrainingWindows) -> None:
        self.config, self._offsets = config, windows.histories.offsets
        self._views = Augmenter(config.views if config.weight else Augmentation(), windows)

    def of(
        self, model: SequenceModel, outputs: Tensor, part: TrainingBatch, rng: np.random.Generator
    ) -> Tensor:
        """Give the weighted loss of a batch in nats, a scalar.

        Args:
            model: In training mode.
            outputs: [rows, length, dim] what it gave for ``part``.
            part: As it was read.
            rng: Decides how views are varied.
        """
        if not self.config.weight:
            return outputs.new_zeros(())
        batch, device = part.batch, outputs.device
        one = newest_outputs(outputs, batch)
        if self.config.views.on:
            one = self._read(model, self._views.view(batch, rng))
        other = self._read(model, self._views.view(batch, rng))
        users = np.zeros(len(batch), np.int64)
        users[part.rows] = np.searchsorted(self._offsets, part.positions, side="right")
        alike = torch.from_numpy(users).to(device)
        return self.config.weight * info_nce(one, other, self.config.temperature, alike)

    @staticmethod
    def _read(model: SequenceModel, batch: Batch) -> Tensor:
        outputs, _ = model(Tensors.from_batch(batch, model.bias.device))
        return newest_outputs(outputs, batch)


def newest_outputs(outputs: Tensor, batch: Batch) -> Tensor:
    """Give the output [B, dim] after the newest event of each row of outputs [B, L, dim]."""
    last = torch.from_numpy(batch.lengths - 1).to(outputs.device)
    return outputs[torch.arange(len(last), device=outputs.device), last]


def info_nce(one: Tensor, other: Tensor, temperature: float, users: Tensor | None = None) -> Tensor:
    """Measure how well the two views of each history are told from all views of the others.

    Over the 2B views v of B histories, with v' the other view of the same history and s the cosine:

    mean over v of -log( exp(s(v, v') / t) / (exp(s(v, v') / t) + sum_w exp(s(v, w) / t) ) )

    where w runs over the views of other histories in the batch: InfoNCE (van den Oord et al.,
    Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748, equation 4) in the
    form of NT-Xent (Chen et al., A Simple Framework for Contrastive Learning of Visual
    Representations, ICML 2020, equation 1), which CL4SRec and DuoRec take over with dot products in
    place of cosines.

    Args:
        one: [B, dim] first views.
        other: [B, dim] second views, in the same order.
        temperature: t, above 0.
        users: [B] whose histories they are: two of one user do not count against each other.

    Returns:
        Nats, float32, a scalar; 0 where there is nothing to tell from.
    """
    n = len(one)
    views = torch.cat((one, other))
    with torch.autocast(one.device.type, enabled=False):
        queries, table = cosine(views, views, temperature)
        alike = queries @ table.T
    whose = torch.arange(n, device=one.device) if users is None else users
    whose = whose.repeat(2)
    left_out = whose[:, None] == whose
    pairs = torch.arange(2 * n, device=one.device).roll(n)
    left_out.scatter_(1, pairs[:, None], value=False)
    return nn.functional.cross_entropy(alike.masked_fill(left_out, -torch.inf), pairs)
