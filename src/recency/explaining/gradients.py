"""Gradients: leaving events out, to the first order, in one pass forward and one back.

Without event e, the state after the next event would have been another, and that other state is
found by one step: from the state before e to the event after it, over both gaps. What the change
does to the item's log-probability in the end is, to the first order, its product with the slope of
that log-probability by the state, and one pass back gives the slopes by all states:

    contribution(e) = (s_{e+1} - s'_{e+1}) * d log p(item) / d s_{e+1}

Without the newest event no state follows, and it is left out as it is. What the experts read of the
events themselves is no matter of the encoder: it is added, exactly, by leaving each event out of
what they read, while the query stands still.

This takes n steps where leaving out n events takes n * n. It is for encoders whose state moves in
small steps; a window of past events, as attention keeps, jumps when an event is left out.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import NO_GAP
from recency.explaining.heard import Heard
from recency.explaining.score import score_of
from recency.explaining.what_if import WhatIf
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel

Doubles = npt.NDArray[np.float64]


def by_gradients(asked: WhatIf, heard: Heard, item: int) -> Doubles:
    """Give what each of the newest n events brings to an item's log-probability, oldest first.

    Args:
        asked: The question, of one model; with two events or more that can be left out.
        heard: The same, as the model put it.
        item: Row.

    Returns:
        [n] nats.
    """
    model, score = heard.model, score_of(heard, item)
    batch, before = asked.batch()
    times, at = batch.times[0], torch.tensor([asked.at], device=before.device)

    def ask(state: Tensor, last: Tensor) -> Tensor:
        return score(model.ask(model.outputs_of(state), last, at))[0]

    with torch.enable_grad():
        states = _states(model, batch, before)
        found = ask(states[-1], times[-1:])
        slopes = torch.autograd.grad(found, states[1:])
    with torch.no_grad():
        known = torch.cat(states)
        other = model.step(_skipped(asked, batch), known[:-2])
        parts = ((known[2:] - other) * torch.cat(slopes)[1:]).sum(dim=1)
        newest = found - ask(known[-2:-1], times[-2:-1])
    through = torch.cat((parts, newest[None])).detach().cpu().double().numpy()
    whole: Doubles = through + asked.read_by_experts(item, heard.output)
    return whole


def _states(model: SequenceModel, batch: Tensors, before: Tensor) -> list[Tensor]:
    """Read events one by one: the state [1, state_size] before them, and after each."""
    states = [before.detach().clone().requires_grad_(True)]
    for place in range(batch.items.shape[1]):
        states.append(model.step(batch.part(slice(None), slice(place, place + 1)), states[-1]))
    return states


def _skipped(asked: WhatIf, batch: Tensors) -> Tensors:
    """Give the events after the first, [n - 1, 1], each as if the one before it had not been."""
    times = asked.history.times
    places = asked.first + 1 + np.arange(asked.n - 1)
    gaps = np.where(places > 1, (times[places] - times[places - 2]) / 1e6, NO_GAP)
    cells = {
        name: getattr(batch, name)[0, 1:, None] for name in ("items", "times", "types", "values")
    }
    merged = torch.from_numpy(gaps.astype(np.float32))[:, None].to(batch.gaps.device)
    lengths = torch.ones(len(gaps), dtype=torch.long, device=batch.gaps.device)
    rows = torch.zeros(len(gaps), dtype=torch.long, device=batch.gaps.device)
    return replace(batch.part(rows, slice(1, 2)), gaps=merged, lengths=lengths, **cells)
