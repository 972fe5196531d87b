"""Faithfulness: whether what an explanation says counts is what counts, measured.

Deletion leaves events out one after another, what is said to count most first, and looks at the
share of the item's chance that is left: the sooner it falls, the truer the order. Insertion begins
with nothing and puts them back. Areas under both curves are those of Petsiuk, Das and Saenko, RISE,
BMVC 2018, section 4.3. Two orders need no explanation and stand beside: the newest event first, and
random.

Some event is always left, since a history without any is answered by what is popular.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.histories import Ints
from recency.data.vocab import Id
from recency.errors import DataError
from recency.explaining.contributions import Contributions, Method, contributions
from recency.explaining.what_if import WhatIf
from recency.recommender import SequenceRecommender
from recency.units import Instant

Doubles = npt.NDArray[np.float64]
FEWEST = 5  # events of a question, below which an order says little


@dataclass(frozen=True)
class Areas:
    """Hold how one order fares on one question.

    Attributes:
        deletion: Area under the share of the chance left, in [0, about 1]; less is truer.
        insertion: Area under the share of the chance reached; more is truer.
        fall: Mean fall of the log-probability along the deletion, in nats; more is truer.
    """

    deletion: float
    insertion: float
    fall: float


def areas(asked: WhatIf, item: int, order: Ints) -> Areas:
    """Measure one order of the newest n events.

    Args:
        asked: The question, with two events or more.
        item: Row.
        order: [n] places of the events, oldest 0, what counts most first.
    """
    n = asked.n
    gone = np.zeros((n, n), bool)  # a row a step; the last event stays
    for step, place in enumerate(order[:-1].tolist(), start=1):
        gone[step:, place] = True
    logs, _ = asked.logs_of(np.concatenate((~gone, gone[1:])), item)
    falling = logs[:n] - logs[0]
    rising = np.append(logs[n:], logs[0]) - logs[0]
    return Areas(_area(np.exp(falling)), _area(np.exp(rising)), float(-falling[1:].mean()))


def _area(curve: Doubles) -> float:
    """Give the area under a curve over [0, 1], by straight lines."""
    return float(np.trapezoid(curve) / (len(curve) - 1))


def faithfulness(
    model: SequenceRecommender,
    users: Sequence[Id],
    at: Instant | None = None,
    *,
    methods: Sequence[Method] = ("leave_one_out", "in_turn", "gradients"),
    window: int = 30,
    seed: int = 0,
) -> pl.DataFrame:
    """Measure explanations of the first item of users' lists.

    Args:
        model: Fitted.
        users: Ids.
        at: Instant of the questions; None: just after the newest event known.
        methods: As of `recency.explain`.
        window: Newest events that are looked at.
        seed: Of the random order.

    Returns:
        One row a question and order (a method, ``recency`` or ``random``): ``user_id``,
        ``n_events``, ``order``, ``deletion``, ``insertion``, ``fall`` (see `Areas`), and
        ``rank_correlation``, Spearman's, with what leaving out one event each finds; null for
        orders that are no method, and where all events bring the same. Questions of fewer than
        `FEWEST` events are left out.

    Raises:
        DataError: no question has as many events.
    """
    random = np.random.default_rng(seed)
    rows = []
    when = model.instant(at)
    for user in users:
        row = model.users.rows([model.users.coerce(user)])
        asked = WhatIf(model.live, model.live.seen(row, when), when, window)
        if asked.n < FEWEST:
            continue
        item = int(asked.logs(asked.all)[0].argmax())
        found: dict[str, Contributions] = {
            name: contributions(asked, item, name) for name in methods
        }
        alone = contributions(asked, item, "leave_one_out").parts
        for name, order in _orders(found, asked.n, random).items():
            rows.append(
                {"user_id": user, "n_events": asked.n, "order": name}
                | vars(areas(asked, item, order))
                | {"rank_correlation": _correlation(found.get(name), alone)}
            )
    if not rows:
        raise DataError(f"expected questions with {FEWEST} events or more, found none.")
    return pl.DataFrame(rows, schema_overrides={"rank_correlation": pl.Float64})


def _orders(
    found: Mapping[str, Contributions], n: int, random: np.random.Generator
) -> dict[str, Ints]:
    """Order events by each method, and by the two that need none."""
    orders = {name: one.order for name, one in found.items()}
    return orders | {"recency": np.arange(n)[::-1], "random": random.permutation(n)}


def _correlation(found: Contributions | None, alone: Doubles) -> float | None:
    """Compare with leaving out one event each, by ranks."""
    if found is None:
        return None
    from scipy.stats import rankdata

    both = np.stack([rankdata(found.parts), rankdata(alone)])
    if np.ptp(both, axis=1).min() == 0:
        return None
    return float(np.corrcoef(both)[0, 1])
