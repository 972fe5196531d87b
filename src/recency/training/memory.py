"""Memory: what a training step needs beside what is free, told before an hour is lost.

What a forward pass keeps for its backward pass grows with the cells of the batch. How fast depends
on the encoder, so it is measured, not computed: one row of full length is read, and what torch
saves of it is counted. What the loss and the item table need follows from their sizes.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recency.errors import ConfigError
from recency.nn.inputs import Tensors
from recency.nn.learned_features import learned_features
from recency.nn.model import SequenceModel
from recency.nn.powers import CELLS, CHUNK, KEPT_CELLS
from recency.training.config import TrainConfig
from recency.training.plan import Plan

_FLOAT = 4  # bytes
_BACKWARD = 1.3  # gradients live for a moment beside what was saved for them
_COPIES = 4  # of logits that a loss holds at once
_REFUSALS = ("can't allocate memory", "not enough memory", "bad alloc", "std::bad_alloc")


@dataclass(frozen=True)
class Need:
    """Hold the bytes that a step of so many cells needs beside the model, in three parts."""

    activations: float
    loss: float
    table: float
    cells: int

    @property
    def total(self) -> float:
        """Sum the parts."""
        return self.activations + self.loss + self.table


def step_need(model: SequenceModel, plan: Plan, config: TrainConfig) -> Need:
    """Estimate what the largest step of a run needs beside the model's weights.

    Args:
        model: On its device; it and the randomness are left as they were.
        plan: What is learned from, and the cells of a batch.
        config: Settled, see `recency.training.choices`.
    """
    histories = plan.everything.histories
    user = int(histories.lengths.argmax())
    width = min(config.max_len, int(histories.lengths[user]))
    start = histories.offsets[user : user + 1]
    row = Tensors.from_batch(histories.gather(start, start + width, width), model.bias.device)
    rows = max(1, plan.tokens // width)
    # The optimiser's two numbers and the best weights; dense ones have a gradient, twice over.
    copies = 3 if config.item_updates == "rows" else 5
    return Need(
        activations=_BACKWARD * rows * _saved_bytes(model, row, config.precision == "bf16"),
        loss=loss_bytes(min(rows * width, plan.everything.n_targets), model.n_items, config),
        table=copies * model.items.numel() * _FLOAT,
        cells=rows * width,
    )


def loss_bytes(n_targets: int, n_items: int, config: TrainConfig) -> int:
    """Estimate the most bytes that the loss of so many targets holds at once."""
    if config.loss == "softmax":
        return softmax_bytes(n_targets, n_items)
    assert isinstance(config.negatives, int)
    if config.loss == "gbce":
        return n_targets * config.negatives * _FLOAT * _COPIES
    return softmax_bytes(n_targets, config.negatives)


def softmax_bytes(n_targets: int, n_items: int) -> int:
    """Estimate the most bytes that the softmax over so many items, all or drawn, holds at once."""
    kept = min(n_targets * n_items, KEPT_CELLS)
    chunk = min(n_targets, max(1, min(CHUNK, CELLS // n_items))) * n_items
    return max(kept, chunk) * _FLOAT * _COPIES


def refuse_too_large(
    need: Need, free: int | None, model: SequenceModel, config: TrainConfig
) -> None:
    """Refuse a step that needs more than is free.

    Raises:
        ConfigError: naming the settings to lower.
    """
    if free is None or need.total <= free:
        return
    per_cell = (need.activations + need.loss) / need.cells
    room = (free - need.table) * 0.8
    advice = advice_for(model, config)
    if room >= per_cell:
        advice = f"lower TrainConfig(tokens=...) to {int(room / per_cell):,} or less; or {advice}"
    raise ConfigError(
        f"expected a training step to fit into the {gb(free)} free, found batches of "
        f"{need.cells:,} cells that need about {gb(need.total)}: {gb(need.activations)} for "
        f"activations, {gb(need.loss)} for the loss, {gb(need.table)} for the item table's "
        f"gradients and optimiser; {advice}."
    )


def advice_for(model: SequenceModel, config: TrainConfig) -> str:
    """Name the settings that make a step smaller, the most useful first."""
    advice = [f"max_len={config.max_len}", f"the encoder's dim={model.dim}"]
    if learned_features(model) is not None:
        advice.append("TextTuning(texts_per_step=...)")
    if config.loss == "softmax":
        other = f"take TrainConfig(loss='sampled') in place of all {model.n_items:,} items"
    else:
        advice.insert(0, f"negatives={config.negatives}")
        other = "take TrainConfig(item_updates='rows')"
        if config.item_updates == "rows":
            return f"lower {', '.join(advice)}"
    return f"lower {', '.join(advice)}; or {other}"


@contextmanager
def told_if_full(model: SequenceModel, config: TrainConfig) -> Iterator[None]:
    """Turn a refused allocation inside the block into advice.

    Raises:
        ConfigError: in place of torch's or numpy's error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        said = str(fault).splitlines()[0] if str(fault) else "no memory"
        known = isinstance(fault, MemoryError | torch.OutOfMemoryError)
        if not known and not any(refusal in said for refusal in _REFUSALS):
            raise
        raise ConfigError(
            f"training ran out of memory ({said}); lower TrainConfig(tokens=...), the cells of a "
            f"batch; or {advice_for(model, config)}."
        ) from fault


def free_bytes(device: torch.device) -> int | None:
    """Give the bytes that may still be taken on a device; None where nobody says."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    bounds = [found for found in (_of_machine(), _of_group(), _of_process()) if found is not None]
    return min(bounds, default=None)


def _of_machine() -> int | None:
    facts = _facts(Path("/proc/meminfo"))
    if "MemAvailable" in facts:
        return facts["MemAvailable"] * 1024
    try:  # without /proc: all there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_group() -> int | None:
    """Give what a container may still take."""
    folder = Path("/sys/fs/cgroup")
    try:
        most = (folder / "memory.max").read_text().strip()
        if most == "max":
            return None
        taken = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    # Files that were read lie in memory as long as nobody needs the room.
    return int(most) - taken + _facts(folder / "memory.stat").get("inactive_file", 0)


def _of_process() -> int | None:
    """Give what is left of the address space that a process was allowed."""
    if sys.platform == "win32":
        return None
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _facts(Path("/proc/self/status")).get("VmSize")
    return None if most == resource.RLIM_INFINITY or taken is None else most - taken * 1024


def _facts(path: Path) -> dict[str, int]:
    """Read lines such as ``MemAvailable:  123 kB``; nothing where there is no such file."""
    try:
        words = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _saved_bytes(model: SequenceModel, row: Tensors, autocast: bool) -> int:
    """Count the bytes that reading one row [1, L] in training keeps for the backward pass."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    device, training = model.bias.device, model.training
    model.train()
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
        torch.autocast(device.type, torch.bfloat16, enabled=autocast),
    ):
        outputs, _ = model(row)
    model.train(training)
    return sum(saved.values())


def gb(n_bytes: float) -> str:
    """Write bytes for people."""
    return f"{n_bytes / 1e9:,.1f} GB"
