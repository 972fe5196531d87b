"""Weight names: what weights are called now, where an older folder calls them otherwise."""

from collections.abc import Mapping

from torch import Tensor

_NOW = {"heads": "scored_items"}  # whole names
_NOW_WITHIN = {"other_heads.": "heads."}  # what names begin with


def under_new_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights as this version names them; those of today stay as they are."""
    return {_now(name): weight for name, weight in weights.items()}


def _now(name: str) -> str:
    for old, new in _NOW_WITHIN.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return _NOW.get(name, name)
