"""Shrinkage: how far a segment may differ from everybody, chosen on what came last.

What people alike take tells much in one log and nothing in another, where a segment's counts are
mere noise. So it is chosen as the fallback's half-life is: users who began in the newest part of
the log are asked about at their first event, from what came before it, with each candidate. The
one with the best NDCG@10 is taken if it is better than everybody's counts by more than chance would
have it (twice the standard error of the paired difference); else there are no segments.
"""

import math
from collections.abc import Sequence

import numpy as np

from recency.data.histories import Histories, Ints
from recency.live.segments import Codes, Segments
from recency.ranking.metrics import ndcg
from recency.ranking.ranks import Floats, Ranks, count_above

CANDIDATES = (math.inf, 30_000.0, 10_000.0, 3_000.0, 1_000.0, 300.0, 100.0)
_NEWEST = 0.2  # share of the events after which a user counts as new
_FIRST = 5  # events of each
_MOST = 300  # users
_FEWEST = 20  # a choice on fewer would be luck


def best_shrinkage(
    histories: Histories, half_life: float, codes: Codes, places: Sequence[int]
) -> float:
    """Choose the shrinkage whose segments rank first events of new users best.

    Args:
        histories: What is learned from; nothing else is looked at.
        half_life: Of the counts, seconds.
        codes: As of `Segments`.
        places: As of `Segments`.

    Returns:
        One of `CANDIDATES`; infinite, which is no segments, where there are too few users to
        choose on.
    """
    users = _newcomers(histories)
    if len(users) < _FEWEST:
        return math.inf
    order = np.argsort(histories.times, kind="stable")
    who, items, times = histories.user_of[order], histories.items[order], histories.times[order]
    segments = [Segments(half_life, codes, places, one) for one in CANDIDATES]
    gains = np.zeros((len(users), len(CANDIDATES)))
    done, n_items = 0, int(items.max()) + 1
    for row, user in enumerate(users.tolist()):
        start, at = int(histories.offsets[user]), int(histories.times[histories.offsets[user]])
        stop = int(np.searchsorted(times, at))
        end = min(start + _FIRST, int(histories.offsets[user + 1]))
        wanted = histories.items[start:end].astype(np.int64)
        for place, one in enumerate(segments):
            one.add(who[done:stop], items[done:stop], times[done:stop])
            gains[row, place] = _gain(one.scores(np.array([user]), at, n_items), wanted)
        done = stop
    best = int(np.argmax(gains.mean(axis=0)))
    better = gains[:, best] - gains[:, 0]
    sure = better.mean() > 2 * better.std() / math.sqrt(len(users))
    return CANDIDATES[best if sure else 0]


def _newcomers(histories: Histories) -> Ints:
    """List users who began in the newest part of the log, in the order in which they did."""
    some = np.flatnonzero(histories.lengths > 0)
    if not len(some):
        return some
    first = histories.times[histories.offsets[some]]
    cut = np.quantile(histories.times, 1 - _NEWEST)
    late = np.flatnonzero(first >= cut)
    late = late[np.argsort(first[late], kind="stable")]
    if len(late) > _MOST:
        late = late[np.linspace(0, len(late) - 1, _MOST).astype(np.int64)]
    return some[late]


def _gain(scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]], wanted: Ints) -> float:
    """Give the mean NDCG@10 of wanted items, each the one target of its own question."""
    wanted = wanted[wanted >= 0]
    if not len(wanted):
        return 0.0
    above, level = count_above(scores, np.zeros(len(wanted), np.int64), wanted)
    found: Floats = ndcg(Ranks.from_counts(above, level, np.arange(len(wanted)), len(wanted)), 10)
    return float(found.mean())
