"""Content: what each feature of an item adds to the encoder's score of it, exactly.

A score is a product of a query with the item's vector, and that vector is a sum over features; so
the score is one, too. What is left is ``id``: what was learned from the item's own events.
"""

import torch

from recency.content.adaptor import Adaptor
from recency.data.vocab import Id
from recency.explaining.heard import Heard


@torch.no_grad()
def content_of(heard: Heard, adaptor: Adaptor, row: int, item: Id) -> dict[str, float] | None:
    """Give what each feature adds to the score of an item, in nats, by its name.

    Args:
        heard: The question.
        adaptor: Of the model.
        row: Of the item.
        item: Its id.

    Returns:
        The parts, whose sum is the encoder's score: one a feature; ``popularity``, what content
        says of how often it is taken; and ``id``. None where the item has no weights, or nothing
        is known of it.
    """
    model = heard.model
    numbers = torch.from_numpy(adaptor.numbers([item]))
    if row >= model.n_items or not bool(numbers.any()):
        return None
    network = adaptor.network
    gates = torch.sigmoid(network.gates(numbers))[0]
    pieces = numbers.split_with_sizes(list(network.widths.values()), dim=1)
    query, vector = heard.query[0].cpu(), model.vectors[row].cpu()
    whole = float(query @ vector)
    scale = 1.0
    if model.temperature is not None:  # cosines: as long as the whole vector is given
        length = float(query.norm() * vector.norm())
        scale = 1 / (model.temperature * length) if length else 0.0
    parts = {
        name: scale * float(gates[place] * (query @ project(piece)[0]))
        for place, (name, project, piece) in enumerate(
            zip(network.widths, network.projections, pieces, strict=True)
        )
    }
    bias = float(model.biases[row])
    lift = float(network.lift(numbers)[0, 0])
    known = sum(parts.values())
    return parts | {"popularity": lift, "id": scale * whole - known + bias - lift}
