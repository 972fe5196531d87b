"""Quick rounds: what moves in a second or two while users' states stay valid.

States are made by the encoder, by what it reads of events, and by the output layer. None of these
moves here. What does: how far each expert is trusted and the gate between them, curves of age,
the vectors that items are scored by (`recency.nn.scored_items`), and biases. An item that is new is
scored by a vector of its own from then on, but read as unknown until the whole model moves.

The gate learns from slates only, so from predictions of what had not been learned; item vectors
learn from the encoder's own loss. Each would spoil the other's lesson.
"""

import torch
from torch import Tensor

from recency.nn.experts import Experts
from recency.nn.losses import Sample
from recency.nn.model import SequenceModel
from recency.nn.scored_items import makes_states
from recency.online.slate import Slate
from recency.training.checkpoints import digest_tensors

_BATCH = 256  # targets a step of item vectors
_EXACT = 20_000  # items up to which the softmax is taken over all
_DRAWN = 1_024
_GATE_LR = 3e-3
_PULL = 1e-3  # towards what the gate was before


def state_version(model: SequenceModel) -> str:
    """Name what makes states: equal names, and states of one model are those of the other."""
    return digest_tensors(makes_states(model))[:12]


def learn_gate(experts: Experts, slate: Slate, steps: int) -> float:
    """Find how far to trust each expert, then let gate and curves of age follow.

    Args:
        experts: Changed in place.
        slate: Predictions of targets that were not learned then.
        steps: Of the second part.

    Returns:
        Mean nats of the targets by the mixture, afterwards.
    """
    assert slate.given is not None
    with torch.no_grad():
        experts.trust.zero_()
        parts = experts.parts(slate.queries, slate.encoder, slate.targets, slate.given)
        experts.calibrate(experts.gates(slate.queries), parts)
    weights = [one for one in experts.parameters() if one.requires_grad]
    before = [one.detach().clone() for one in weights]
    optimizer = torch.optim.Adam(weights, lr=_GATE_LR)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        away = sum((a - b).square().sum() for a, b in zip(weights, before, strict=True))
        loss = _nats(experts, slate) + _PULL * away
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        return float(_mixture_nats(experts, slate))


@torch.no_grad()
def nats_of(model: SequenceModel, slate: Slate) -> float:
    """Give the mean nats of a slate's targets, by the experts' mixture where there is one."""
    if model.experts is None or not len(slate):
        return float(-slate.encoder.mean())
    return float(_mixture_nats(model.experts, slate))


def learn_scored_items(
    model: SequenceModel, slate: Slate, epochs: int, lr: float, seed: int
) -> None:
    """Move the vectors that items are scored by, and their biases, towards new targets.

    Args:
        model: Untied; grown to all items.
        slate: The new targets, and older ones against forgetting.
        epochs: Passes.
        lr: Learning rate.
        seed: Of order and draws.
    """
    assert model.scored_items is not None
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam([model.scored_items, model.bias], lr=lr, betas=(0.9, 0.98))
    for _ in range(epochs):
        order = torch.randperm(len(slate), generator=generator)
        for rows in torch.split(order, _BATCH):
            optimizer.zero_grad(set_to_none=True)
            sample = _drawn(model, generator)
            targets = slate.targets[rows]
            torch.autograd.backward(model.nats(slate.queries[rows], targets, sample).mean())
            optimizer.step()


def _drawn(model: SequenceModel, generator: torch.Generator) -> Sample | None:
    if model.n_items <= _EXACT:
        return None
    drawn = torch.randint(model.n_items, (_DRAWN,), generator=generator)
    return Sample(drawn, n_items=model.n_items)


def _nats(experts: Experts, slate: Slate) -> Tensor:
    assert slate.given is not None
    again = experts.repeat_nats(slate.queries, slate.targets, slate.given)
    return _mixture_nats(experts, slate) + again


def _mixture_nats(experts: Experts, slate: Slate) -> Tensor:
    assert slate.given is not None
    parts = experts.parts(slate.queries, slate.encoder, slate.targets, slate.given)
    return -experts.mixture(experts.gates(slate.queries), parts).mean()
