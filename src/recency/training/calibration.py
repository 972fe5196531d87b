"""Calibration: heads say what they would say, on the newest slice, and are set right by it.

It happens once, at the end of the search stage, with weights that never learned the slice. The
curves found go over to the weights of the refit, as the trust in experts does.
"""

import logging

import numpy as np
import torch
from torch import Tensor

from recency.data.histories import Histories, Ints
from recency.data.tallies import Ledger
from recency.nn.head import Head, Lessons
from recency.nn.inputs import Tensors
from recency.nn.model import SequenceModel
from recency.training.checkpoints import weights_of
from recency.training.head_lessons import heads_of
from recency.training.plan import Plan

_MOST = 5_000  # questions a head
_WHOLE = 1_000  # questions a head that has many answers to each
_READ = 100  # newest events that an answer is read from
_ROWS = 128
CURVES = ("curve.knots", "heard", "line", "pace", "lean", "centre")  # what calibration sets

log = logging.getLogger(__name__)


@torch.no_grad()
def settle_heads(
    model: SequenceModel, plan: Plan, best: dict[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Calibrate a model's heads on the newest slice.

    Args:
        model: Ends with these weights, if it has heads.
        plan: With a newest slice.
        best: Weights of the search stage.

    Returns:
        These weights, heads calibrated, and what could not be, in words.
    """
    assert plan.newest is not None and plan.cut is not None
    if not len(model.heads):
        return best, ()
    model.load_state_dict(best)
    model.eval()
    histories, notes = plan.everything.histories, []
    ledger = Ledger.of(histories, model.n_items)
    later = plan.everything.positions
    later = later[histories.times[later] >= plan.cut]
    known = np.unique(histories.items[histories.times < plan.cut])
    for head in heads_of(model):
        # What is told of an item is set right by items that have weights. Waits are by all events:
        # those that seem to end with such items alone would come out too long.
        targets = plan.newest.positions if head.by == "target" else later
        lessons = head.lessons(ledger, targets, histories.group_start[targets] - 1)
        rows = np.flatnonzero(lessons.at >= plan.cut - round(head.reach * 1e6))
        if lessons.items is not None:
            rows = rows[np.isin(lessons.items[rows], known)]
        rows = _few(lessons, rows) if head.whole else _evenly(rows, _MOST)
        outputs, vectors, facts, labels = _read(model, head, lessons, rows, plan.newest.histories)
        before = torch.from_numpy(np.maximum(plan.cut - lessons.at[rows], 0) / 1e6)
        labels = torch.cat((labels, before[:, None].to(labels)), dim=1)
        if len(rows) and head.settle(outputs, vectors, facts, labels):
            continue
        notes.append(
            f"the newest slice has too little to calibrate the head {head.name!r} on "
            f"({len(rows):,} answers); what it tells is as it was learned."
        )
        log.warning(notes[-1])
    return weights_of(model), tuple(notes)


def _evenly(rows: Ints, most: int) -> Ints:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _few(lessons: Lessons, rows: Ints) -> Ints:
    """Keep all lessons of a few keys."""
    keys = _evenly(np.unique(lessons.keys[rows]), _WHOLE)
    return rows[np.isin(lessons.keys[rows], keys)]


def _read(
    model: SequenceModel, head: Head, lessons: Lessons, rows: Ints, histories: Histories
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give what a head reads for lessons, and their labels."""
    device, keys = model.bias.device, lessons.keys[rows]
    vectors = torch.zeros(len(rows), model.dim, device=device)
    if head.by == "target":
        vectors = model.vectors[torch.from_numpy(histories.items[keys].astype(np.int64)).to(device)]
        keys = histories.group_start[keys] - 1
    elif lessons.items is not None:
        vectors = model.vectors[torch.from_numpy(lessons.items[rows]).to(device)]
    facts, labels = (
        torch.from_numpy(cells[rows]).to(device) for cells in (lessons.facts, lessons.labels)
    )
    if head.whole:
        asked, place = np.unique(keys, return_inverse=True)
        outputs = outputs_after(model, histories, asked)[torch.from_numpy(place).to(device)]
    else:
        outputs = outputs_after(model, histories, keys)
    return outputs, vectors, facts, labels


def outputs_after(model: SequenceModel, histories: Histories, keys: Ints) -> Tensor:
    """Give the outputs [n, dim] after events at places ``keys`` [n] of histories."""
    begin = histories.offsets[np.searchsorted(histories.offsets, keys, side="right") - 1]
    begin = np.maximum(begin, keys + 1 - _READ)
    found = torch.zeros(len(keys), model.dim, device=model.bias.device)
    order = np.argsort(keys - begin, kind="stable")
    for start in range(0, len(order), _ROWS):
        part = order[start : start + _ROWS]
        batch = histories.gather(begin[part], keys[part] + 1)
        outputs, _ = model(Tensors.from_batch(batch, found.device))
        last = torch.from_numpy(batch.lengths - 1).to(found.device)
        found[part] = outputs[torch.arange(len(part), device=found.device), last]
    return found


def take_curves(model: SequenceModel, weights: dict[str, Tensor]) -> None:
    """Give a model's heads the curves that stand in other weights of it."""
    own = model.state_dict()
    for name, tensor in weights.items():
        if name.startswith("heads.") and name.endswith(CURVES):
            own[name].copy_(tensor)
