"""The visitors of a synthetic shop: who they are, when they come, and what for."""

from dataclasses import dataclass

import numpy as np

from recency.data.synthetic.assortment import Assortment, Floats, Ints
from recency.units import DAY, SECOND

N_ANCHORS = 4
N_STAPLES = 2
LONGEST_VISIT = 12  # events
LONGEST_PAUSE = 290.0  # seconds between two events of a visit
# A visit lasts less than LONGEST_VISIT * LONGEST_PAUSE, so visits this far apart cannot overlap.
VISIT_SPACING = 3_600 * SECOND
WEEKDAY_RATE = np.array([0.85, 0.8, 0.85, 0.95, 1.1, 1.35, 1.3])
# Share of the visits that start in each hour (UTC): quiet nights, a lunch peak, a long evening.
HOUR_RATE = np.array(
    [3, 2, 1, 1, 1, 2, 4, 7, 9, 9, 9, 10, 13, 11, 9, 9, 10, 12, 15, 18, 19, 16, 11, 6], float
)


@dataclass(frozen=True)
class Users:
    """Hold what each user is like; every array has one row a user.

    Attributes:
        taste: Tastes over the categories at evenly spaced anchors,
            ``[n_users, anchors, categories]``.
        joined, left: Days of the log between which the user visits.
        n_visits: How many visits were drawn (those too close to another one are left out).
        staples: Items bought again and again, ``[n_users, staples]``, -1 for none.
        period, phase: Every how many days each staple falls due, and from which day on.
    """

    taste: Floats
    joined: Floats
    left: Floats
    n_visits: Ints
    staples: Ints
    period: Floats
    phase: Floats

    def taste_on(self, user: Ints, day: Floats, n_days: int) -> Floats:
        """Give tastes at days of the log; rows sum to 1.

        Args:
            user: Rows of users.
            day: Day of the log, fractions allowed.
            n_days: Length of the log.
        """
        place = day / n_days * (self.taste.shape[1] - 1)
        anchor = np.clip(place.astype(np.int64), 0, self.taste.shape[1] - 2)
        share = (place - anchor)[:, None]
        taste: Floats = (1 - share) * self.taste[user, anchor] + share * self.taste[
            user, anchor + 1
        ]
        return taste


@dataclass(frozen=True)
class Visits:
    """Hold the visits, sorted by user and start.

    Attributes:
        start: Instant of day 0, microseconds UTC.
        user: Row of the visitor.
        begin: Instant of the first event, microseconds UTC.
        length: Number of events.
        intent: The theme the visit is about.
        due: The staple that is due at this visit, -1 for none.
    """

    start: int
    user: Ints
    begin: Ints
    length: Ints
    intent: Ints
    due: Ints


def draw_users(
    n_users: int,
    days: int,
    events_per_user: float,
    assortment: Assortment,
    rng: np.random.Generator,
) -> Users:
    """Draw users: tastes that drift, days of joining and leaving, and things they keep buying."""
    n_categories = len(assortment.shelf_start) - 1
    fresh = rng.dirichlet(np.full(n_categories, 0.3), (n_users, N_ANCHORS))
    taste = fresh.copy()
    for i in range(1, N_ANCHORS):
        taste[:, i] = 0.45 * taste[:, i - 1] + 0.55 * fresh[:, i]
    joined = np.where(rng.random(n_users) < 0.65, 0.0, rng.uniform(0, 0.97 * days, n_users))
    left = np.where(rng.random(n_users) < 0.75, days, joined + rng.exponential(days / 2, n_users))
    pool = np.flatnonzero(assortment.staple)
    staples = np.full((n_users, N_STAPLES), -1)
    if len(pool):
        staples = rng.choice(pool, (n_users, N_STAPLES))
    eagerness = rng.lognormal(-0.3, 0.75, n_users)
    stay = (np.minimum(left, days) - joined) / days
    # 5.4 events a visit; users who join late or leave early make fewer, hence the 1.35.
    n_visits = rng.poisson(eagerness * stay * events_per_user / 5.4 * 1.35)
    return Users(
        taste=taste,
        joined=joined,
        left=np.minimum(left, days),
        n_visits=np.maximum(n_visits, 1),
        staples=staples,
        period=rng.uniform(12.0, 45.0, (n_users, N_STAPLES)),
        phase=rng.uniform(0.0, 45.0, (n_users, N_STAPLES)),
    )


def draw_visits(
    users: Users, assortment: Assortment, start: int, days: int, rng: np.random.Generator
) -> tuple[Visits, Ints]:
    """Draw the visits, and the times of their events ``[n, LONGEST_VISIT]``; -1 past their end."""
    user = np.repeat(np.arange(len(users.joined)), users.n_visits)
    begin = start + _starts(users.joined[user], users.left[user], start, days, rng)
    order = np.lexsort((begin, user))
    user, begin = user[order], begin[order]
    apart = np.ones(len(user), bool)
    apart[1:] = (np.diff(begin) >= VISIT_SPACING) | (np.diff(user) != 0)
    user, begin = user[apart], begin[apart]
    length = np.minimum(rng.geometric(1 / 6.5, len(user)), LONGEST_VISIT)
    pause = np.clip(rng.lognormal(np.log(42.0), 0.9, (len(user), LONGEST_VISIT)), 2, LONGEST_PAUSE)
    pause[:, 0] = 0
    times = begin[:, None] + (np.cumsum(pause, axis=1) * 1_000).astype(np.int64) * 1_000
    day = (begin - start) / DAY
    visits = Visits(
        start=start,
        user=user,
        begin=begin,
        length=length,
        intent=_intents(users, assortment, user, begin, day, rng),
        due=_due(users, user, day),
    )
    live = (np.arange(LONGEST_VISIT) < length[:, None]) & (times < start + days * DAY)
    return visits, np.where(live, times, -1)


def _starts(joined: Floats, left: Floats, start: int, days: int, rng: np.random.Generator) -> Ints:
    """Draw when visits start, microseconds after ``start``, by the cycles of week and day."""
    hours = start // (3_600 * SECOND) + np.arange(days * 24)
    rate = HOUR_RATE[hours % 24] * WEEKDAY_RATE[(hours // 24 + 3) % 7]  # 1970-01-01: a Thursday
    passed = np.concatenate([[0.0], np.cumsum(rate)])
    edges = np.arange(len(passed), dtype=float)
    low, high = np.interp(joined * 24, edges, passed), np.interp(left * 24, edges, passed)
    hour = np.interp(low + (high - low) * rng.random(len(joined)), passed, edges)
    # Whole milliseconds, as many real logs have them; always before the end.
    milliseconds = np.minimum(hour * 3_600_000, days * 86_400_000 - 1).astype(np.int64)
    starts: Ints = milliseconds * 1_000
    return starts


def _intents(
    users: Users,
    assortment: Assortment,
    user: Ints,
    begin: Ints,
    day: Floats,
    rng: np.random.Generator,
) -> Ints:
    odds = assortment.theme_odds(users.taste_on(user, day, assortment.n_days), begin)
    reached = np.cumsum(odds, axis=1)
    draw = rng.random(len(user)) * reached[:, -1]
    intents: Ints = np.minimum((reached <= draw[:, None]).sum(axis=1), odds.shape[1] - 1)
    return intents


def _due(users: Users, user: Ints, day: Floats) -> Ints:
    """Give the staple that fell due since the user's visit before, -1 where none did."""
    rounds = np.floor((day[:, None] - users.phase[user]) / users.period[user])
    due = np.zeros(rounds.shape, bool)
    due[1:] = (rounds[1:] > rounds[:-1]) & (user[1:] == user[:-1])[:, None]
    due &= users.staples[user] >= 0
    first = due.argmax(axis=1)
    return np.where(due.any(axis=1), users.staples[user, first], -1)
