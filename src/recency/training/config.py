"""The settings of training, and what training tells while it runs and when it is done."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from recency.errors import ConfigError, raise_all
from recency.training.augmentation import Augmentation
from recency.training.contrast import Contrast

PLACES = ("checkpoint_dir",)  # settings that change nothing of what is learned

Loss = Literal["auto", "softmax", "sampled", "in-batch", "mixed", "gbce"]
ItemUpdates = Literal["auto", "dense", "rows"]
Heads = Literal["joint", "apart"]
HeadWeights = Literal["fixed", "learned"]
Precision = Literal["auto", "fp32", "bf16-loss", "bf16"]
DRAWN = 1_024


_NAMES: dict[str, tuple[str, ...]] = {
    "loss": get_args(Loss),
    "item_updates": get_args(ItemUpdates),
    "heads": get_args(Heads),
    "head_weights": get_args(HeadWeights),
    "precision": get_args(Precision),
    "device": ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Choose how a model is trained.

    Attributes:
        epochs: Most passes over the training targets, those of cooling left out.
        max_len: Most events a window; see `recency.data.batches`.
        carried: Read a long history in windows that hand their state on, where the encoder can, so
            that no event is read twice an epoch; else, and without it, windows overlap by half.
        tokens: Most cells a batch, padding included; None grows with the square root of the
            number of targets, 1,024 at 100,000.
        loss: What is learned from, see `recency.training.choices`: ``"softmax"`` over all items,
            or an estimate of it from items drawn uniformly (``"sampled"``), from the batch's
            other targets (``"in-batch"``) or half of each (``"mixed"``); ``"gbce"`` with uniform
            draws. ``"auto"`` takes the softmax up to 20,000 items and ``"sampled"`` beyond.
        negatives: Items drawn a batch to stand for all others; ``"auto"`` draws 1,024 where the
            loss draws any. 0 is the softmax.
        calibration: t of gBCE in [0, 1], see `recency.nn.losses.gbce`.
        temperature: Score by cosine / temperature; None scores by the plain dot product.
        item_updates: ``"rows"`` moves only the item vectors that a batch touches, see
            `recency.training.row_optimizer`; ``"dense"`` all of them. ``"auto"`` chooses by size.
        lr: Highest learning rate.
        weight_decay: Of matrices; biases, norms and the like never decay.
        warmup: Epochs over which the learning rate rises from 0; it then falls as a cosine to
            5 % at the last of ``epochs``.
        clip: Largest norm of all gradients together.
        valid_share: Newest share of the training events that epochs are judged on, in [0, 1);
            0 trains all epochs.
        patience: Epochs without a better judgement after which the search for the best ends; a run
            of all ``epochs`` takes longer and may end much better.
        cooling: Epochs over which the learning rate, still high when patience is out, falls to 5 %
            from the best weights on; 0 keeps these as they are. A refit goes this way to its end,
            unless that was judged worse than the epochs around the best.
        refit: After the judgement, train afresh on everything for the chosen number of epochs;
            without it the newest slice is never learned, nor are the items that are new in it.
        max_valid_targets: Judge on at most so many targets; from 100,000 items on on fewer, so that
            a judgement takes seconds.
        augmentation: How histories are varied in training, for small logs; off as it is.
        contrast: A second loss on two views of each history, for small logs; off as it is.
        heads: ``"joint"`` lets heads beside the next item move what all read; ``"apart"`` keeps
            the next item bit by bit as it would be without them.
        head_weights: ``"learned"`` lets each head's weight follow how far it can be told.
        guard: Share of NDCG@10 on the newest slice that ``heads="joint"`` may cost the next item;
            where it costs more, heads are learned apart, with a note. Judging it trains twice.
        precision: ``"bf16-loss"`` multiplies matrices of the softmax, over all items or drawn ones,
            in bfloat16 where the processor can, see `recency.nn.powers`; ``"bf16"`` computes
            encoders so too. Weights, scans and sums stay float32. ``"auto"`` takes
            ``"bf16-loss"`` on processors with units for it, and else ``"fp32"``.
        device: ``"auto"`` takes a GPU where there is one.
        checkpoint_dir: Write a checkpoint after every epoch, and go on from one found there.
    """

    epochs: int = 20
    max_len: int = 200
    carried: bool = True
    tokens: int | None = None
    loss: Loss = "auto"
    negatives: int | Literal["auto"] = "auto"
    calibration: float = 0.75
    temperature: float | None = None
    item_updates: ItemUpdates = "auto"
    lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 1.0
    clip: float = 5.0
    valid_share: float = 0.1
    patience: int = 4
    cooling: int = 3
    refit: bool = True
    max_valid_targets: int = 20_000
    augmentation: Augmentation = Augmentation()
    contrast: Contrast = Contrast()
    heads: Heads = "joint"
    head_weights: HeadWeights = "fixed"
    guard: float = 0.01
    precision: Precision = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_dir: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together; tables, as JSON has them, become settings."""
        object.__setattr__(self, "augmentation", Augmentation.of(self.augmentation))
        object.__setattr__(self, "contrast", Contrast.of(self.contrast))
        raise_all(self._faults(), ConfigError)

    def _faults(self) -> list[str]:
        whole = ("epochs", "max_len", "patience", "cooling", "max_valid_targets")
        least = dict(zip(whole, (1, 2, 1, 0, 1), strict=True))
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
        if not 0 <= self.guard <= 1:
            faults.append(f"TrainConfig(guard={self.guard!r}): expected a share in [0, 1].")
        if not 0 <= self.valid_share < 1:
            faults.append(
                f"TrainConfig(valid_share={self.valid_share!r}): expected a share in [0, 1)."
            )
        for name, known in _NAMES.items():
            if getattr(self, name) not in known:
                *most, last = map(repr, known)
                faults.append(
                    f"TrainConfig({name}={getattr(self, name)!r}): expected {', '.join(most)} "
                    f"or {last}."
                )
        return faults + self._faults_of_the_loss()

    def _faults_of_the_loss(self) -> list[str]:
        faults = []
        if not 0 <= self.calibration <= 1:
            faults.append(
                f"TrainConfig(calibration={self.calibration!r}): expected a number in [0, 1]."
            )
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            faults.append(
                f"TrainConfig(temperature={self.temperature!r}): expected a number above 0, or "
                f"None for dot products."
            )
        given = f"TrainConfig(loss={self.loss!r}, negatives={self.negatives!r})"
        if self.loss == "softmax" and self.negatives not in ("auto", 0):
            faults.append(f"{given}: the softmax over all items draws none; leave negatives out.")
        if self.loss not in ("auto", "softmax") and self.negatives == 0:
            faults.append(f"{given}: expected at least 1 item to draw, or 'auto'.")
        if self.item_updates == "rows" and (self.loss == "softmax" or self.negatives == 0):
            faults.append(
                f"TrainConfig(item_updates='rows', loss={self.loss!r}, "
                f"negatives={self.negatives!r}): the softmax moves every item in every batch; use "
                f"item_updates='dense' or a loss that draws items."
            )
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

    def what_is_learned(self) -> dict[str, Any]:
        """Give the settings, as JSON, that change what is learned."""
        return {name: value for name, value in asdict(self).items() if name not in PLACES}


@dataclass(frozen=True)
class TrainingStep:
    """Tell where training is; handed to the progress callback after every batch.

    Attributes:
        stage: ``"search"`` (judged on the newest slice), ``"cooling"`` (on from its best, judged
            too), ``"refit"`` (on everything, afterwards) or ``"train"`` (on everything, with
            nothing to judge on).
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
    """Tell how one epoch went.

    Attributes:
        stage: As in `TrainingStep`.
        epoch: 1, 2, …
        loss: Mean nats a target.
        valid: NDCG@10 on the newest slice, None where nothing was judged.
        seconds: Of learning, judging left out.
        n_targets: How many were learned.
        chosen: Whether, when it was judged, it became the one to go by.
    """

    stage: str
    epoch: int
    loss: float
    valid: float | None
    seconds: float
    n_targets: int = 0
    chosen: bool = False

    @property
    def targets_per_second(self) -> float:
        """Give the speed of learning."""
        return self.n_targets / self.seconds if self.seconds else 0.0


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
        choices: What ``"auto"`` came to, and why, in words.
    """

    epochs: int
    valid: float | None
    n_targets: int
    n_valid_targets: int
    history: tuple[EpochRecord, ...]
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
