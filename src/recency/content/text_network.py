"""Text networks: a Hugging Face encoder as a network to read with or to train, LoRA included."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from recency.content.sentence_model import Pooling, SentenceModel
from recency.content.text_adapter import TextAdapter
from recency.errors import ConfigError, FormatError

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


def padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Bring rows of tokens to one width; give them and which are real, both [rows, width]."""
    tokens = torch.full((len(rows), max(map(len, rows))), pad)
    mask = torch.zeros(tokens.shape, dtype=torch.long)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return tokens.to(device), mask.to(device)


def text_vectors(network: Any, tokens: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Read rows of tokens as `padded` gives them: [rows, dim], each row of length 1."""
    hidden = network(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
    if pooling == "cls":
        pooled = hidden[:, 0]
    else:
        shown = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * shown).sum(1) / shown.sum(1)
    return nn.functional.normalize(pooled, dim=1)


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


def learned_beside(network: Any) -> dict[str, nn.Parameter]:
    """Give what learns in a network that `adapted` gave, by name."""
    return {name: one for name, one in network.named_parameters() if one.requires_grad}


@torch.no_grad()
def with_adapter(network: Any, adapter: TextAdapter) -> Any:
    """Give a network that computes as one with an adapter beside it.

    Raises:
        ConfigError: the package is missing.
        FormatError: the adapter is of another network.
    """
    network = adapted(network, adapter.rank)
    learned = learned_beside(network)
    shapes = {name: tuple(one.shape) for name, one in learned.items()}
    given = {name: one.shape for name, one in adapter.weights.items()}
    if shapes != given:
        strange = sorted({name for name, _ in shapes.items() ^ given.items()})
        raise FormatError(
            f"expected an adapter of this text encoder's {len(shapes)} matrices, found another: "
            f"{len(strange)} differ, such as {strange[0]}; fit the model anew."
        )
    for name, weight in learned.items():
        weight.copy_(torch.from_numpy(adapter.weights[name]))
    return merged(network)
