"""Weights: how those of a network lie in a file, and what an older file calls them."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recency.errors import FormatError

WEIGHTS_FILE = "weights.safetensors"
_NOW = {"heads": "scored_items"}  # whole names
_NOW_WITHIN = {"other_heads.": "heads."}  # what names begin with


def write_weights(path: Path, network: nn.Module) -> None:
    """Write a network's weights into a file."""
    save_file({name: t.cpu().contiguous() for name, t in network.state_dict().items()}, path)


def read_weights(path: Path, network: nn.Module) -> None:
    """Give a network the weights of a file.

    Raises:
        FormatError: names or shapes do not fit the network.
    """
    try:
        network.load_state_dict(under_new_names(load_file(path)))
    except (SafetensorError, RuntimeError) as fault:
        raise FormatError(
            f"the weights in {path.parent} do not fit their settings: {fault}"
        ) from None


def under_new_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights as this version names them; those of today stay as they are."""
    return {_now(name): weight for name, weight in weights.items()}


def _now(name: str) -> str:
    for old, new in _NOW_WITHIN.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return _NOW.get(name, name)
