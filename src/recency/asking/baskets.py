"""Baskets as people ask about them: a table of the likeliest items of users' next baskets."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recency.asking.foretelling import At, Foretelling, instants_of, rows_of_ids, single
from recency.asking.selection import check_k
from recency.data.vocab import Id
from recency.live.baskets import baskets
from recency.nn.basket_head import BasketHead
from recency.nn.heads import head_named
from recency.ranking.topk import top_k


def basket(
    model: Foretelling, users: Sequence[Id], k: int = 10, at: At | None = None
) -> pl.DataFrame:
    """Tell which items users' next baskets hold, if they began at an instant, and how many.

    Every item known by then is asked about, those that the user had before among them, and new ones
    with a vector; whether an item may be offered is not asked.

    Args:
        model: Fitted with a `recency.BasketHead`.
        users: [n] ids; strangers are answered by how items sell alone.
        k: Most items a user.
        at: Instant at which all baskets begin, or each: only events strictly before it count. None:
            just after the newest event known.

    Returns:
        Up to k rows a user, in the order asked, likeliest first: ``user_id``, ``item_id``,
        ``rank`` from 1, ``probability`` of the item to be in the basket, ``size``, the number of
        items expected in it, the same in all of a user's rows, and ``fallback``: whether the user
        had no event by then.

    Raises:
        ConfigError: the model has no such head, or k is no whole number of at least 1.
    """
    live = single(model)
    head = head_named(live.model, "basket")
    assert isinstance(head, BasketHead)
    check_k(k, len(live.vocabs.items))
    rows = rows_of_ids(live.vocabs.users, users)
    width = min(k, len(live.vocabs.items))
    items = np.full((len(rows), width), -1, np.int64)
    chances = np.zeros((len(rows), width), np.float32)
    sizes, strange = np.zeros(len(rows)), np.zeros(len(rows), bool)
    for n, one in enumerate(baskets(live, head, rows, instants_of(live, at, len(rows)))):
        scores = np.where(one.chances < 0, np.float32(-np.inf), one.chances)
        (items[n],), (chances[n],) = top_k(scores[None], width)
        sizes[n], strange[n] = one.size, one.strange
    of, place = np.nonzero(items >= 0)
    return pl.DataFrame(
        {
            "user_id": pl.Series(users, strict=False).gather(of),
            "item_id": live.vocabs.items.ids.gather(items[of, place]),
            "rank": place + 1,
            "probability": chances[of, place],
            "size": sizes[of],
            "fallback": strange[of],
        }
    )
