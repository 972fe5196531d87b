"""Item attributes: what an event's item is, read beside which item it is.

    x = item vector + mean over attributes a and values v of item i in a of e_(a, v)  + …

With categories, price bands and brands a history becomes a sequence of these too: an encoder can
follow somebody from cheap tents to dear ones, also over items that few others had. Values are those
of training; one that came later, and an item that says nothing, add nothing.

Attributes are read only. What items are scored by is another matter (`recency.nn.item_content`).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recency.nn.time import side_vectors

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel

NO_VALUE = -1


class ItemAttributes(nn.Module):
    """Turn the attributes of events' items into vectors.

    Args:
        dim: Width.
        n_values: Values of all attributes together.
        codes: [n_items, width] values of each item, `NO_VALUE` where it has fewer.
    """

    def __init__(self, dim: int, n_values: int, codes: Tensor) -> None:
        super().__init__()
        self.table = side_vectors(n_values, dim)
        self.register_buffer("codes", codes)
        self.codes: Tensor

    def forward(self, items: Tensor) -> Tensor:
        """Encode the items [...] of events as [..., dim]; rows without codes give zeros."""
        known = (items >= 0) & (items < len(self.codes))
        codes = self.codes[torch.where(known, items, 0)]
        there = (codes != NO_VALUE) & known[..., None]
        found = nn.functional.embedding(codes.clamp(min=0), self.table) * there[..., None]
        encoded: Tensor = found.sum(-2) / there.sum(-1, keepdim=True).clamp(min=1)
        return encoded


def read_attributes(model: "SequenceModel", n_values: int, codes: Tensor) -> None:
    """Have a model read attributes of items from now on.

    Args:
        model: Not yet trained, or trained with attributes: their vectors stay then.
        n_values: See `ItemAttributes`.
        codes: See `ItemAttributes`.
    """
    before = model.events.attributes
    made = ItemAttributes(model.dim, n_values, codes).to(model.bias.device)
    if before is not None:
        made.table = before.table
    model.events.attributes = made
