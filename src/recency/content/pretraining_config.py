"""The settings of text pre-training, and what it tells while it runs and when it is done."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recency.errors import ConfigError, raise_all


@dataclass(frozen=True)
class TextPretraining:
    """Choose how a text encoder learns from item texts.

    Attributes:
        masked: Weight of telling hidden words from those on both sides; 0 is off.
        causal: Weight of telling each word from those before it; 0 is off.
        mask_share: Share of the words that are hidden.
        lora: Rank of the matrices that are learned beside the encoder's own; 0 learns the encoder's
            own. Needs the library peft, which the extra ``text`` brings.
        epochs: Passes over the texts.
        readers_first: Passes before them in which the encoder stays as it is, and only what reads
            words out of it is learned; these readers start from nothing, and what they would
            teach the encoder at first is noise.
        lr: Highest learning rate; None takes 5e-5, or 1e-3 with ``lora``.
        tokens: Most tokens a batch, padding included.
        max_tokens: Longest text read; None takes what the model was made for.
        valid_share: Share of the texts that are held back, to tell what was learned.
        seed: Repeats a run, on a CPU bit by bit.
        device: ``"cpu"``, ``"cuda"``, …; None takes a GPU where there is one.
    """

    masked: float = 1.0
    causal: float = 0.0
    mask_share: float = 0.15
    lora: int = 0
    epochs: int = 3
    readers_first: int = 2
    lr: float | None = None
    tokens: int = 2_048
    max_tokens: int | None = None
    valid_share: float = 0.05
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"TextPretraining({name}={value!r}): expected a number of at least 0."
            for name, value in (("masked", self.masked), ("causal", self.causal))
            if not (math.isfinite(value) and value >= 0)
        ]
        if not faults and not self.masked + self.causal:
            faults.append("TextPretraining(masked=0, causal=0): expected one above 0 at least.")
        least = {"epochs": 1, "readers_first": 0, "tokens": 8, "lora": 0}
        faults += [
            f"TextPretraining({name}={getattr(self, name)!r}): expected a whole number of at least "
            f"{n}."
            for name, n in least.items()
            if isinstance(getattr(self, name), bool)
            or not isinstance(getattr(self, name), int)
            or getattr(self, name) < n
        ]
        for name, share in (("mask_share", self.mask_share), ("valid_share", self.valid_share)):
            if not 0 <= share < 1:
                faults.append(f"TextPretraining({name}={share!r}): expected a share in [0, 1).")
        if self.lr is not None and not 0 < self.lr < math.inf:
            faults.append(f"TextPretraining(lr={self.lr!r}): expected a number above 0.")
        raise_all(faults, ConfigError)

    @property
    def all_epochs(self) -> int:
        """Count the passes, those of the readers alone included."""
        return self.readers_first + self.epochs

    @property
    def highest_rate(self) -> float:
        """Give the highest learning rate."""
        return self.lr or (1e-3 if self.lora else 5e-5)


@dataclass(frozen=True)
class PretrainingStep:
    """Tell where a run is; handed to the progress callback after every batch.

    Attributes:
        epoch: 1, 2, …
        epochs: How many there will be.
        step: Batch within the epoch: 1, 2, …
        steps: Batches of the epoch.
        loss: Of this batch, nats.
        eta: Seconds to the end.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    eta: float


@dataclass(frozen=True)
class PretrainingRecord:
    """Tell how one epoch went.

    Attributes:
        epoch: 1, 2, …; 0 is before the first.
        loss: Weighted sum of both losses, mean nats a word told; None before the first.
        masked: Mean nats a hidden word of the texts held back; None where it is off, or none are.
        causal: The same of words told from those before.
        seconds: Of learning.
    """

    epoch: int
    loss: float | None
    masked: float | None
    causal: float | None
    seconds: float


@dataclass(frozen=True)
class Pretrained:
    """Tell what a run has left.

    Attributes:
        folder: That `recency.TextEncoder` reads.
        n_texts: Different texts that were learned.
        n_words: Different tokens in them.
        n_learned: Numbers that were learned.
        history: Every epoch, the state before the first one included.
    """

    folder: Path
    n_texts: int
    n_words: int
    n_learned: int
    history: tuple[PretrainingRecord, ...]


Progress = Callable[[PretrainingStep], None]
