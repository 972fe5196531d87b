"""The fallback's half-life: how fast popularity has to forget to tell what comes next.

Users without a history are answered with what is popular. In a shop that is a matter of weeks, in a
newsroom of minutes: with a fixed half-life one of them gets nonsense. So it is chosen on the newest
slice of what is learned from, where each candidate answers some events from what came before them:
the first events of users, which the fallback will be asked about, or any where these are few.
"""

import numpy as np

from recency.data.counts import CountTable
from recency.data.histories import Histories, Ints
from recency.data.newest import newest_n_begin
from recency.ranking.metrics import ndcg
from recency.ranking.ranks import Floats, Ranks, count_above
from recency.units import parse_duration

HALF_LIVES = ("10min", "1h", "3h", "12h", "1d", "3d", "7d", "30d", "90d", "365d")
DEFAULT = "7d"
_NEWEST = 0.1  # share of the events that it is chosen on
_ASKED = 2_000  # events of it
_CELLS = 2**31  # counts looked at
_STRANGERS = 50  # first events of users from which on they alone are asked about
_FEWEST = 20  # a choice on fewer would be luck
_K = 10


def best_half_life(histories: Histories, recent: int | None = None) -> float:
    """Choose the half-life in seconds whose popularity ranks the newest events best (NDCG@10).

    Args:
        histories: What is learned from; nothing else is looked at.
        recent: Newest events that are counted, at least; None counts all. Who had events before is
            no stranger.

    Returns:
        One of `HALF_LIVES`; `DEFAULT` where there are too few events to choose on.
    """
    seconds = np.array([parse_duration(one) for one in HALF_LIVES])
    times: Ints = histories.times
    items: Ints = histories.items.astype(np.int64)
    begins = histories.group_start == histories.offsets[histories.user_of]
    if recent is not None and len(times):
        kept = times >= newest_n_begin(times, recent)
        times, items, begins = times[kept], items[kept], begins[kept]
    order = np.argsort(times, kind="stable")
    times, items, begins = times[order], items[order], begins[order]
    first = int((1 - _NEWEST) * len(times))
    asked = first + np.flatnonzero(items[first:] >= 0)
    if len(asked) < _FEWEST:
        return parse_duration(DEFAULT)
    strangers = asked[begins[asked]]
    asked = strangers if len(strangers) >= _STRANGERS else asked
    most = min(_ASKED, max(1, _CELLS // (len(seconds) * (int(items.max()) + 1))))
    evenly = np.linspace(0, len(asked) - 1, min(most, len(asked)))
    asked = asked[np.unique(evenly.astype(np.int64))]
    counts = _counted(seconds, times, items, asked)
    places = np.arange(len(asked))
    gains = [
        ndcg(Ranks.from_counts(greater, at_least, places, len(asked)), _K).mean()
        for greater, at_least in counts
    ]
    return float(seconds[int(np.argmax(gains))])


def _counted(half_lives: Floats, times: Ints, items: Ints, asked: Ints) -> Ints:
    """Count, for each half-life and event asked about, who stands above it and level: [h, 2, n]."""
    table, n_items, done = CountTable(half_lives.tolist()), int(items.max()) + 1, 0
    rows = np.arange(len(half_lives))
    found = np.empty((len(half_lives), 2, len(asked)), np.int64)
    for place, event in enumerate(asked.tolist()):
        stop = int(np.searchsorted(times, times[event]))
        if stop > done:
            table.add(items[done:stop], times[done:stop])
            done = stop
        with np.errstate(divide="ignore"):
            scores = np.log2(table.counts(n_items)).astype(np.float32)
        above, level = count_above(scores, rows, np.full(len(rows), items[event]))
        found[:, 0, place], found[:, 1, place] = above, level
    return found
