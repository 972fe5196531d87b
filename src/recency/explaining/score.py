"""Score: the log-probability of one item as a function of the query, for gradients to be taken of.

It is what `recency.nn.memories.Memories.mix` gives, in float32 and for one item. The experts' own
chances stand still; how much each is listened to moves with the query.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recency.data.histories import PADDING
from recency.explaining.heard import Heard
from recency.explaining.shares import Shares

Score = Callable[[Tensor], Tensor]  # queries [m, dim] to log-probabilities of one item [m]
_LEAST = 1e-30  # chance whose logarithm is still taken


def score_of(heard: Heard, item: int) -> Score:
    """Make the score of one item.

    Args:
        heard: The question.
        item: Row.
    """
    own = heard.own_items
    items = own if item in own else np.append(own, item)
    shares = heard.shares(items, encoder=False)
    if shares is None:
        model = heard.model
        return lambda queries: torch.log_softmax(model.scores(queries), dim=1)[:, item]
    return _mixed(heard, item, torch.from_numpy(items), shares)


def _mixed(heard: Heard, item: int, items: Tensor, shares: Shares) -> Score:
    """Mix the encoder, which moves with queries, with the experts.

    Args:
        heard: The question.
        item: Row of the item.
        items: [m] rows that ``shares`` are of: the user's own items, then the item where it is
            none of them.
        shares: Their chances, the encoder's being 0.
    """
    model, voices = heard.model, heard.voices
    experts = model.experts
    assert experts is not None and voices is not None
    own = torch.isin(items, torch.from_numpy(heard.own_items))
    at = int(torch.nonzero(items == item)[0])
    silent, known = torch.from_numpy(shares.loud == 0), items < model.n_items
    chances = torch.from_numpy(shares.chances).float()
    lost = torch.zeros(len(shares.loud))
    if shares.own is not None:
        lost[int(experts.config.encoder)] = shares.lost
    length = float(np.log(max(1, (voices.items[0] != PADDING).sum())))

    def score(queries: Tensor) -> Tensor:
        gates = experts.loudness(queries, heard.repeats)
        loud = torch.softmax(gates.masked_fill(silent, -torch.inf), dim=1)
        mixed = loud @ chances
        if experts.config.encoder:
            encoder = torch.softmax(model.scores(queries), dim=1)
            inside = torch.zeros(len(queries), len(items))
            inside[:, known] = encoder[:, items[known]]
            mixed = mixed + loud[:, :1] * inside
        log = torch.log(mixed[:, at].clamp(min=_LEAST))
        mass = mixed[:, own].sum(dim=1)
        rest = 1 - loud @ lost - mass
        if not bool((mass > 0).all() and (rest > 0).all()):
            return log
        lengths = torch.full((len(queries), 1), length)
        again = experts.again(torch.cat((queries, lengths), dim=1))[:, 0]
        if own[at]:
            return log + functional.logsigmoid(again) - torch.log(mass)
        return log + functional.logsigmoid(-again) - torch.log(rest)

    return score
