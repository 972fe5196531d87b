"""Logs with a known truth: a whole shop, and small ones whose answer is plain.

Nothing here reads the clock: a log ends at the instant it is told.
"""

from recency.data.synthetic.assortment import Assortment
from recency.data.synthetic.causes import Cause, chosen, paired, recalled, timed
from recency.data.synthetic.shop import Shop, shop
from recency.data.synthetic.small import cycle, noise, periodic
from recency.data.synthetic.truth import Truth
from recency.data.synthetic.visits import Users, Visits

__all__ = [
    "Assortment",
    "Cause",
    "Shop",
    "Truth",
    "Users",
    "Visits",
    "chosen",
    "cycle",
    "noise",
    "paired",
    "periodic",
    "recalled",
    "shop",
    "timed",
]
