"""What a basket teaches: the items that it held, and a few of all those that it did not.

For each basket as many items are drawn as `N_DRAWN` says: some by how often training had them, so
that the head learns to tell them apart, and some from what the user had before, which is what is
hardest to tell. All that the basket held stay. An item that it did not hold is then there with a
chance r that is known, and among what is there the odds of holding are higher by 1 / r than in the
whole catalogue. So -log r is added to the logits where the head learns, and nowhere else: the
correction of logQ (Bengio and Senecal 2003), for a sum of binary losses.
"""

from dataclasses import dataclass

import numpy as np

from recency.data.histories import Ints
from recency.data.tallies import Doubles, Ledger, Tally
from recency.nn.basket_facts import Lines

N_DRAWN, N_OWN = 24, 16  # items drawn a basket: of all, and of what the user had before
MOST = 400_000  # lessons: of more baskets an even share is asked about
_POWER = 0.75  # of counts, by which items are drawn
_LEAST = 1e-9


@dataclass(frozen=True)
class Draws:
    """List what is learned from baskets: which items they held, and which drawn ones they did not.

    Attributes:
        keys: [n] ascending places of the event before each basket.
        users: [n].
        items: [n].
        at: [n] when the basket began, microseconds.
        held: [n] 1 where the basket held the item, else 0.
        log_r: [n] logarithm of the chance that the item is there though the basket did not hold it.
    """

    keys: Ints
    users: Ints
    items: Ints
    at: Ints
    held: Doubles
    log_r: Doubles

    @classmethod
    def of(cls, ledger: Ledger, lines: Lines, baskets: Ints, rng: np.random.Generator) -> "Draws":
        """Draw for some baskets, ascending, each with an event of its user before it."""
        starts, n_items = lines.baskets.starts[baskets], ledger.n_items
        place = np.full(len(lines.baskets), -1)
        place[baskets] = np.arange(len(baskets))
        of_line = place[lines.baskets.of[lines.places]]
        lined = lines.places[of_line >= 0]
        held = of_line[of_line >= 0] * n_items + ledger.items[lined]
        chances = _chances(ledger)
        drawn_by, drawn = _drawn(ledger, starts, chances, rng)
        cells = np.unique(np.concatenate((held, drawn_by * n_items + drawn)))
        asked, items = np.divmod(cells, n_items)
        own = np.isin(cells, held)
        users, at = ledger.users[starts][asked], ledger.times[starts][asked]
        pairs = Tally(
            ledger.pairs(ledger.users, ledger.items), ledger.times, np.ones(len(ledger.users))
        )
        before = (starts - ledger.histories.offsets[ledger.users[starts]])[asked]
        share = pairs.before(ledger.pairs(users, items), at)[0] / before
        missed = (1 - chances[items]) ** N_DRAWN * (1 - share) ** N_OWN
        return cls(
            keys=starts[asked] - 1,
            users=users,
            items=items,
            at=at,
            held=own.astype(np.float64),
            log_r=np.log(np.maximum(1 - missed, _LEAST)),
        )


def _drawn(
    ledger: Ledger, starts: Ints, chances: Doubles, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Draw items for baskets that begin at places: which basket, and which item."""
    n, ends = len(starts), np.cumsum(chances)
    every = np.searchsorted(ends, rng.random(n * N_DRAWN) * ends[-1], side="right")
    begin = ledger.histories.offsets[ledger.users[starts]]
    room = np.repeat(starts - begin, N_OWN)
    own = np.repeat(begin, N_OWN) + (rng.random(n * N_OWN) * room).astype(np.int64)
    items = np.concatenate((np.minimum(every, len(ends) - 1), ledger.items[own]))
    by = np.concatenate((np.repeat(np.arange(n), N_DRAWN), np.repeat(np.arange(n), N_OWN)))
    return by[items >= 0], items[items >= 0]


def asked_about(ledger: Ledger, lines: Lines, sources: Ints, gap: float) -> Ints:
    """List the baskets [n], ascending, that follow some events and are over by now.

    Args:
        ledger: Everything that may be known.
        lines: Of it.
        sources: Places of events.
        gap: Of baskets, seconds.
    """
    after = np.unique(sources) + 1
    after = after[(after > 0) & (after < len(ledger.users))]
    baskets = lines.baskets.of[after]
    begins = lines.baskets.starts[baskets] == after
    same = ledger.users[after] == ledger.users[after - 1]
    over = ledger.times[after] + round(gap * 1e6) < ledger.until
    filled = np.isin(baskets, lines.baskets.of[lines.places])
    found: Ints = baskets[begins & same & over & filled]
    return found


def fewer(ledger: Ledger, lines: Lines, baskets: Ints, most: int = MOST) -> Ints:
    """Keep as many baskets, evenly over time, as make at most so many lessons."""
    sizes = np.bincount(lines.baskets.of[lines.places], minlength=len(lines.baskets))[baskets]
    wanted = int(sizes.sum()) + len(baskets) * (N_DRAWN + N_OWN)
    if wanted <= most:
        return baskets
    order = np.argsort(ledger.times[lines.baskets.starts[baskets]], kind="stable")
    n = max(1, round(len(baskets) * most / wanted))
    return np.sort(baskets[order[np.linspace(0, len(order) - 1, n).round().astype(np.int64)]])


def _chances(ledger: Ledger) -> Doubles:
    """Give the chance [n_items] with which each draw takes each item."""
    known = (ledger.items >= 0) & (ledger.times < ledger.until)
    counts = np.bincount(ledger.items[known], minlength=ledger.n_items).astype(np.float64)
    powers: Doubles = counts**_POWER
    found: Doubles = powers / max(powers.sum(), 1.0)
    return found
