"""Checkpoints of a training run: one safetensors file, replaced as a whole after every epoch.

The facts of the run lie as JSON in the file's header, with a digest over all tensors. A crash while
writing leaves the file of the epoch before.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recency.data.histories import Histories
from recency.errors import ConfigError, FormatError
from recency.training.config import EpochRecord, TrainConfig

FILE = "training.safetensors"
VERSION = 1

Facts = dict[str, Any]  # JSON


def save_checkpoint(folder: str | Path, tensors: Mapping[str, Tensor], facts: Facts) -> Path:
    """Write a checkpoint and make it durable; the one before is replaced in one move.

    Args:
        folder: Made if missing.
        tensors: Everything that is not JSON.
        facts: Everything that is.

    Returns:
        The file written.
    """
    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"version": VERSION, "digest": digest_tensors(flat), "facts": facts}
    draft = path.with_suffix(".partial")
    try:
        save_file(flat, draft, metadata={"recency": json.dumps(header)})
        with draft.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: str | Path) -> tuple[dict[str, Tensor], Facts] | None:
    """Read the checkpoint of a folder, None where there is none.

    Raises:
        FormatError: the file is damaged or of another version.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["recency"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        version, digest, facts = header["version"], header["digest"], header["facts"]
    except (SafetensorError, KeyError, TypeError, ValueError) as fault:
        raise FormatError(
            f"{path} is no readable checkpoint ({fault}); delete it to train from the start."
        ) from None
    if version != VERSION:
        raise FormatError(
            f"{path} has checkpoint version {version}, this Recency reads version {VERSION}; "
            f"delete it to train from the start."
        )
    if digest != digest_tensors(tensors):
        raise FormatError(
            f"{path} was changed after it was written; delete it to train from the start."
        )
    return tensors, facts


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digest names, types, shapes and values of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def digest_histories(histories: Histories) -> str:
    """Digest every event of histories."""
    digest = hashlib.sha256()
    for name in ("offsets", "items", "times", "types", "values"):
        cells = getattr(histories, name)
        digest.update(name.encode())
        if cells is not None:
            digest.update(np.ascontiguousarray(cells).data)  # no copy of a mapped log
    return digest.hexdigest()


@dataclass
class RunState:
    """Hold what a run remembers from epoch to epoch beside weights.

    Attributes:
        stage: The stage begun last, empty before the first.
        epoch: Epochs of this stage that are done.
        best_epoch: The one to go by so far, judged best but for a cooled one; 0 before the first.
        best: Its judgement.
        history: Every epoch.
        cooled_from: The epoch whose weights were cooled from, None before.
    """

    stage: str = ""
    epoch: int = 0
    best_epoch: int = 0
    best: float | None = None
    history: list[EpochRecord] = field(default_factory=list)
    cooled_from: int | None = None

    @classmethod
    def from_json(cls, facts: Facts) -> "RunState":
        """Rebuild a state from ``dataclasses.asdict``."""
        return cls(**{**facts, "history": [EpochRecord(**one) for one in facts["history"]]})


def run_key(
    config: TrainConfig, seed: int, since: int | None, histories: Histories, model: nn.Module
) -> Facts:
    """Tell, as JSON, everything that decides what a run ends with."""
    described = getattr(model, "described", None)
    learned = None if described is None else described.learned
    heads = [[one.name, one.weight] for one in getattr(model, "heads", ())]
    return {
        "seed": seed,
        "since": since,
        "histories": digest_histories(histories),
        "weights": digest_tensors(model.state_dict()),
        **({"heads": heads} if heads else {}),
        **({} if learned is None else {"tuned": learned.facts()}),
        **config.what_is_learned(),
    }


def save_run(
    folder: str | Path,
    key: Facts,
    state: RunState,
    model: nn.Module,
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write where a run is."""
    parts = {
        "model": model.state_dict(),
        "best": best,
        "optimizer": _optimizer_tensors(optimizer),
    }
    tensors = {f"{part}/{name}": t for part, ts in parts.items() for name, t in ts.items()}
    save_checkpoint(folder, tensors, {"key": key, "state": asdict(state)})


def load_run(
    folder: str | Path, key: Facts, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[RunState, dict[str, Tensor]] | None:
    """Put model and optimizer where the run of a folder is; give its state and best weights.

    Returns:
        None, and nothing is changed, where the folder has no checkpoint.

    Raises:
        ConfigError: the checkpoint is of a run that would end with something else.
        FormatError: the checkpoint is damaged.
    """
    found = load_checkpoint(folder)
    if found is None:
        return None
    tensors, facts = found
    if differing := [name for name, value in key.items() if facts["key"].get(name) != value]:
        raise ConfigError(
            f"the checkpoint in {folder} is of another run: {', '.join(differing)} differ; "
            f"delete it, or name another checkpoint_dir."
        )
    model.load_state_dict(_part("model", tensors))
    _load_optimizer(optimizer, _part("optimizer", tensors))
    return RunState.from_json(facts["state"]), _part("best", tensors)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's weights and buffers."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def _part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{part}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give an optimizer's memory as named tensors, ``<parameter number>/<name>``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": t for i, memory in state.items() for name, t in memory.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
