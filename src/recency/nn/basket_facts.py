"""What is counted for a basket: of the user, of the item, and of the two together.

What people put into baskets is mostly what they put into them before, and what others do lately: on
many public logs such counts alone are hard to beat (Li et al., A next basket recommendation reality
check, TOIS 2023, arXiv 2109.14233). So the base of the head reads them: how often and how lately in
baskets and in days, how large baskets are, and how an item sells over several spans.

The three kinds stand apart, since only a user's own items are anything to the user: to ask about a
whole catalogue costs a look at each item, and one at each own item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recency.data.baskets import Baskets
from recency.data.histories import PADDING, Ints
from recency.data.tallies import DAY, YEAR, Doubles, Ledger, Tally, clocks, sized, waited

SPANS = (7 * DAY, 30 * DAY, 90 * DAY)
N_PEOPLE, N_THINGS, N_PAIRS, N_MIXED = 11, 7, 14, 4
N_FACTS = N_PEOPLE + N_THINGS + N_PAIRS + N_MIXED
SIZE, SHARE = 0, N_PEOPLE  # columns: the logarithms of a basket's size, and of an item's share
_LATE_SHARE = SHARE + 2  # of thirty days
_LAST = (1, 2, 4, 8, 16)  # baskets looked back on
_OTHERS = 1.0  # baskets of everybody that one's own are mixed with
_DRAWN = 2.0  # baskets of the mean size that a user's own are drawn in by
_AHEAD = 30 * DAY  # of a year ago


class Lines:
    """Count the lines of baskets: an item counts once in each.

    Args:
        ledger: Holds all events of the users asked about.
        gap: Of baskets, seconds.
        mean: Lines a basket that users are drawn towards.
    """

    def __init__(self, ledger: Ledger, gap: float, mean: float) -> None:
        self._ledger, self._mean = ledger, mean
        self.baskets = Baskets.of_histories(ledger.histories, gap)
        self.places = self.baskets.lines(ledger.items)

    @cached_property
    def _by_user(self) -> tuple[Tally, Tally]:
        """Give tallies of baskets by their beginning, and of lines."""
        ledger, starts = self._ledger, self.baskets.starts
        return (
            Tally(ledger.users[starts], ledger.times[starts], np.ones(len(starts))),
            Tally(ledger.users[self.places], ledger.times[self.places], np.ones(len(self.places))),
        )

    @cached_property
    def _by_pair(self) -> tuple[Tally, Tally]:
        """Give tallies of lines by time, and by the number of their basket in place of time."""
        ledger, places = self._ledger, self.places
        keys, ones = ledger.pairs(ledger.users[places], ledger.items[places]), np.ones(len(places))
        numbers = self.baskets.number[self.baskets.of[places]]
        return Tally(keys, ledger.times[places], ones), Tally(keys, numbers, ones)

    def counts(self, users: Ints, at: Ints) -> tuple[Doubles, Doubles]:
        """Count baskets [n] and lines [n] of users strictly before instants."""
        baskets, lines = self._by_user
        return baskets.before(users, at)[0], lines.before(users, at)[0]

    def of_pairs(self, users: Ints, items: Ints, at: Ints) -> Doubles:
        """Count the lines of pairs strictly before instants: [n]."""
        return self._by_pair[0].before(self._ledger.pairs(users, items), at)[0]

    def people(self, users: Ints, at: Ints) -> Doubles:
        """Tell how large a user's baskets are, how many, how lately, and what time it is.

        Args:
            users: [n] user rows; negative ones have no events.
            at: [n] microseconds; only what lies strictly before counts.

        Returns:
            [n, N_PEOPLE].
        """
        baskets, lines = self._by_user
        n, m = self.counts(users, at)
        mean = (m + _DRAWN * self._mean) / (n + _DRAWN)
        quarter = at - round(SPANS[-1] * 1e6)
        n_lately, m_lately = (
            every - tally.before(users, quarter)[0] for every, tally in ((n, baskets), (m, lines))
        )
        lately = (m_lately + _DRAWN * mean) / (n_lately + _DRAWN)
        since = baskets.newest(users, at)
        begun = at - np.nan_to_num(np.round(since * 1e6)).astype(np.int64)
        newest = np.where(n > 0, m - lines.before(users, begun)[0], mean)
        columns = [np.log(mean), np.log(lately), np.log(np.maximum(newest, 0.5)), sized(n)]
        columns += [sized(n_lately), waited(since), waited(baskets.oldest(users, at))]
        return np.stack([*columns, *clocks(at)], axis=1)

    def pairs(self, users: Ints, items: Ints, at: Ints) -> Doubles:
        """Tell how often and how lately users had items: [n, N_PAIRS]; see `people`."""
        by_time, by_number = self._by_pair
        keys = self._ledger.pairs(users, np.where(items < 0, PADDING, items))
        n = self._by_user[0].before(users, at)[0]
        now = n.astype(np.int64)
        every = by_time.before(keys, at)[0]
        columns = [np.log((every + 0.1) / (n + 1.0)), sized(every)]
        columns += [every - by_number.before(keys, now - k)[0] for k in _LAST]
        columns += [sized(part[:, 0]) for part in by_time.lately(keys, at, SPANS)]
        ago = by_number.newest(keys, now) * 1e6  # baskets
        first = by_number.oldest(keys, now) * 1e6
        between = np.where(every > 1, (first - ago) / np.maximum(every - 1, 1), np.nan)
        columns += [waited(by_time.newest(keys, at)), np.nan_to_num(np.log1p(ago), nan=8.0)]
        columns += [np.nan_to_num(np.log(np.maximum(ago, 0.5) / np.maximum(between, 0.5)))]
        columns += [sized(every) * np.nan_to_num(np.log1p(ago))]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Sold:
    """Hold tallies of events: of each item, and of all together."""

    of_items: Tally
    of_all: Tally

    @classmethod
    def of(cls, items: Ints, times: Ints) -> "Sold":
        """Count events of items [n] at times [n]."""
        ones = np.ones(len(items))
        return cls(Tally(items, times, ones), Tally(np.zeros(len(items), np.int64), times, ones))


class Sales:
    """Count events of items, whoever they are of.

    Args:
        parts: What is counted, together all that may be known.
    """

    def __init__(self, parts: Sequence[Sold]) -> None:
        self._parts = parts

    def count(self, items: Ints, at: Ints) -> tuple[Doubles, Doubles]:
        """Count the events of items [n], and all events [n], strictly before instants."""
        own = sum((one.of_items.before(items, at)[0] for one in self._parts), np.zeros(len(items)))
        zeros = np.zeros(len(items), np.int64)
        every = sum((one.of_all.before(zeros, at)[0] for one in self._parts), np.zeros(len(items)))
        return own, every

    def things(self, items: Ints, at: Ints, *, yearly: bool) -> Doubles:
        """Tell how items sell: their shares ever, lately and a year ago, and since when.

        Args:
            items: [n] item rows.
            at: [n] microseconds; only what lies strictly before counts.
            yearly: Whether a year ago is known.

        Returns:
            [n, N_THINGS].
        """
        own, every = self.count(items, at)
        ever = (own + 0.5) / (every + 1.0)
        columns = [np.log(ever)]
        for span in SPANS:
            older = self.count(items, at - round(span * 1e6))
            columns.append(_share(own - older[0], every - older[1], ever))
        year = at - round(YEAR * 1e6)
        begun, ended = self.count(items, year), self.count(items, year + round(_AHEAD * 1e6))
        season = _share(ended[0] - begun[0], ended[1] - begun[1], ever)
        columns.append(float(yearly) * season)
        newest = [one.of_items.newest(items, at) for one in self._parts]
        oldest = [one.of_items.oldest(items, at) for one in self._parts]
        columns += [waited(np.fmin.reduce(newest)), waited(np.fmax.reduce(oldest))]
        return np.stack(columns, axis=1)


def _share(own: Doubles, every: Doubles, ever: Doubles) -> Doubles:
    """Give logarithms of shares of a span, drawn in by as many events as hold one of the item."""
    found: Doubles = np.log((own + 1.0) / (every + 1.0 / ever))
    return found


def mixed(people: Doubles, things: Doubles, pairs: Doubles) -> Doubles:
    """Put facts together, and add the shares of one's own baskets mixed with everybody's.

    What others take tells much of an item that the user never had, and little of one had often; an
    additive model of the two does not know that, their mixture does.

    Args:
        people: [n, N_PEOPLE], or [1, N_PEOPLE] of one user.
        things: [n, N_THINGS].
        pairs: [n, N_PAIRS].

    Returns:
        [n, N_FACTS].
    """
    users = np.broadcast_to(people, (len(things), N_PEOPLE))
    of_all = np.exp(users[:, SIZE] + things[:, _LATE_SHARE - SHARE]).clip(max=0.5)
    n, n_lately = np.expm1(users[:, 3]), np.expm1(users[:, 4])
    own = (
        (np.expm1(pairs[:, 1]), n),
        (pairs[:, 5], np.minimum(n, 8)),
        (pairs[:, 6], np.minimum(n, 16)),
        (np.expm1(pairs[:, 9]), n_lately),
    )
    shares = [np.log((had + _OTHERS * of_all) / (of + _OTHERS)) for had, of in own]
    return np.concatenate((users, things, pairs, np.stack(shares, axis=1)), axis=1)
