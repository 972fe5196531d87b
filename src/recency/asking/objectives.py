"""Objectives: rank by what is wanted of an item, not by what comes next alone.

    score = log P(the next event is on the item) + log sum over types t of w_t P(t | user, item)

The first part is what the list is ranked by without an objective, the second what heads of type
tell (`recency.TypeHead`). So an item that is looked at by many and bought by none stands below one
that fewer look at and most of them buy.
"""

import numpy as np
import torch

from recency.asking.selection import Weights
from recency.data.histories import Ints
from recency.data.vocab import Id
from recency.errors import ConfigError, raise_all
from recency.live.live_model import LiveModel
from recency.live.told import told
from recency.nn.type_head import TypeHead
from recency.ranking.pool import Pool

_MOST = 1_000  # items a list that are weighed; the others are not given
_LEAST = 1e-9


def weigh_by_objective(
    pool: Pool, objective: Weights, live: object, who: list[Id | None], at: int
) -> None:
    """Multiply the chances of candidates by what an objective says they are worth.

    Args:
        pool: Candidates of n lists; all but the best of each are refused.
        objective: Event types and weights.
        live: What is asked; an ensemble has no heads.
        who: [n] users; None for somebody without a name, answered for by the item alone.
        at: Microseconds.

    Raises:
        ConfigError: what is asked has no head for a type.
    """
    heads = heads_for(live, objective)
    assert isinstance(live, LiveModel)
    users = live.vocabs.users
    rows = np.array([-1 if one is None else users.row(users.coerce(one)) for one in who], np.int64)
    items, scores = pool.best(min(_MOST, pool.scores.shape[1]))
    there = (items >= 0) & np.isfinite(scores)
    asked, columns = np.repeat(rows, there.sum(1)), items[there]
    worth = np.zeros(len(columns))
    for head, weight in heads:
        worth += weight * _chances(live, head, asked, columns, at)
    logs = np.log(np.maximum(worth, _LEAST)).astype(np.float32)
    ends = np.concatenate(([0], np.cumsum(there.sum(1))))
    _keep_only(pool, items, there)
    for row in range(len(rows)):
        part = slice(ends[row], ends[row + 1])
        if ends[row] < ends[row + 1]:
            pool.weigh_row(row, columns[part], logs[part])


def _keep_only(
    pool: Pool, items: Ints, there: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> None:
    """Refuse the items of each list that are not weighed."""
    kept = [row[mask] for row, mask in zip(items, there, strict=True)]
    for row, own in enumerate(kept):
        columns = np.arange(pool.scores.shape[1]) if pool.items is None else pool.items[row]
        pool.scores[row, ~np.isin(columns, own)] = -np.inf


def heads_for(live: object, objective: Weights) -> list[tuple[TypeHead, float]]:
    """Find the head of each type of an objective.

    Raises:
        ConfigError: there is none for some; all of them together.
    """
    if not isinstance(live, LiveModel):
        raise ConfigError("objective: an ensemble has no heads; ask one of its models.")
    known = {
        "|".join(one.event_types): one for one in live.model.heads if isinstance(one, TypeHead)
    }
    faults = [
        f"objective: the model has no head for events of type {name!r}, found "
        f"{', '.join(known) or 'none'}; fit one with heads=[TypeHead({name!r})]."
        for name, _ in objective
        if name not in known
    ]
    raise_all(faults, ConfigError)
    return [(known[name], weight) for name, weight in objective]


@torch.no_grad()
def _chances(
    live: LiveModel, head: TypeHead, users: Ints, items: Ints, at: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    read = told(live, head, users, items, np.full(len(users), at))
    found = head.chances(read.outputs, read.vectors, read.facts)
    return found.double().cpu().numpy()
