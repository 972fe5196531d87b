"""Hand-made features of recency and count: what a careful engineer would give a classifier.

Every number is counted strictly before the instant of its question (`benchmarks.heads.tally`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.heads.tally import Tally

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HOUR, DAY = 3_600, 86_400


@dataclass(frozen=True)
class Events:
    """Hold the events of a log in the order of time.

    Attributes:
        users: [n] rows.
        items: [n] rows.
        times: [n] seconds since 1970.
        kinds: [n] names of event types.
        amounts: [n] such as money; ones where there is none.
        lines: [n] lines of an order; ones where events are no orders.
    """

    users: Ints
    items: Ints
    times: Ints
    kinds: npt.NDArray[np.str_]
    amounts: Floats
    lines: Floats

    def before(self, at: int) -> "Events":
        """Keep what came before an instant."""
        stop = int(np.searchsorted(self.times, at))
        return self.of(slice(0, stop))

    def of(self, which: slice | npt.NDArray[np.bool_]) -> "Events":
        """Keep some events."""
        return Events(
            self.users[which],
            self.items[which],
            self.times[which],
            self.kinds[which],
            self.amounts[which],
            self.lines[which],
        )


def of_impressions(
    events: Events, users: Ints, items: Ints, at: Ints, good: tuple[str, ...], prior: float
) -> tuple[list[str], Floats]:
    """Describe users about to see items.

    Args:
        events: Of the whole log; each question sees those before it.
        users: [m] rows.
        items: [m] rows.
        at: [m] seconds since 1970.
        good: Event types that are wished for.
        prior: Share of views that are liked, as known by the cut; rates are drawn towards it.

    Returns:
        Names, and [m, n_features] with NaN for what never happened.
    """
    columns: dict[str, Floats] = {}
    wished, seen = np.isin(events.kinds, good), events.kinds == "VIEW"
    for who, keys, asked in (("user", events.users, users), ("item", events.items, items)):
        views = Tally.of(keys[seen], events.times[seen])
        likes = Tally.of(keys[wished], events.times[wished])
        every = Tally.of(keys, events.times)
        for label, window in (("", None), (" 1h", HOUR), (" 1d", DAY), (" 7d", 7 * DAY)):
            columns[f"{who} views{label}"] = views.count(asked, at, window)
            columns[f"{who} likes{label}"] = likes.count(asked, at, window)
        columns[f"{who} events"] = every.count(asked, at)
        columns[f"{who} since last"] = every.since_last(asked, at)
        columns[f"{who} since last like"] = likes.since_last(asked, at)
        columns[f"{who} age"] = every.since_first(asked, at)
    columns |= _rates(columns, prior)
    columns |= _clock(at)
    return list(columns), np.stack(list(columns.values()), axis=1)


def of_customers(purchases: Events, users: Ints, at: Ints) -> tuple[list[str], Floats]:
    """Describe customers at an instant: recency, frequency, money, and how they changed.

    Args:
        purchases: Orders, with their lines and what they were worth.
        users: [m] rows.
        at: [m] seconds since 1970.

    Returns:
        Names, and [m, n_features] with NaN for what never happened.
    """
    orders = Tally.of(purchases.users, purchases.times)
    lines = Tally.of(purchases.users, purchases.times, purchases.lines)
    money = Tally.of(purchases.users, purchases.times, purchases.amounts)
    columns: dict[str, Floats] = {}
    for label, window in (
        ("", None), (" 7d", 7 * DAY), (" 30d", 30 * DAY), (" 60d", 60 * DAY),
        (" 90d", 90 * DAY), (" 180d", 180 * DAY), (" 365d", 365 * DAY),
    ):  # fmt: skip
        columns[f"orders{label}"] = orders.count(users, at, window)
        columns[f"lines{label}"] = lines.total(users, at, window)
        columns[f"money{label}"] = money.total(users, at, window)
    columns["since last"] = orders.since_last(users, at)
    columns["age"] = orders.since_first(users, at)
    span = columns["age"] - columns["since last"]
    columns["mean gap"] = span / np.maximum(columns["orders"] - 1, 1)
    columns["gaps since"] = columns["since last"] / np.maximum(columns["mean gap"], DAY)
    # The same weeks of the year before: many shops live by the calendar.
    year_ago = at - 365 * DAY
    columns["orders a year ago"] = orders.count(users, year_ago + 30 * DAY, 30 * DAY)
    columns["watched"] = (at - purchases.times[0]).astype(np.float64)
    return list(columns), np.stack(list(columns.values()), axis=1)


def _rates(columns: dict[str, Floats], prior: float) -> dict[str, Floats]:
    """Give the share of likes among views, drawn towards all users' share."""
    found = {}
    for who in ("user", "item"):
        for label in ("", " 7d"):
            likes, views = columns[f"{who} likes{label}"], columns[f"{who} views{label}"]
            found[f"{who} rate{label}"] = (likes + 5 * prior) / (views + 5)
    return found


def _clock(at: Ints) -> dict[str, Floats]:
    hour = 2 * np.pi * (at % DAY) / DAY
    day = 2 * np.pi * ((at // DAY) % 7) / 7
    return {
        "hour sin": np.sin(hour),
        "hour cos": np.cos(hour),
        "day sin": np.sin(day),
        "day cos": np.cos(day),
    }
