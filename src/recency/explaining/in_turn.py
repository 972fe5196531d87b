"""In turn: leave items out one after another, always the one that then counts most.

Left out one at a time, two events that say the same seem not to count: each stands in for the
other. People view an article, like it and come back to it, so all events on one item go together;
and what a second item says as well counts once the first is gone. So this order is the one for
"what would have to go, for the item to go".
"""

import numpy as np
import numpy.typing as npt

from recency.data.histories import Ints
from recency.explaining.what_if import WhatIf

Doubles = npt.NDArray[np.float64]


def by_turns(asked: WhatIf, item: int) -> tuple[Doubles, Ints, Ints]:
    """Give what each of the newest n events takes with it, oldest first, and the item's rank then.

    For m items among the events it asks m * m / 2 times, in m batches.

    Args:
        asked: The question.
        item: Row.

    Returns:
        [n] nats, those of one item's events in equal parts; [n] the item's rank after these and all
        that went before are gone; and [n] the events in the order of going.
    """
    places = np.arange(asked.n)
    items = asked.history.items[asked.first :]
    keys = np.where(items < 0, -1 - places, items)  # of unknown items it is not known which
    left = [np.flatnonzero(keys == key)[::-1] for key in dict.fromkeys(keys.tolist())]
    kept = asked.all
    now = float(asked.logs_of(kept, item)[0][0])
    parts, ranks, order = np.zeros(asked.n), np.zeros(asked.n, np.int64), []
    while left:
        variants = np.repeat(kept, len(left), axis=0)
        for row, events in enumerate(left):
            variants[row, events] = False
        logs, found = asked.logs_of(variants, item)
        worst = int(logs.argmin())
        gone = left.pop(worst)
        parts[gone], ranks[gone] = (now - logs[worst]) / len(gone), found[worst]
        now, kept[0, gone] = float(logs[worst]), False
        order.append(gone)
    return parts, ranks, np.concatenate(order)
