"""Heard: what one model's query asked for, and how loud each voice was, for one question."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from recency.data.histories import Ints
from recency.explaining.shares import Shares, shares_of
from recency.explaining.what_if import WhatIf
from recency.live.live_model import LiveModel
from recency.nn.memories import Memories
from recency.nn.model import SequenceModel
from recency.nn.voices import Voices, context_of, voices_of


@dataclass(frozen=True)
class Heard:
    """Hold one question as the model put it.

    Attributes:
        model: What is asked.
        output: [1, dim] after the newest event.
        query: [1, dim] the output, asked at the instant.
        voices: How loud each expert is to be; None without experts.
        memories: Of the experts, as of the instant; None without.
        repeats: Whether own past items may be given.
    """

    model: SequenceModel
    output: Tensor
    query: Tensor
    voices: Voices | None
    memories: Memories | None
    repeats: bool

    @classmethod
    @torch.no_grad()
    def of(cls, asked: WhatIf, live: LiveModel) -> Self:
        """Put the question as it was asked; there is an event before it."""
        model, whole = live.model, asked.variants(asked.all)
        output = asked.outputs(whole)
        last = torch.tensor([asked.last], device=output.device)
        query = model.ask(output, last, torch.full_like(last, asked.at))
        if model.experts is None or live.recall is None:
            return cls(model, output, query, None, None, asked.repeats)
        histories = whole.histories
        known = np.array([asked.at]) if model.request_time == "known" else None
        context = context_of(histories, histories.offsets[:-1], histories.offsets[1:], known)
        voices = voices_of(model.experts, query, context, asked.repeats)
        return cls(model, output, query, voices, live.recall.at(asked.at), asked.repeats)

    @property
    def own_items(self) -> Ints:
        """List the rows of the items among the newest own events, ascending."""
        if self.voices is None:
            return np.zeros(0, np.int64)
        items = self.voices.items[0]
        return np.unique(items[items >= 0])

    @torch.no_grad()
    def shares(self, items: Ints, encoder: bool = True) -> Shares | None:
        """Take the chances of items [m] apart; None without experts.

        Args:
            items: Rows.
            encoder: Whether to ask for the encoder's chances, which are else 0.
        """
        experts = self.model.experts
        if experts is None or self.voices is None or self.memories is None:
            return None
        chances = np.zeros(len(items))
        known = items < self.model.n_items
        if encoder:
            found = torch.softmax(self.model.scores(self.query).double(), dim=1)[0].cpu().numpy()
            chances[known] = found[items[known]]
        return shares_of(self.memories, self.voices, experts.names, chances, items)
