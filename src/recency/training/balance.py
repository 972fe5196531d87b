"""Balance: how often targets of each domain are learned from, when a log has several domains.

A large domain would take nearly all of a shared model. With n_d targets in domain d, its share of
training becomes n_d^a / sum of n_e^a (the sampling of languages in Conneau and Lample,
Cross-lingual Language Model Pretraining, NeurIPS 2019, section 3.1): a = 1 leaves it as it is, a =
0 treats all domains alike. Targets of small domains are repeated within the windows that are read
anyway, at random and anew in each batch. None is dropped: a thin log has none to spare.
"""

from dataclasses import replace

import numpy as np

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import Ints
from recency.nn.domains import Domains
from recency.ranking.ranks import Floats


class Balance:
    """Draw the targets of batches so that domains get their shares.

    Args:
        domains: Of the model; None draws nothing.
        windows: What is learned from.

    Attributes:
        growth: Targets of an epoch as they are drawn, on average, over those there are; at least 1.
    """

    def __init__(self, domains: Domains | None, windows: TrainingWindows) -> None:
        self._rates: Floats | None = None
        self.growth = 1.0
        if domains is None or domains.config.balance == 1:
            return
        of_items: Ints = domains.of_items.cpu().numpy()
        targets = windows.histories.items[windows.positions]
        self._rates = rates(of_items, of_items[targets], domains.config.balance)
        self.growth = float(self._rates[targets].mean())

    def draw(self, part: TrainingBatch, rng: np.random.Generator) -> TrainingBatch:
        """Repeat targets of a batch."""
        if self._rates is None:
            return part
        rate = self._rates[part.targets]
        times = np.floor(rate + rng.random(len(rate))).astype(np.int64)
        kept = np.repeat(np.arange(len(rate)), times)
        names = ("rows", "sources", "targets", "at", "positions")
        return replace(part, **{name: getattr(part, name)[kept] for name in names})


def rates(of_items: Ints, of_targets: Ints, power: float) -> Floats:
    """Give how often a target on each item is to be learned from in an epoch: [n_items], >= 1.

    Args:
        of_items: [n_items] domain of each item, negative where it has none.
        of_targets: [n] domain of each target.
        power: Of the counts, in [0, 1].
    """
    counts = np.bincount(of_targets + 1, minlength=int(of_items.max(initial=0)) + 2)
    per_target = np.maximum(counts, 1).astype(np.float64) ** (power - 1)
    found: Floats = (per_target / per_target.min())[of_items + 1]
    return found
