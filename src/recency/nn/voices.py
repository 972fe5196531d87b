"""Voices: how loud each expert is to be for a question, read off gate and curves of age.

Questions come one or a few at a time, where arrays cost far less to begin with than tensors do; so
this is written over NumPy, in float64. Training has its own form in `recency.nn.experts`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.histories import PADDING, Histories, Ints, ragged_positions
from recency.data.pairs import WINDOW
from recency.nn.experts import Experts
from recency.nn.fading import OWN_WINDOW, Context

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Voices:
    """Hold how loud n questions want to hear each expert; all arrays in log, not normalised.

    Attributes:
        gates: [n, experts].
        own: [n, `OWN_WINDOW`] weights of the own events; None without this expert.
        pair: [n, `WINDOW`] weights of the newest own items; None without this expert.
        again: [n] probability that the next item is one of the own events' items.
        items: [n, `OWN_WINDOW`] the own events' items, newest first, `PADDING` where none.
    """

    gates: Doubles
    own: Doubles | None
    pair: Doubles | None
    again: Doubles
    items: Ints

    def __len__(self) -> int:
        return len(self.gates)

    def part(self, rows: slice) -> "Voices":
        """Keep some questions."""
        return Voices(
            gates=self.gates[rows],
            own=None if self.own is None else self.own[rows],
            pair=None if self.pair is None else self.pair[rows],
            again=self.again[rows],
            items=self.items[rows],
        )


def voices_of(experts: Experts, queries: Tensor, context: Context, repeats: bool) -> Voices:
    """Ask gate and curves of age how loud each expert is to be.

    Args:
        experts: Asked.
        queries: [n, dim].
        context: Own events before the questions.
        repeats: Whether own past items may be given.
    """
    asked = _array(queries).astype(np.float64)
    items, ages = _array(context.items), _array(context.ages)
    gate, again = experts.gate, experts.again
    lengths = np.log(np.maximum((items != PADDING).sum(axis=1), 1.0))
    weights = _array(again.weight)[0]
    logits = asked @ weights[:-1] + lengths * weights[-1] + _array(again.bias)
    return Voices(
        gates=asked @ _array(gate.weight).T
        + (_array(gate.bias) + _array(experts.trust + experts.lift[int(repeats)])),
        own=None if experts.own is None else experts.own.logs(items, ages),
        pair=None if experts.pair is None else experts.pair.logs(items[:, :WINDOW], ages),
        again=1 / (1 + np.exp(-logits)),
        items=items,
    )


def context_of(histories: Histories, starts: Ints, stops: Ints, at: Ints | None) -> Context:
    """Gather the newest own events before questions.

    Args:
        histories: Of all users.
        starts: [n] absolute position of each history's first event.
        stops: [n] absolute position behind the newest event that may be used.
        at: [n] microseconds to which ages are counted; None: to the newest event of each.
    """
    lengths = np.minimum(stops - starts, OWN_WINDOW)
    places = ragged_positions(stops - lengths, lengths)
    rows = np.repeat(np.arange(len(stops)), lengths)
    ago = np.repeat(stops, lengths) - 1 - places
    items = np.full((len(stops), OWN_WINDOW), PADDING, np.int64)
    ages = np.zeros((len(stops), OWN_WINDOW), np.float32)
    if at is None:
        at = histories.times[np.maximum(stops - 1, 0)] if histories.n_events else stops
    items[rows, ago] = histories.items[places]
    ages[rows, ago] = np.maximum(at[rows] - histories.times[places], 0) / 1e6
    return Context(torch.from_numpy(items), torch.from_numpy(ages))


def context_from(items: Ints, times: Ints, at: int | None) -> Context:
    """Tell how old the newest own events are.

    Args:
        items: [n, `OWN_WINDOW`] newest first, `PADDING` where there is none.
        times: [n, `OWN_WINDOW`] microseconds.
        at: To which ages are counted; None: to the newest event of each.
    """
    newest = times[:, :1] if at is None else at
    ages = np.where(items == PADDING, 0, np.maximum(newest - times, 0)) / 1e6
    return Context(torch.from_numpy(items), torch.from_numpy(ages.astype(np.float32)))


def _array(tensor: Tensor) -> npt.NDArray[Any]:  # a view, where the tensor lies on the CPU
    found: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return found
