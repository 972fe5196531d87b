"""Pre-training on behaviour: what histories teach of themselves, before the next item is asked for.

Three lessons, each of which can be left out:

- **Masked events**: of some events nothing but their time is shown, and their items are told. Bert
  reads both sides (Devlin et al., NAACL 2019; for histories Sun et al., BERT4Rec, CIKM 2019);
  encoders here never look ahead. So an item is told twice: from the output at its own place, when
  its instant is known, and from the output one event later, when what came next is known too. Each
  of the two has a read-out of its own, which is thrown away afterwards.
- **Next events**, as in training.
- **Contrast** of two views of each history (`recency.training.contrast`).

Training with the next item alone tells a small log by heart soon; told to fill gaps, the same
events teach more. What is learned is a model like any other, and `SequenceRecommender.fit` starts
from it with ``init_from=`` and ``init_items=True``.

There is no newest slice to judge on: all epochs are learned. A run goes on from the checkpoint in
``TrainConfig(checkpoint_dir=...)``.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recency.data.batches import TrainingBatch, TrainingWindows
from recency.data.histories import UNKNOWN, Batch, Histories
from recency.errors import ConfigError, DataError, TrainingDivergedError, raise_all
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.nn.powers import half_softmax
from recency.training.augmentation import Augmentation
from recency.training.checkpoints import RunState, load_run, run_key, save_run
from recency.training.choices import settle
from recency.training.config import (
    EpochRecord,
    Progress,
    TrainConfig,
    TrainingResult,
    TrainingStep,
)
from recency.training.contrast import Contrast, ContrastLoss
from recency.training.negatives import Sampler
from recency.training.plan import tokens_for
from recency.training.schedule import learning_rate, make_optimizer

AHEAD = (0, 1)  # events after a hidden one, from whose outputs it is told
_VIEWS = Contrast(weight=0.1, views=Augmentation(crop=0.5, mask=0.2))


@dataclass(frozen=True)
class BehaviourPretraining:
    """Choose what is learned from histories before the next item is asked for.

    Attributes:
        masked: Weight of telling hidden events; 0 is off.
        mask_share: Share of the events that are hidden.
        next_event: Weight of telling next events; 0 is off.
        contrast: Of two views of each history; a weight of 0 is off.
        epochs: Passes over the log.
    """

    masked: float = 1.0
    mask_share: float = 0.2
    next_event: float = 1.0
    contrast: Contrast = _VIEWS
    epochs: int = 10

    def __post_init__(self) -> None:
        """Refuse impossible settings, all together."""
        faults = [
            f"BehaviourPretraining({name}={value!r}): expected a number of at least 0."
            for name, value in (("masked", self.masked), ("next_event", self.next_event))
            if not (math.isfinite(value) and value >= 0)
        ]
        if not faults and not self.masked + self.next_event + self.contrast.weight:
            faults.append("BehaviourPretraining: expected one lesson at least, found all at 0.")
        if not 0 < self.mask_share < 1:
            faults.append(
                f"BehaviourPretraining(mask_share={self.mask_share!r}): expected a share in (0, 1)."
            )
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            faults.append(
                f"BehaviourPretraining(epochs={self.epochs!r}): expected a whole number of at "
                f"least 1."
            )
        raise_all(faults, ConfigError)


def pretrain(
    model: SequenceModel,
    histories: Histories,
    lessons: BehaviourPretraining | None = None,
    config: TrainConfig | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model in place on what histories teach of themselves.

    Args:
        model: Learns on from the weights it has.
        histories: Events that may be known; nothing else is looked at.
        lessons: What is learned.
        config: How: its rate, lengths, loss, device and ``checkpoint_dir`` count; what it says of
            judging, refitting and augmentation does not.
        seed: Repeats the run, on a CPU bit by bit.
        progress: Called after every batch.

    Returns:
        What happened.

    Raises:
        DataError: no user has events at two instants.
        ConfigError: a setting cannot be met here, or a checkpoint found is of another run.
        TrainingDivergedError: the loss is no longer finite.
    """
    lessons = BehaviourPretraining() if lessons is None else lessons
    config = TrainConfig() if config is None else config
    config = replace(config, epochs=lessons.epochs, contrast=lessons.contrast, item_updates="dense")
    model.to(config.torch_device()).calibrate(histories)
    config, choices, notes = settle(config, model)
    windows = TrainingWindows(histories, max_len=config.max_len)
    if not windows.n_targets:
        raise DataError(
            f"there is nothing to learn from: no user has events at two instants, of "
            f"{histories.n_events:,} events."
        )
    with torch.random.fork_rng():
        run = _Run(model, windows, lessons, config, seed)
        run.learn(progress)
    model.eval()
    return TrainingResult(
        epochs=config.epochs,
        valid=None,
        n_targets=windows.n_targets,
        n_valid_targets=0,
        history=tuple(run.state.history),
        notes=notes,
        choices=choices,
    )


class _Run:
    """One call of `pretrain`."""

    def __init__(
        self,
        model: SequenceModel,
        windows: TrainingWindows,
        lessons: BehaviourPretraining,
        config: TrainConfig,
        seed: int,
    ) -> None:
        self.model, self.windows, self.lessons = model, windows, lessons
        self.config, self.seed, self.device = config, seed, model.bias.device
        self.tellers = nn.ModuleList(nn.Linear(model.dim, model.dim) for _ in AHEAD)
        for teller in self.tellers.parameters():
            (nn.init.eye_ if teller.ndim > 1 else nn.init.zeros_)(teller)
        self.whole = nn.ModuleDict({"model": model, "tellers": self.tellers.to(self.device)})
        self.optimizer = make_optimizer(self.whole, config)
        self.sampler = Sampler(config, windows, model.n_items, self.device)
        self.contrast = ContrastLoss(config.contrast, windows)
        self.tokens = config.tokens or tokens_for(windows.n_targets)
        self.state = RunState(stage="pretrain")

    def learn(self, progress: Progress | None) -> None:
        """Go through the epochs, from the checkpoint on where there is one."""
        folder, config = self.config.checkpoint_dir, self.config
        key: dict[str, Any] = {}
        if folder is not None:
            key = run_key(config, self.seed, None, self.windows.histories, self.whole)
            key["lessons"] = asdict(self.lessons)
            found = load_run(folder, key, self.whole, self.optimizer)
            self.state = self.state if found is None else found[0]
        while self.state.epoch < config.epochs:
            began = time.perf_counter()
            loss = self._run_epoch(progress)
            seconds = time.perf_counter() - began
            self.state.epoch += 1
            n_targets = self.windows.n_targets
            record = EpochRecord("pretrain", self.state.epoch, loss, None, seconds, n_targets)
            self.state.history.append(record)
            if folder is not None:
                save_run(folder, key, self.state, self.whole, {}, self.optimizer)

    def _run_epoch(self, progress: Progress | None) -> float:
        epoch, epochs = self.state.epoch, self.config.epochs
        words = np.random.SeedSequence((self.seed, epoch)).generate_state(3, np.uint64)
        torch.manual_seed(int(words[0] >> np.uint64(1)))
        batches = self.windows.epoch(self.tokens, np.random.default_rng(words[1]))
        rng = np.random.default_rng(words[2])
        self.whole.train()
        total, began = 0.0, time.perf_counter()
        for index, part in enumerate(batches):
            lr = learning_rate(self.config, epoch + (index + 1) / len(batches))
            loss = self._run_batch(part, lr, rng)
            left = (epochs - epoch) * len(batches) / (index + 1) - 1
            step = TrainingStep(
                stage="pretrain",
                epoch=epoch + 1,
                epochs=epochs,
                step=index + 1,
                steps=len(batches),
                loss=loss,
                lr=lr,
                eta=(time.perf_counter() - began) * left,
                valid=None,
            )
            if not math.isfinite(loss):
                raise TrainingDivergedError(
                    f"expected a finite loss, found {loss} in epoch {step.epoch}, step {step.step} "
                    f"of {step.steps}; lower TrainConfig(lr=...)."
                )
            total += loss * len(part.targets)
            if progress is not None:
                progress(step)
        return total / self.windows.n_targets

    def _run_batch(self, part: TrainingBatch, lr: float, rng: np.random.Generator) -> float:
        """Learn from one batch; give its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        half = self.config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            loss = self._next_and_alike(part, rng) + self._hidden(part.batch, rng)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.whole.parameters(), self.config.clip)
        told = float(loss.detach())
        if math.isfinite(told):
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.step()
        return told

    def _next_and_alike(self, part: TrainingBatch, rng: np.random.Generator) -> Tensor:
        """Measure how well next events are told, and views of one history found alike."""
        weight = self.lessons.next_event
        if not weight and not self.lessons.contrast.weight:
            return torch.zeros((), device=self.device)
        outputs, _ = self.model(Tensors.from_batch(part.batch, self.device))
        loss = self.contrast.of(self.model, outputs, part, rng)
        if not weight:
            return loss
        rows, sources, last_times, at, targets = (
            torch.from_numpy(cells).to(self.device)
            for cells in (part.rows, part.sources, part.last_times, part.at, part.targets)
        )
        queries = self.model.ask(outputs[rows, sources], last_times, at)
        return loss + weight * self._nats(queries, targets)

    def _hidden(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """Measure how well hidden events are told."""
        if not self.lessons.masked:
            return torch.zeros((), device=self.device)
        shown, rows, columns = hidden_events(batch, self.lessons.mask_share, rng)
        outputs, _ = self.model(Tensors.from_batch(shown, self.device))
        queries, targets = [], []
        for ahead, tell in zip(AHEAD, self.tellers, strict=True):
            there = columns + ahead < batch.lengths[rows]
            row, column = rows[there], columns[there]
            queries.append(tell(outputs[torch.from_numpy(row), torch.from_numpy(column + ahead)]))
            targets.append(torch.from_numpy(batch.items[row, column].astype(np.int64)))
        wanted = torch.cat(targets).to(self.device)
        if not len(wanted):
            return torch.zeros((), device=self.device)
        return self.lessons.masked * self._nats(torch.cat(queries), wanted)

    def _nats(self, queries: Tensor, targets: Tensor) -> Tensor:
        with half_softmax(self.config.precision != "fp32"):
            return self.model.loss(queries.float(), targets, self.sampler.draw(targets))


def hidden_events(
    batch: Batch, share: float, rng: np.random.Generator
) -> tuple[Batch, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hide all but the time of some events of known items.

    Args:
        batch: [B, L] events.
        share: Of the events.
        rng: Decides which.

    Returns:
        The batch as it is shown, and rows and columns of what is hidden.
    """
    real = np.arange(batch.items.shape[1]) < batch.lengths[:, None]
    hidden = (rng.random(batch.items.shape) < share) & real & (batch.items >= 0)
    shown = replace(
        batch,
        items=np.where(hidden, UNKNOWN, batch.items),
        types=np.where(hidden, UNKNOWN, batch.types),
        values=np.where(hidden, np.float32(np.nan), batch.values),
    )
    rows, columns = np.nonzero(hidden)
    return shown, rows, columns
