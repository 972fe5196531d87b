"""Told: what heads read when they are asked, and where it comes from.

The memory of a user is taken where service keeps it, or is read again as of the instant; counts
come from the events known, strictly before it. So an answer about the past is the one given then.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import Ints
from recency.data.tallies import Ledger
from recency.live.live_model import LiveModel
from recency.live.states import outputs_at
from recency.nn.head import Head
from recency.nn.time_head import TimeHead


@dataclass(frozen=True)
class Told:
    """Hold what a head reads for n questions.

    Attributes:
        outputs: [n, dim]; zeros for users without events.
        vectors: [n, dim]; zeros for items without weights.
        facts: [n, n_facts].
        since: [n] microseconds of the newest event before the question, -1 without one.
        strange: [n] whether the user had no event before, or the item has no weights.
        tempo: [n] how much faster users come back lately than was expected, for a head of waits.
    """

    outputs: Tensor
    vectors: Tensor
    facts: Tensor
    since: Ints
    strange: npt.NDArray[np.bool_]
    tempo: Tensor | None = None


@torch.no_grad()
def told(live: LiveModel, head: Head, users: Ints, items: Ints | None, at: Ints) -> Told:
    """Gather what a head reads.

    Args:
        live: Is asked.
        head: One of its model's.
        users: [n] user rows, `UNKNOWN` for strangers.
        items: [n] item rows, `UNKNOWN` for strangers; None where the head asks about none.
        at: [n] microseconds; events at or after it are not seen.
    """
    model, device = live.model, live.model.bias.device
    outputs, since = remembered(live, users, at)
    strange, vectors = since < 0, torch.zeros(len(users), model.dim, device=device)
    if items is not None:
        learned = (items >= 0) & (items < model.n_items)
        vectors[learned] = model.vectors[torch.from_numpy(items[learned]).to(device)]
        strange |= ~learned
    facts = torch.from_numpy(_facts(live, head, users, items, at)).to(device)
    tempo = None
    if isinstance(head, TimeHead) and head.live:
        found = live.scoring.tempo(head).at(live.timelines, at)
        tempo = torch.from_numpy(found).to(device)
    return Told(outputs, vectors, facts, since, strange, tempo)


@torch.no_grad()
def remembered(live: LiveModel, users: Ints, at: Ints) -> tuple[Tensor, Ints]:
    """Give what is remembered of users, and since when.

    Args:
        live: Is asked.
        users: [n] user rows, `UNKNOWN` for strangers.
        at: [n] microseconds; events at or after it are not seen.

    Returns:
        Outputs [n, dim] and microseconds [n] of the newest event before; see `Told`.
    """
    model, device = live.model, live.model.bias.device
    known, place = np.unique(users[users >= 0], return_inverse=True)
    histories = live.timelines.histories(known)
    asked = np.flatnonzero(users >= 0)
    stops = np.zeros(len(users), np.int64)
    stops[asked] = histories.stops_before(place, at[asked])
    outputs = torch.zeros(len(users), model.dim, device=device)
    if len(asked) and (at == at[0]).all():  # through states, which move in O(1)
        ends = histories.stops_before(np.arange(len(known)), np.full(len(known), at[0]))
        outputs[asked] = live.scoring.outputs(known, histories, ends)[place]
    elif len(asked):
        outputs[asked] = outputs_at(model, histories, place, stops[asked])
    since = np.full(len(users), -1)
    there = asked[stops[asked] > histories.offsets[place]]
    since[there] = histories.times[stops[there] - 1]
    return outputs, since


def _facts(
    live: LiveModel, head: Head, users: Ints, items: Ints | None, at: Ints
) -> npt.NDArray[np.float32]:
    n_items = len(live.vocabs.items)
    if items is None:
        known, place = np.unique(users, return_inverse=True)
        ledger = Ledger.of(live.timelines.histories(np.maximum(known, 0)), n_items)
        rows = np.where(users < 0, -1, place)
        return head.facts(ledger, rows, np.full(len(users), -1), at)
    known_by_now = live.timelines.freeze()
    book = live.scoring.book(known_by_now.base)
    ledger, rows = book.ledger(head, known_by_now.arrived, users, items, n_items)
    return head.facts(ledger, rows, np.where(items < 0, -2, items), at)
