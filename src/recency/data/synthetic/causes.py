"""Logs in which one thing alone decides the next item: when, in which order, or long ago.

Each is fair to a model in two ways. What does not decide tells nothing, but where said otherwise:
without the cause, the best guess is right no more often than stated. And what decides happened
*before* the question, so that the instant of the question is not needed.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from recency.data.log import Log
from recency.data.synthetic.assortment import Ints
from recency.data.synthetic.small import End, check_counts, numbered_log
from recency.errors import ConfigError, raise_all
from recency.units import DAY, SECOND, parse_instant

Cause = Literal["gap", "hour", "week", "rhythm"]
WEEK = 7 * DAY
_SHORTEST, _LONGEST = 60 * SECOND, 30 * DAY  # between them lie the gaps of by="gap"
_MONDAY = 4 * DAY  # 1970-01-05 was a Monday


def timed(
    by: Cause,
    n_users: int = 64,
    n_items: int = 4,
    length: int = 32,
    seed: int = 0,
    *,
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which the time of the event before alone decides the item.

    The item after an event is the number of the part in which the event fell:

    - ``"gap"``: its gap, one minute to 30 days in ``n_items`` parts of equal ratio;
    - ``"hour"``: the hour of the day (UTC), the day in equal parts;
    - ``"week"``: the time of the week from Monday (UTC), the week in equal parts;
    - ``"rhythm"``: the time of the user's own week, which begins with the user's first event.

    Parts are drawn evenly and independently, and times keep to the middle half of their part. From
    a user's third event on, a model that reads the cause can be right always; from items alone it
    is right once in ``n_items`` times. By hour and week, events are one to three days or weeks
    apart, give or take one; who reads gaps can then tell a little, since a gap tells how far the
    hour has moved on since the event before.

    Args:
        by: What decides.
        n_users: Number of users.
        n_items: Number of items and of parts.
        length: Events of each user.
        seed: Same seed, same log.
        end: Every event happens strictly before this instant.
    """
    clocks: dict[Cause, Callable[[Ints, int, np.random.Generator], Ints]] = {
        "gap": _by_gap,
        "hour": lambda part, n, rng: _by_phase(part, n, rng, DAY),
        "week": lambda part, n, rng: _by_phase(part, n, rng, WEEK),
        "rhythm": lambda part, n, rng: _by_phase(part, n, rng, WEEK),
    }
    faults = [] if by in clocks else [f"expected by of {', '.join(clocks)}; found {by!r}."]
    raise_all(faults, ConfigError)
    check_counts(n_users=n_users, n_items=n_items, length=length)
    rng = np.random.default_rng(seed)
    part = rng.integers(0, n_items, (n_users, length))
    first = rng.integers(0, n_items, (n_users, 1))
    times = clocks[by](part, n_items, rng)
    if by == "rhythm":
        times[:, 0] -= times[:, 0] % WEEK
    if by in ("gap", "rhythm"):  # the calendar must not tell
        times += rng.integers(0, WEEK, (n_users, 1))
    return _log(np.hstack((first, part[:, :-1])), times, end)


def paired(
    n_users: int = 64,
    n_items: int = 5,
    length: int = 32,
    seed: int = 0,
    *,
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which the two items before decide together, and neither does alone.

    The next item is the last one plus twice the one before it, plus 1, modulo ``n_items``. From a
    user's third event on, a model that reads both in their order can be right always; from one of
    them it is right once in ``n_items`` times (an odd ``n_items`` makes this exact).

    Args:
        n_users: Number of users; each starts with two random items.
        n_items: Number of items.
        length: Events of each user, an hour apart on average.
        seed: Same seed, same log.
        end: Every event happens strictly before this instant.
    """
    check_counts(n_users=n_users, n_items=n_items, length=length)
    rng = np.random.default_rng(seed)
    items = rng.integers(0, n_items, (n_users, length))
    for at in range(2, length):
        items[:, at] = (items[:, at - 1] + 2 * items[:, at - 2] + 1) % n_items
    return _log(items, _hourly(items.shape, rng), end)


def chosen(
    n_users: int = 64,
    n_items: int = 8,
    rounds: int = 10,
    seed: int = 0,
    *,
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which a gap chooses which of two items comes again.

    Events come in threes: two different random items, then one of them again, the later one if the
    gap between the two was long (days), the earlier one if it was short (minutes). Every third
    event can be told: always with the gap, once in two times from items and their order alone. The
    others cannot.

    Args:
        n_users: Number of users.
        n_items: Number of items, at least 2.
        rounds: Threes of events of each user.
        seed: Same seed, same log.
        end: Every event happens strictly before this instant.
    """
    check_counts(n_users=n_users, rounds=rounds)
    raise_all(
        [] if n_items > 1 else [f"expected n_items of 2 or more, found {n_items}."], ConfigError
    )
    rng = np.random.default_rng(seed)
    long = rng.integers(0, 2, (n_users, 3 * rounds))
    early = rng.integers(0, n_items, (n_users, rounds))
    late = (early + rng.integers(1, n_items, early.shape)) % n_items
    again = np.where(long[:, 1::3], late, early)
    times = _by_gap(long, 2, rng) + rng.integers(0, WEEK, (n_users, 1))
    return _log(np.stack((early, late, again), axis=2).reshape(long.shape), times, end)


def recalled(
    n_users: int = 64,
    n_items: int = 4,
    lag: int = 200,
    seed: int = 0,
    *,
    fillers: int = 2,
    end: End = "2026-03-01",
) -> Log:
    """Make a log in which an item comes again exactly ``lag`` events later, whatever lies between.

    A user's first item is one of ``i0`` to ``i{n-1}``. Then come ``fillers`` other items at random,
    then a cue, the item of the last number, then the first item again, which ends the history. Only
    this last event can be told: always by who remembers the first, once in ``n_items`` times by
    others. All cues come at one instant, so that training can be told to learn from what is later.

    Args:
        n_users: Number of users.
        n_items: Number of items to remember.
        lag: Events from an item to its return, at least 2.
        seed: Same seed, same log.
        fillers: Number of items that fill the time between, ``i{n}`` on.
        end: Every event happens strictly before this instant.
    """
    check_counts(n_users=n_users, n_items=n_items, fillers=fillers)
    raise_all([] if lag > 1 else [f"expected lag of 2 or more, found {lag}."], ConfigError)
    rng = np.random.default_rng(seed)
    items = rng.integers(n_items, n_items + fillers, (n_users, lag + 1))
    items[:, -2] = n_items + fillers
    items[:, 0] = items[:, -1] = rng.integers(0, n_items, n_users)
    times = _hourly(items.shape, rng)
    return _log(items, times - times[:, -2:-1], end)


def _by_gap(part: Ints, n_parts: int, rng: np.random.Generator) -> Ints:
    place = (part + rng.uniform(0.25, 0.75, part.shape)) / n_parts
    gaps = _SHORTEST * (_LONGEST / _SHORTEST) ** place
    gaps[:, 0] = 0.0
    return np.cumsum(gaps.astype(np.int64), axis=1)


def _by_phase(part: Ints, n_parts: int, rng: np.random.Generator, period: int) -> Ints:
    turns = np.cumsum(rng.integers(1, 4, part.shape), axis=1)
    place = (part + rng.uniform(0.25, 0.75, part.shape)) / n_parts
    return turns * period + (place * period).astype(np.int64)


def _hourly(shape: tuple[int, ...], rng: np.random.Generator) -> Ints:
    gaps = rng.exponential(3_600 * SECOND, shape).astype(np.int64)
    return np.cumsum(gaps + SECOND, axis=1)


def _log(items: Ints, times: Ints, end: End) -> Log:
    """Move relative times to whole weeks before the end, Monday on Monday."""
    last = parse_instant(end) - 1 - int(times.max()) - _MONDAY
    user = np.repeat(np.arange(len(items)), items.shape[1])
    return numbered_log(user, items.ravel(), times.ravel() + last // WEEK * WEEK + _MONDAY)
