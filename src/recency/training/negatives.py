"""Negatives: which items stand for all others in a batch's loss, and with what chances they do.

Uniform draws reach every item, but nearly always one that nobody would confuse with the target. The
targets of the same batch are items that people do take: harder to tell apart, and, where no item
else is read, their vectors are at hand. They come with the chances of their popularity, so that the
loss divides each by it (log-Q; Bengio and Senecal, Quick Training of Probabilistic Neural Nets by
Importance Sampling, AISTATS 2003; for the batch's own items Yi et al., Sampling-Bias-Corrected
Neural Modeling, RecSys 2019). Half of each is the mixed sampling of Yang et al., WWW 2020: a draw's
chance is then the mixture of both, so that the estimate stays unbiased (Veach and Guibas, Optimally
Combining Sampling Techniques, SIGGRAPH 1995) and every item is reached.
"""

import numpy as np
import torch
from torch import Tensor

from recency.data.batches import TrainingWindows
from recency.nn.losses import Sample, log_chances
from recency.training.config import TrainConfig


class Sampler:
    """Draw the items that stand for all others, batch by batch.

    Args:
        config: Settled, see `recency.training.choices`: which loss, and how many draws.
        windows: What is learned from; chances are those of its targets.
        n_items: Items of the catalogue.
        device: Where samples go.
    """

    def __init__(
        self, config: TrainConfig, windows: TrainingWindows, n_items: int, device: torch.device
    ) -> None:
        assert isinstance(config.negatives, int)
        self._loss, self._n_drawn, self._n_items = config.loss, config.negatives, n_items
        self._calibration = config.calibration if config.loss == "gbce" else None
        self._popular: Tensor | None = None
        if config.loss in ("in-batch", "mixed"):
            targets = windows.histories.items[windows.positions]
            counts = torch.from_numpy(np.bincount(targets, minlength=n_items)).to(device)
            self._popular = log_chances(counts)
        self._mixture: tuple[float, Tensor] | None = None

    def draw(self, targets: Tensor) -> Sample | None:
        """Draw for one batch's targets [n]; None where the loss takes all items."""
        if self._loss == "softmax":
            return None
        if self._popular is None:
            drawn = self._uniform(self._n_drawn, targets)
            return Sample(drawn, n_items=self._n_items, calibration=self._calibration)
        n_uniform = self._n_drawn // 2 if self._loss == "mixed" else 0
        others = targets
        if len(targets) > self._n_drawn - n_uniform:
            chosen = torch.randperm(len(targets), device=targets.device)
            others = targets[chosen[: self._n_drawn - n_uniform]]
        drawn = torch.cat((others, self._uniform(n_uniform, targets)))
        return Sample(drawn, self._log_q(n_uniform / len(drawn)), n_items=self._n_items)

    def _uniform(self, n: int, like: Tensor) -> Tensor:
        return torch.randint(self._n_items, (n,), device=like.device)

    def _log_q(self, uniform: float) -> Tensor:
        """Give the log-chances [n_items] of a mixture with a share of uniform draws."""
        assert self._popular is not None
        if not uniform:
            return self._popular
        if self._mixture is None or self._mixture[0] != uniform:  # but for small batches the same
            mixed = (1 - uniform) * self._popular.exp() + uniform / self._n_items
            self._mixture = uniform, mixed.log()
        return self._mixture[1]
