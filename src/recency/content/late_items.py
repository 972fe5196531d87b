"""Late items: rows for items that are described while a model is at work.

Weights stay, and so do users' states: what is made of content is scored only, and never read
(`recency.nn.scored_items`).
Rows are a function of what is known of an item and of nothing else, so they come out the same in
whatever order, and however often, items are described; a model that is loaded again and told the
same has the same rows. An item of which nothing is known has none.
"""

from collections.abc import Sequence

import numpy as np
import torch

from recency.content.adaptor import Adaptor
from recency.content.item_vectors import ItemVectors
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.nn.model import SequenceModel
from recency.nn.scored_items import leave_out, left_out, untie


@torch.no_grad()
def take_in_late(
    adaptor: Adaptor,
    model: SequenceModel,
    items: Vocab,
    first: int,
    vectors: Sequence[ItemVectors],
    catalogue: Catalogue | None,
) -> int:
    """Learn what is known of items, and make the rows of the late ones of it.

    Args:
        adaptor: Of the model.
        model: Changed in place.
        items: Known, the model's first; those described are among them.
        first: Row of the first late item; earlier ones keep what was learned of them.
        vectors: Of the kinds that the model was fitted with.
        catalogue: Attributes of items.

    Returns:
        How many items can be scored now that could not before.

    Raises:
        DataError: vectors are of another name or width than in training.
    """
    told = items.rows(adaptor.learn(vectors, catalogue))
    told = told[told >= first]
    if not len(told):
        return 0
    before = model.n_items
    out = torch.nonzero(left_out(model)).flatten()
    if model.scored_items is None or int(told.max()) >= before:
        untie(model, max(before, int(told.max()) + 1))
    assert model.scored_items is not None
    rows = np.union1d(told, np.arange(before, model.n_items))
    made, biases, known = adaptor.rows(items.take(rows))
    place = torch.from_numpy(rows).to(model.bias.device)
    leave_out(model, torch.cat((out.to(place.device), place)))
    model.n_learned = first
    model.scored_items[place[known]] = made[known].to(place.device)
    model.bias[place[known]] = biases[known].to(place.device)
    return model.n_items - int(left_out(model).sum()) - (before - len(out))
