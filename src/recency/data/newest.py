"""Newest: where the newest of many events begin, and these alone."""

from dataclasses import replace

import numpy as np

from recency.data.histories import BLOCK, Histories, Ints, Older

_BINS = 2**16


def newest_begins(times: Ints, share: float, since: int | None = None) -> int:
    """Find the instant of the first event of the newest share, without sorting or copying.

    The range that holds it is narrowed by counting events in bins, 65,536 a pass; microseconds of
    years take three passes. Only a block of the events is looked at at a time.

    Args:
        times: [n] microseconds in any order, at least one counted.
        share: Newest share in [0, 1].
        since: Count events at or after this instant only.

    Returns:
        What ``np.sort(times)[min(int((1 - share) * n), n - 1)]`` gives, in microseconds.
    """
    low = int(times.min()) if since is None else max(since, int(times.min()))
    high = int(times.max())
    rank: int | None = None
    while rank is None or high > low:
        shift = max(0, (high - low).bit_length() - (_BINS.bit_length() - 1))
        counts = np.zeros(((high - low) >> shift) + 1, np.int64)
        for start in range(0, len(times), BLOCK):
            part = times[start : start + BLOCK]
            part = part[(part >= low) & (part <= high)]
            counts += np.bincount((part - low) >> shift, minlength=len(counts))
        ends = np.cumsum(counts)
        if rank is None:
            n = int(ends[-1])
            rank = min(int((1 - share) * n), n - 1)
        place = int(np.searchsorted(ends, rank, side="right"))
        rank -= int(ends[place] - counts[place])
        low, high = low + (place << shift), min(high, low + ((place + 1) << shift) - 1)
    return low


def newest_n_begin(times: Ints, n: int) -> int:
    """Find the instant from which on the n newest events are, or all if there are fewer."""
    first = max(0, len(times) - n)
    return int(np.partition(times, first)[first])


def newest_of(histories: Histories, n: int) -> Histories:
    """Keep the newest events of all users together, at least n if there are so many; users stay.

    The others stay known as `Older`: a gate that saw the crowd's long memories begin anew with the
    newest events would learn to trust others than the ones that serve.
    """
    if histories.n_events <= n:
        return histories
    instant = newest_n_begin(histories.times, n)
    older = histories.before(instant)
    return replace(histories.since(instant), older=Older(older.items, older.times))
