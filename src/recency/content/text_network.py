"""Text networks: a Hugging Face encoder as a network to train, with or without LoRA."""

import warnings
from importlib.util import find_spec
from typing import Any

import torch

from recency.content.sentence_model import SentenceModel
from recency.errors import ConfigError

_INSTALL = "pip install 'recency[text]'"


def load_network(model: SentenceModel, device: str | None = None) -> tuple[Any, Any, torch.device]:
    """Load tokeniser and network of a sentence model, and choose where it computes.

    Raises:
        ConfigError: the package is missing.
    """
    if find_spec("transformers") is None:
        raise ConfigError(f"texts need further packages: {_INSTALL}.")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs is untyped
    folder = str(model.folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return tokenizer, network.to(chosen), chosen


def adapted(network: Any, rank: int) -> Any:
    """Freeze a network and put matrices of low rank beside each of its own (LoRA).

    Raises:
        ConfigError: the package is missing.
    """
    if find_spec("peft") is None:
        raise ConfigError(f"lora needs another package: {_INSTALL}.")
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's, of a name in transformers
        return get_peft_model(network, config)


def merged(network: Any) -> Any:
    """Give the network itself, with what was learned beside its matrices added to them."""
    return network.merge_and_unload() if hasattr(network, "merge_and_unload") else network
