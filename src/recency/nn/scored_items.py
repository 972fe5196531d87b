"""Scored items: item vectors as they are scored, once apart from those that are read.

A model has one table for both, until a learner wants to move how items are scored while users'
states stay what they are. Then it is untied: from then on `SequenceModel.scored_items` is scored,
and the table is only read.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recency.errors import ConfigError
from recency.nn.inputs import SPECIAL
from recency.nn.weights import under_new_names

if TYPE_CHECKING:
    from recency.nn.model import SequenceModel

_FREE = ("bias", "scored_items", "question.", "experts.", "heads.")


def makes_states(model: "SequenceModel") -> dict[str, Tensor]:
    """Give the weights that a user's state depends on; the others may move without it."""
    return {name: t for name, t in model.state_dict().items() if not name.startswith(_FREE)}


@torch.no_grad()
def untie(model: "SequenceModel", n_items: int) -> None:
    """Let items be scored by vectors of their own, so that these can move and states stay.

    Items that are new are scored like an average one; events on them are read as unknown, as they
    were when states were made, until `tie`.

    Args:
        model: Changed in place; scores of known items stay as they are.
        n_items: Items afterwards; no fewer than now.

    Raises:
        ConfigError: fewer items than now.
    """
    if n_items < model.n_items:
        raise ConfigError(
            f"untie(n_items={n_items}): the model knows {model.n_items} items; rows never go."
        )
    let_in(model)
    new, known = n_items - model.n_items, model.vectors.detach()
    average = known.mean(0, keepdim=True).expand(new, -1)
    model.scored_items = nn.Parameter(torch.cat((known, average)))
    model.bias = nn.Parameter(torch.cat((model.bias, model.bias.mean().expand(new))))


@torch.no_grad()
def tie(model: "SequenceModel") -> None:
    """Read items as they are scored, the new ones too: states made before are void.

    A model that has learned to score items apart from how it reads them goes on so; then only items
    that it does not read yet are read as they are scored.
    """
    if model.scored_items is None:
        return
    if model.scored_apart:
        late = model.scored_items[len(model.items) - SPECIAL :]
        model.items = nn.Parameter(torch.cat((model.items, late)))
        return
    model.items = nn.Parameter(torch.cat((model.items[:SPECIAL], model.scored_items)))
    model.scored_items = None


def left_out(model: "SequenceModel") -> Tensor:
    """Mark the items [n_items] that have a row and no weights; see `leave_out`."""
    return model.bias.detach() == -torch.inf


@torch.no_grad()
def leave_out(model: "SequenceModel", rows: Tensor) -> None:
    """Score items never, as if they had no row: those that stand before others with weights.

    Args:
        model: Untied; changed in place.
        rows: [n] of the items.
    """
    assert model.scored_items is not None
    model.scored_items[rows] = 0.0
    model.bias[rows] = -torch.inf


@torch.no_grad()
def let_in(model: "SequenceModel") -> None:
    """Score the items that were left out like an average one from now on, so that they can learn.

    Args:
        model: Changed in place.
    """
    out, model.n_learned = left_out(model), None
    if model.scored_items is not None and out.any() and not out.all():
        model.scored_items[out] = model.scored_items[~out].mean(0)
        model.bias[out] = model.bias[~out].mean()


def take(model: "SequenceModel", weights: dict[str, Tensor]) -> None:
    """Give a model weights whose tables of items and types may be longer than its own.

    Raises:
        RuntimeError: names or shapes do not fit.
    """
    weights = under_new_names(weights)
    for name in ("items", "bias", "scored_items"):
        table = weights.get(name)
        setattr(model, name, None if table is None else nn.Parameter(torch.empty_like(table)))
    types = weights.get("events.types")
    if model.events.types is not None and types is not None:
        model.events.types = nn.Parameter(torch.empty_like(types))
    model.load_state_dict(weights)
