"""Integrated gradients: what each event brings through the encoder, by Captum.

The encoder reads a vector an event. On the way from vectors of which nothing is known but when the
event was (the item unknown, type and value missing) to the true ones, the slope of the item's
log-probability is added up, and what an event's vector adds is the event's part: Sundararajan, Taly
and Yan, Axiomatic Attribution for Deep Networks, ICML 2017, equation 1. What the experts read of
the events themselves is no matter of the encoder: it is added by leaving each event out of what
they read, while the query stands still.

An event that is read as unknown is still an event: it opens gates and parts the gaps. So this
answers another question than leaving the event out does, and agrees with it less than
`recency.explaining.gradients`.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import UNKNOWN
from recency.errors import ConfigError
from recency.explaining.heard import Heard
from recency.explaining.score import score_of
from recency.explaining.what_if import WhatIf
from recency.nn.encoder import Clock
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.nn.profile import begun

Doubles = npt.NDArray[np.float64]


def by_integrated_gradients(asked: WhatIf, heard: Heard, item: int, steps: int = 16) -> Doubles:
    """Give what each of the newest n events brings to an item's log-probability, oldest first.

    Args:
        asked: The question, of one model.
        heard: The same, as the model put it.
        item: Row.
        steps: Places on the way at which slopes are taken.

    Returns:
        [n] nats.

    Raises:
        ConfigError: Captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ConfigError(
            "integrated gradients need Captum; install it with: pip install 'recency[explain]'"
        ) from error
    model, score = heard.model, score_of(heard, item)
    batch, state = asked.batch()
    inner, last = _inner(model, batch, state), batch.times[:, -1]

    def ask(x: Tensor) -> Tensor:
        n = len(x)
        clock = Clock(batch.gaps.expand(n, -1), batch.times.expand(n, -1))
        encoded, _ = model.encoder(x, clock, inner.expand(n, -1).contiguous())
        instants = last.expand(n)
        outputs = model.output(encoded[:, -1]).float()
        return score(model.ask(outputs, instants, torch.full_like(instants, asked.at)))

    with torch.no_grad():
        x = model.events(model.table, batch)
        nothing = model.events(model.table, _unknown(batch))
    with torch.enable_grad():
        found = IntegratedGradients(ask).attribute(x, baselines=nothing, n_steps=steps)
    parts: Doubles = found.sum(dim=2)[0].detach().cpu().double().numpy()
    return parts + asked.read_by_experts(item, heard.output)


@torch.no_grad()
def _inner(model: SequenceModel, batch: Tensors, state: Tensor) -> Tensor:
    """Give the encoder's state [1, encoder's size] before a batch."""
    before = begun(model, batch, state[:, : model.encoder.state_size])
    assert before is not None
    return before


def _unknown(batch: Tensors) -> Tensors:
    """Make events of which only the instant is known."""
    return replace(
        batch,
        items=torch.full_like(batch.items, UNKNOWN),
        types=torch.full_like(batch.types, UNKNOWN),
        values=torch.full_like(batch.values, torch.nan),
    )
