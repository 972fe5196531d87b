"""Tastes: what a user's values so far say of an item, by a few factors that items have.

Factors of items are fitted to training values; those of a user are never kept, but solved for from
what the user gave strictly before the instant, so that a user of today is known as well as one of
training:

    p_u = (sum over j of q_j q_j' + k I)^-1 sum over j of q_j e_uj        said of item i: p_u q_i

with e the deviation of a value from what user and item would give without taste. Fitted by turns
(alternating least squares): Hu, Koren and Volinsky, Collaborative filtering for implicit feedback
datasets, ICDM 2008, section 4, for values that were given.
"""

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Tally

RANK = 8
_HELD = 6.0  # squares held down
_TURNS = 12
_SIDES = np.triu_indices(RANK)


def fit_factors(users: Ints, items: Ints, wrong: Doubles, n_items: int) -> npt.NDArray[np.float32]:
    """Fit factors [n_items, RANK] of items to deviations [n]; items without any have zeros."""
    q = np.random.default_rng(0).normal(0, 0.3, (n_items, RANK))
    for _ in range(_TURNS):
        p = _solved_for(users, q[items], wrong, int(users.max(initial=-1)) + 1)
        q = _solved_for(items, p[users], wrong, n_items)
    return q.astype(np.float32)


def tastes_before(
    factors: Doubles, given: tuple[Ints, Ints, Ints, Doubles], users: Ints, items: Ints, at: Ints
) -> Doubles:
    """Say what users' values strictly before instants tell of items.

    Args:
        factors: [n_items, RANK].
        given: Users, items, microseconds and deviations of events, [n] each.
        users: [m] asked about.
        items: [m] asked about; below 0 or beyond the factors nothing is known.
        at: [m] microseconds.

    Returns:
        [m] deviations.
    """
    whose, what, when, wrong = given
    asked = np.isin(whose, users)
    whose, what, when, wrong = whose[asked], what[asked], when[asked], wrong[asked]
    read = _rows(factors, what)
    amounts = np.concatenate((_products(read), read * wrong[:, None]), axis=1)
    _, sums = Tally(whose, when, amounts).before(users, at)
    own = _own(sums)
    found: Doubles = (own * _rows(factors, items)).sum(1)
    return found


def _own(sums: Doubles) -> Doubles:
    bends = np.zeros((len(sums), RANK, RANK))
    n = len(_SIDES[0])
    bends[:, _SIDES[0], _SIDES[1]] = sums[:, :n]
    bends[:, _SIDES[1], _SIDES[0]] = sums[:, :n]
    bends += _HELD * np.eye(RANK)
    solved: Doubles = np.linalg.solve(bends, sums[:, n:, None])[..., 0].astype(np.float64)
    return solved


def _solved_for(keys: Ints, read: Doubles, wrong: Doubles, n: int) -> Doubles:
    amounts = np.concatenate((_products(read), read * wrong[:, None]), axis=1)
    order = np.argsort(keys, kind="stable")
    sums = np.concatenate((np.zeros((1, amounts.shape[1])), np.cumsum(amounts[order], axis=0)))
    ends = np.cumsum(np.bincount(keys, minlength=n))
    return _own(sums[ends] - sums[np.concatenate(([0], ends[:-1]))])


def _products(read: Doubles) -> Doubles:
    return read[:, _SIDES[0]] * read[:, _SIDES[1]]


def _rows(factors: Doubles, items: Ints) -> Doubles:
    known = (items >= 0) & (items < len(factors))
    found = np.zeros((len(items), RANK))
    found[known] = factors[items[known]]
    return found
