"""Slates: targets as they were predicted by weights that had not learned them yet.

A gate has to know how far each expert is to be trusted on what comes next, which training targets
do not tell: on them networks look better than they are. Events that have just come in do tell, as
long as no weight has moved for them. So the first thing that a round does with its events is to
take down what the encoder and the experts made of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recency.data.batches import TrainingWindows
from recency.data.histories import Histories
from recency.nn.evidence import EvidenceTable
from recency.nn.experts import FLOOR, Evidence
from recency.nn.fading import Context
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.online.config import LearnConfig
from recency.training.validation import VALID_TOKENS

_CHUNK = 1_024  # targets scored at once


@dataclass(frozen=True)
class Slate:
    """Hold n targets and what was known of them before they came.

    Attributes:
        queries: [n, dim].
        targets: [n] item rows; some have no weights yet.
        encoder: [n] log-probability of the targets by the encoder.
        given: What the experts knew; None without experts.
    """

    queries: Tensor
    targets: Tensor
    encoder: Tensor
    given: Evidence | None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: slice | Tensor) -> "Slate":
        """Keep some of the targets."""
        return Slate(
            self.queries[rows],
            self.targets[rows],
            self.encoder[rows],
            None if self.given is None else _taken(self.given, rows),
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """Give everything under names."""
        tensors = {"queries": self.queries, "targets": self.targets, "encoder": self.encoder}
        if self.given is None:
            return tensors
        given, context = self.given, self.given.context
        return tensors | {
            "items": context.items, "ages": context.ages, "pair": given.pair, "crowd": given.crowd,
        }  # fmt: skip

    @classmethod
    def of_tensors(cls, tensors: dict[str, Tensor]) -> "Slate":
        """Rebuild a slate from `to_tensors`."""
        given = None
        if "items" in tensors:
            context = Context(tensors["items"], tensors["ages"])
            given = Evidence(context, tensors["pair"], tensors["crowd"])
        return cls(tensors["queries"], tensors["targets"], tensors["encoder"], given)


@torch.no_grad()
def slate_of(
    model: SequenceModel,
    histories: Histories,
    since: int,
    max_len: int,
    config: LearnConfig,
    like: Slate | None = None,
) -> Slate:
    """Take down what a model makes of the targets at or after an instant.

    Args:
        model: In evaluation mode; has learned nothing of these targets.
        histories: Those events and the ones before them.
        since: Microseconds.
        max_len: Events that training reads of a history.
        config: How many targets at most, evenly spread, and of how many events pairs are counted.
        like: A slate of the same targets by other weights: what the experts know is taken over.
    """
    device = model.bias.device
    windows = TrainingWindows(
        histories, max_len=2 * max_len, since=since, max_targets=config.gate_targets
    )
    positions = windows.positions
    queries = torch.zeros(windows.n_targets, model.dim, device=device)
    for part in windows.epoch(VALID_TOKENS):
        outputs, _ = model(Tensors.from_batch(part.batch, device))
        cells = (part.rows, part.sources, part.last_times, part.at)
        rows, sources, last, at = (torch.from_numpy(cell).to(device) for cell in cells)
        places = np.searchsorted(positions, part.positions)
        queries[places] = model.ask(outputs[rows, sources], last, at)
    targets = torch.from_numpy(histories.items[positions].astype(np.int64)).to(device)
    given = _given(model, windows, config.recent) if like is None else like.given
    return Slate(queries, targets, _by_encoder(model, queries, targets), given)


def joined(slates: Sequence[Slate], most: int) -> Slate:
    """Put slates together, oldest first, and keep the newest targets."""
    parts = [one.to_tensors() for one in slates]
    both = {name: torch.cat([part[name] for part in parts]) for name in parts[-1]}
    return Slate.of_tensors({name: cells[-most:] for name, cells in both.items()})


def _by_encoder(model: SequenceModel, queries: Tensor, targets: Tensor) -> Tensor:
    """Give the targets' log-probabilities; those without weights have the least there is."""
    known = targets < model.n_items
    logs = torch.full((len(targets),), math.log(FLOOR), device=queries.device)
    places = torch.nonzero(known).flatten()
    for part in torch.split(places, _CHUNK):
        logs[part] = -model.nats(queries[part], targets[part])
    return logs


def _given(model: SequenceModel, windows: TrainingWindows, paired: int) -> Evidence | None:
    if model.experts is None:
        return None
    table = EvidenceTable(
        windows.histories,
        model.experts.config,
        ages_to_target=model.request_time == "known",
        targets=windows.positions,
        paired=paired,
    )
    return table.of(windows.positions, model.bias.device)


def _taken(given: Evidence, rows: slice | Tensor) -> Evidence:
    context = Context(given.context.items[rows], given.context.ages[rows])
    return Evidence(context, given.pair[rows], given.crowd[rows])
