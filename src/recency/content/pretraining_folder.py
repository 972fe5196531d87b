"""Where a run of text pre-training lies: a draft that it goes on from, then a folder that is whole.

    words/                      the encoder, as Hugging Face and `recency.TextEncoder` read it
      pretraining.jsonl         what it was made from and how it went; no part of what it computes
    words.partial/              while the run goes on
      run.safetensors           what is learned, after the newest epoch

The draft becomes the folder by one rename, so that a run that was killed leaves no half of one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recency.errors import ConfigError, FormatError

FACTS = "pretraining.jsonl"
_RUN = "run.safetensors"
_TAKEN = (".json", ".txt", ".model")  # of the source, beside weights
_LEFT = (".safetensors.index.json",)

Facts = dict[str, Any]


class PretrainingFolder:
    """Keep a run.

    Args:
        out: Where the encoder shall be.
        source: Folder of the encoder that the run starts from.
        key: All that decides what the run ends with.

    Raises:
        ConfigError: ``out`` holds something else than this run.
    """

    def __init__(self, out: Path, source: Path, key: Facts) -> None:
        self.out, self.source = out, source
        self.draft = out.with_name(f"{out.name}.partial")
        text = json.dumps(key, sort_keys=True, default=str)
        self.key = hashlib.sha256(text.encode()).hexdigest()
        if out.exists() and self.finished() is None and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(
                f"expected a new folder, or one of this very run, found something else in {out}; "
                f"name another one, or remove it."
            )

    def finished(self) -> Facts | None:
        """Give the facts of the run where it is done already."""
        path = self.out / FACTS
        if not path.is_file():
            return None
        first, *epochs = path.read_text(encoding="utf-8").splitlines()
        facts: Facts = json.loads(first)
        if facts.pop("key") != self.key:
            return None
        return {**facts, "history": [json.loads(one) for one in epochs]}

    def resume(
        self, learned: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
    ) -> list[Facts]:
        """Put weights and optimizer where an earlier call stopped; give its epochs, if any.

        Raises:
            ConfigError: the draft is of another run.
            FormatError: it is damaged.
        """
        path = self.draft / _RUN
        if not path.exists():
            return []
        tensors, about = self._read(path)
        if about["key"] != self.key:
            raise ConfigError(
                f"{self.draft} holds a run with other texts, another model or other settings; "
                f"remove it, or name another folder."
            )
        with torch.no_grad():
            for name, weight in learned.items():
                weight.copy_(tensors[f"weights/{name}"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, number, what = (*name.split("/", 2), "")[:3]
            if part == "optimizer":
                state.setdefault(int(number), {})[what] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        history: list[Facts] = about["history"]
        return history

    def _read(self, path: Path) -> tuple[dict[str, Tensor], Facts]:
        try:
            with safe_open(path, framework="pt") as file:
                about: Facts = json.loads((file.metadata() or {})["recency"])
                return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError) as fault:
            raise FormatError(
                f"{path} cannot be read ({fault}); remove {self.draft} to start afresh."
            ) from None

    def keep(
        self,
        learned: Mapping[str, Tensor],
        optimizer: torch.optim.Optimizer,
        history: list[Facts],
    ) -> None:
        """Write where the run is, in the place of what was there."""
        memory = optimizer.state_dict()["state"]
        tensors = {f"weights/{name}": one for name, one in learned.items()} | {
            f"optimizer/{number}/{what}": one
            for number, parts in memory.items()
            for what, one in parts.items()
        }
        flat = {name: one.detach().cpu().contiguous().clone() for name, one in tensors.items()}
        about = json.dumps({"key": self.key, "history": history})
        self.draft.mkdir(parents=True, exist_ok=True)
        part = self.draft / f"{_RUN}.new"
        save_file(flat, part, metadata={"recency": about})
        os.replace(part, self.draft / _RUN)

    def finish(self, facts: Facts, network: Any) -> Facts:
        """Write the encoder, and let the folder appear; give the facts."""
        model = self.draft / "model"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir(parents=True)
        for path in self.source.rglob("*"):
            taken = path.suffix in _TAKEN and not path.name.endswith(_LEFT) and path.name != FACTS
            if path.is_file() and taken:
                target = model / path.relative_to(self.source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        network.save_pretrained(model, safe_serialization=True)
        history = facts["history"]
        first = {"key": self.key} | {n: v for n, v in facts.items() if n != "history"}
        lines = [json.dumps(one) for one in (first, *history)]
        (model / FACTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(model, self.out)  # takes the place of an empty folder too
        shutil.rmtree(self.draft)
        return facts
