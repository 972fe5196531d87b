"""The settings of training, and what training tells while it runs and when it is done."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from recency.errors import ConfigError, raise_all

PLACES = ("checkpoint_dir", "tensorboard_dir")  # settings that change nothing of what is learned

LARGE = 20_000  # items beyond which the exact loss would take most of the time
DRAWN = 1_024


@dataclass(frozen=True)
class TrainConfig:
    """Choose how a model is trained.

    Attributes:
        epochs: Most passes over the training targets.
        max_len: Most events a window; see `recency.data.batches`.
        tokens: Most cells a batch, padding included; None grows with the square root of the
            number of targets, 1,024 at 100,000.
        negatives: Items drawn a batch to stand for all others in the loss; 0 takes all items, which
            is exact. ``"auto"`` draws 1,024 from catalogues of more than 20,000 items.
        lr: Highest learning rate.
        weight_decay: Of matrices; biases, norms and the like never decay.
        warmup: Epochs over which the learning rate rises from 0; it then falls as a cosine to
            5 % at the last of ``epochs``.
        clip: Largest norm of all gradients together.
        valid_share: Newest share of the training events that epochs are judged on, in [0, 1);
            0 trains all epochs.
        patience: Epochs without a better judgement after which training stops.
        refit: After the judgement, train afresh on everything for the best number of epochs;
            without it the newest slice is never learned, nor are the items that are new in it.
        max_valid_targets: Judge on at most so many targets.
        precision: ``"bf16"`` computes encoders in bfloat16; the loss stays float32.
        device: ``"auto"`` takes a GPU where there is one.
        checkpoint_dir: Write a checkpoint after every epoch, and go on from one found there.
        tensorboard_dir: Write loss, learning rate and judgement for TensorBoard.
    """

    epochs: int = 20
    max_len: int = 200
    tokens: int | None = None
    negatives: int | Literal["auto"] = "auto"
    lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 1.0
    clip: float = 5.0
    valid_share: float = 0.1
    patience: int = 4
    refit: bool = True
    max_valid_targets: int = 20_000
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_dir: str | Path | None = None
    tensorboard_dir: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        raise_all(self._faults(), ConfigError)

    def _faults(self) -> list[str]:
        least = {"epochs": 1, "max_len": 2, "patience": 1, "max_valid_targets": 1}
        if self.tokens is not None:
            least["tokens"] = 1
        if self.negatives != "auto":
            least["negatives"] = 0
        faults = [
            f"TrainConfig({name}={getattr(self, name)!r}): expected a whole number of at least {n}."
            for name, n in least.items()
            if isinstance(getattr(self, name), bool)
            or not isinstance(getattr(self, name), int)
            or getattr(self, name) < n
        ]
        faults += [
            f"TrainConfig({name}={getattr(self, name)!r}): expected a number above 0."
            for name in ("lr", "clip")
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0)
        ]
        faults += [
            f"TrainConfig({name}={getattr(self, name)!r}): expected a number of at least 0."
            for name in ("weight_decay", "warmup")
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0)
        ]
        if not 0 <= self.valid_share < 1:
            faults.append(
                f"TrainConfig(valid_share={self.valid_share!r}): expected a share in [0, 1)."
            )
        if self.precision not in ("fp32", "bf16"):
            faults.append(f"TrainConfig(precision={self.precision!r}): expected 'fp32' or 'bf16'.")
        if self.device not in ("auto", "cpu", "cuda"):
            faults.append(f"TrainConfig(device={self.device!r}): expected 'auto', 'cpu' or 'cuda'.")
        return faults

    def torch_device(self) -> torch.device:
        """Give the device to train on.

        Raises:
            ConfigError: ``"cuda"`` is asked for where there is none.
        """
        found = torch.cuda.is_available()
        if self.device == "cuda" and not found:
            raise ConfigError(
                "TrainConfig(device='cuda'): torch finds no CUDA device here; "
                "use device='auto' or 'cpu'."
            )
        return torch.device("cuda" if found and self.device != "cpu" else "cpu")

    def drawn(self, n_items: int) -> int:
        """Give how many items are drawn a batch from a catalogue; 0 for none, the exact loss."""
        if self.negatives == "auto":
            return 0 if n_items <= LARGE else DRAWN
        return self.negatives

    def what_is_learned(self) -> dict[str, Any]:
        """Give the settings, as JSON, that change what is learned."""
        return {name: value for name, value in asdict(self).items() if name not in PLACES}


@dataclass(frozen=True)
class TrainingStep:
    """Tell where training is; handed to the progress callback after every batch.

    Attributes:
        stage: ``"search"`` (judged on the newest slice), ``"refit"`` (on everything, afterwards) or
            ``"train"`` (on everything, with nothing to judge on).
        epoch: 1, 2, …
        epochs: Most epochs of this stage.
        step: Batch within the epoch: 1, 2, …
        steps: Batches of this epoch.
        loss: Mean loss of this batch in nats.
        lr: Learning rate of this batch.
        eta: Seconds to the end of this stage, if it runs all its epochs.
        valid: Newest NDCG@10 on the newest slice, None before the first.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    eta: float
    valid: float | None


Progress = Callable[[TrainingStep], None]


@dataclass(frozen=True)
class EpochRecord:
    """Tell how one epoch went: mean loss a target in nats, NDCG@10 if judged, seconds."""

    stage: str
    epoch: int
    loss: float
    valid: float | None
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """Tell how training went.

    Attributes:
        epochs: Epochs behind the weights that were kept.
        valid: Their NDCG@10 on the newest slice when they were chosen, None where nothing was
            judged. After a refit: that of the same epoch before the refit.
        n_targets: Targets of an epoch of the last stage.
        n_valid_targets: Targets that epochs were judged on; 0 if none.
        history: Every epoch of every stage.
        notes: What did not go as asked for, in words.
    """

    epochs: int
    valid: float | None
    n_targets: int
    n_valid_targets: int
    history: tuple[EpochRecord, ...]
    notes: tuple[str, ...] = ()
