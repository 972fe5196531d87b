"""Small logs with a known answer: a cycle, pure noise, items bound to weekday or hour."""

from datetime import date, datetime
from typing import Literal

import numpy as np
import polars as pl

from recency.data.log import TIME, Log
from recency.data.synthetic.assortment import Ints
from recency.errors import ConfigError, raise_all
from recency.units import DAY, SECOND, parse_duration, parse_instant

End = str | datetime | date | int


def cycle(
    n_users: int = 50,
    n_items: int = 5,
    length: int = 20,
    seed: int = 0,
    *,
    gap: str | float = "1h",
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which item 0 is followed by item 1, and so on round: the last item tells all.

    Args:
        n_users: Number of users; each starts at a random item and a random instant of one gap.
        n_items: Number of items, ``i0`` to ``i{n-1}``.
        length: Events of each user.
        seed: Same seed, same log.
        gap: Time between two events of a user.
        end: Every event happens strictly before this instant.
    """
    check_counts(n_users=n_users, n_items=n_items, length=length)
    rng = np.random.default_rng(seed)
    step = int(parse_duration(gap) * SECOND)
    user = np.repeat(np.arange(n_users), length)
    place = np.tile(np.arange(length), n_users)
    items = (rng.integers(0, n_items, n_users)[user] + place) % n_items
    offset = rng.integers(0, max(step, 1), n_users)[user]
    return numbered_log(user, items, parse_instant(end) - 1 - offset - step * (length - 1 - place))


def noise(
    n_users: int = 50,
    n_items: int = 20,
    n_events: int = 1_000,
    seed: int = 0,
    *,
    days: int = 30,
    end: End = "2026-03-01",
) -> Log:
    """Make a log of evenly drawn users, items and times: nothing can be learned from it."""
    check_counts(n_users=n_users, n_items=n_items, n_events=n_events, days=days)
    rng = np.random.default_rng(seed)
    user, items = rng.integers(0, n_users, n_events), rng.integers(0, n_items, n_events)
    return numbered_log(
        user, items, parse_instant(end) - days * DAY + rng.integers(0, days * DAY, n_events)
    )


def periodic(
    n_users: int = 50,
    n_items: int = 7,
    weeks: int = 8,
    seed: int = 0,
    *,
    by: Literal["weekday", "hour"] = "weekday",
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which the calendar alone tells the item.

    Each user has one event on about two days of three, at a random instant of the day (UTC). By
    weekday, Monday's item is ``i0``, Tuesday's ``i1``, modulo ``n_items``; by hour, the day is cut
    into ``n_items`` equal parts. Skipped days keep the item before from telling the next.
    """
    faults = (
        [] if by in ("weekday", "hour") else [f"expected by='weekday' or 'hour', found {by!r}."]
    )
    raise_all(faults, ConfigError)
    check_counts(n_users=n_users, n_items=n_items, weeks=weeks)
    rng = np.random.default_rng(seed)
    user, day = np.nonzero(rng.random((n_users, weeks * 7)) < 2 / 3)
    last_day = (parse_instant(end) - 1) // DAY - 1  # the last whole day before the end
    times = (last_day - day) * DAY + rng.integers(0, DAY, len(day))
    weekday = (times // DAY + 3) % 7  # 1970-01-01 was a Thursday
    items = weekday % n_items if by == "weekday" else times % DAY * n_items // DAY
    return numbered_log(user, items, times)


def check_counts(**counts: int) -> None:
    """Refuse counts below 1, all together."""
    raise_all(
        [f"expected {name} of 1 or more, found {n}." for name, n in counts.items() if n < 1],
        ConfigError,
    )


def numbered_log(user: Ints, items: Ints, times: Ints) -> Log:
    """Make a log of user ``u3`` and item ``i5`` from numbers, and times in microseconds."""
    frame = pl.DataFrame(
        {
            "user_id": "u" + pl.Series(user).cast(pl.String),
            "item_id": "i" + pl.Series(items).cast(pl.String),
            "timestamp": pl.Series(times).cast(TIME),
        }
    )
    return Log.from_frame(frame)
