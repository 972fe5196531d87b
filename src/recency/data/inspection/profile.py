"""Profile: the arrays behind an inspection, and the small distributions that are drawn of them.

Everything is one pass over flat arrays; no Python object per user or event.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.log import Log
from recency.units import DAY, SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MINUTE, _HOUR = 60 * SECOND, 3_600 * SECOND
_STEPS = (
    *(SECOND, 10 * SECOND, _MINUTE, 10 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, DAY, 7 * DAY),
    *(30 * DAY, 91 * DAY, 365 * DAY, 3_653 * DAY),
)
# Units in which times may be whole, the coarsest first.
UNITS = {
    "day": DAY,
    "hour": _HOUR,
    "minute": _MINUTE,
    "second": SECOND,
    "millisecond": 1_000,
    "microsecond": 1,
}
_COUNTED_GAPS = 1_000_000
_MOST_STEPS = 150
_MOST_POINTS = 400  # of the popularity curve


@dataclass(frozen=True)
class Distributions:
    """Hold what is drawn of a log; all arrays are small.

    Attributes:
        step: Width of a bin of ``over_time``, microseconds.
        time_edges: Start of each bin, microseconds since 1970 UTC.
        over_time: Events in each bin.
        gap_edges: Borders of ``gaps``, seconds, on a logarithmic scale.
        gaps: Gaps between events of one user that are longer than 0, in each bin.
        n_ties: Gaps of 0.
        length_edges: Borders of ``lengths``, events.
        lengths: Users in each bin of history length.
        ranks: Popularity ranks of items, 1 = the most popular, evenly spaced on a log scale.
        popularity: Events of the item at each rank.
        by_hour: [7, 24] events by weekday (Monday first) and hour, local to ``time_zone``.
        time_zone: IANA zone of ``by_hour``.
        age_edges: Ages in seconds, on a logarithmic scale.
        ages: Share of the events on items no older than each age; an item's first event is age 0.
    """

    step: int
    time_edges: Ints
    over_time: Ints
    gap_edges: Floats
    gaps: Ints
    n_ties: int
    length_edges: Floats
    lengths: Ints
    ranks: Ints
    popularity: Ints
    by_hour: Ints
    time_zone: str
    age_edges: Floats
    ages: Floats


class Profile:
    """Give the events of a log as arrays, in time order and grouped by user."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.user_ids, self.users = _number(log.events["user_id"])
        item_ids, self.items = _number(log.events["item_id"])
        self.n_users, self.n_items = len(self.user_ids), len(item_ids)
        self.n_events = log.n_events
        self.times: Ints = log.times
        self.order = _stable_order(self.users)
        self.by_user_users = self.users[self.order]
        self.by_user_times = self.times[self.order]

    @cached_property
    def lengths(self) -> Ints:
        """Give the number of events of each user."""
        return np.bincount(self.users, minlength=self.n_users)

    @cached_property
    def item_counts(self) -> Ints:
        """Give the number of events of each item."""
        return np.bincount(self.items, minlength=self.n_items)

    @cached_property
    def same_user(self) -> Mask:
        """Mark, grouped by user, each event but the first whose predecessor is the user's own."""
        return np.equal(self.by_user_users[1:], self.by_user_users[:-1])

    @cached_property
    def gaps(self) -> Ints:
        """Give the gaps between consecutive events of one user, microseconds."""
        return np.diff(self.by_user_times)[self.same_user]

    @cached_property
    def tied(self) -> Mask:
        """Mark, grouped by user, the events that share their instant with another of the user."""
        same = self.same_user & (np.diff(self.by_user_times) == 0)
        tied = np.zeros(self.n_events, dtype=bool)
        tied[1:] |= same
        tied[:-1] |= same
        return tied

    @cached_property
    def first_of_item(self) -> Ints:
        """Give the position, in time order, of each item's first event."""
        return _first(self.items, self.n_items)

    @cached_property
    def first_of_user(self) -> Ints:
        """Give the position, in time order, of each user's first event."""
        return _first(self.users, self.n_users)

    @cached_property
    def resolution(self) -> str:
        """Name the coarsest unit that divides the distance of 99.9 % of the times to the first."""
        since = self.times - self.times[0]
        if since[-1] == 0:
            return "unknown"
        return next(name for name, unit in UNITS.items() if (since % unit == 0).mean() >= 0.999)

    @cached_property
    def day_starts(self) -> Ints:
        """Give the positions, grouped by user, of the first event of each user and UTC day."""
        changes = ~self.same_user | (np.diff(self.by_user_times // DAY) != 0)
        return np.flatnonzero(np.append(True, changes))

    @cached_property
    def day_counts(self) -> Ints:
        """Give the number of events of each user and UTC day that has any."""
        return np.diff(np.append(self.day_starts, self.n_events))

    @cached_property
    def busiest_day(self) -> Ints:
        """Give each user's largest number of events on one UTC day."""
        busiest = np.zeros(self.n_users, dtype=np.int64)
        np.maximum.at(busiest, self.by_user_users[self.day_starts], self.day_counts)
        return busiest

    def commonest_gap(self) -> tuple[int, float]:
        """Give the commonest gap longer than 0, microseconds, and its share of all gaps.

        Gaps of a million units of the clock and more are too long to be common.
        """
        unit = UNITS.get(self.resolution, 1)
        counts = np.bincount(self.gaps[self.gaps < _COUNTED_GAPS * unit] // unit)
        if len(counts) < 2:
            return 0, 0.0
        commonest = int(counts[1:].argmax()) + 1
        return commonest * unit, float(counts[commonest] / len(self.gaps))

    def n_pairs(self) -> int:
        """Count the different pairs of user and item."""
        return pl.Series(self.users * self.n_items + self.items).n_unique()

    def n_duplicates(self) -> int:
        """Count the events with the same user, item, time and type as an earlier one."""
        rows = pl.Series(np.sort(self.order[self.tied]))
        if not len(rows):
            return 0
        same = ["user_id", "item_id", "timestamp"]
        same += ["event_type"] if self.log.has("event_type") else []
        tied = self.log.events.select(pl.col(same).gather(rows))
        return tied.height - tied.n_unique()

    def distributions(self, time_zone: str) -> Distributions:
        """Count everything that is drawn."""
        step, time_edges, over_time = self._over_time()
        gaps = self.gaps[self.gaps > 0]
        unit = UNITS.get(self.resolution, 1) / SECOND
        gap_edges, gap_counts = _log_histogram(gaps / SECOND, 48, unit)
        length_edges, lengths = _log_histogram(self.lengths.astype(float), 32, 1.0)
        counts = np.sort(self.item_counts)[::-1]
        ranks = np.unique(np.geomspace(1, len(counts), _MOST_POINTS).astype(np.int64))
        age_edges, ages = self._ages()
        return Distributions(
            step=step,
            time_edges=time_edges,
            over_time=over_time,
            gap_edges=gap_edges,
            gaps=gap_counts,
            n_ties=len(self.gaps) - len(gaps),
            length_edges=length_edges,
            lengths=lengths,
            ranks=ranks,
            popularity=counts[ranks - 1],
            by_hour=self._by_hour(time_zone),
            time_zone=time_zone,
            age_edges=age_edges,
            ages=ages,
        )

    def _over_time(self) -> tuple[int, Ints, Ints]:
        span = int(self.times[-1] - self.times[0])
        step = next((one for one in _STEPS if span // one < _MOST_STEPS), _STEPS[-1])
        bins = self.times // step
        counts = np.bincount(bins - bins[0])
        return step, (bins[0] + np.arange(len(counts))) * step, counts

    def _by_hour(self, time_zone: str) -> Ints:
        local = self.log.events["timestamp"]
        if time_zone != "UTC":
            local = local.dt.convert_time_zone(time_zone).dt.replace_time_zone(None)
        # 1970-01-01 was a Thursday, three days after a Monday.
        hours = (local.to_physical().to_numpy() // _HOUR + 72) % 168
        return np.bincount(hours, minlength=168).reshape(7, 24)

    def _ages(self) -> tuple[Floats, Floats]:
        ages = (self.times - self.times[self.first_of_item][self.items]) / SECOND
        edges = np.geomspace(1.0, max(float(ages.max()), 60.0), 200)
        counts, _ = np.histogram(np.log10(np.maximum(ages, 1e-6)), bins=np.log10(edges))
        young = int((ages < 1.0).sum())
        return edges, np.append(young, young + np.cumsum(counts)) / self.n_events


def quantiles(values: Ints | Floats, at: tuple[float, ...]) -> dict[str, float]:
    """Give quantiles by name, such as ``{"0.5": 6.0}``; an empty array has none."""
    if not len(values):
        return {}
    ordered = np.sort(values)  # once for all quantiles
    places = np.array(at) * (len(ordered) - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, len(ordered) - 1)
    found = ordered[below] + (places - below) * (ordered[above] - ordered[below])
    return {f"{q:g}": float(value) for q, value in zip(at, found, strict=True)}


def _number(ids: pl.Series) -> tuple[pl.Series, Ints]:
    """Give the different ids, in the order of first appearance, and the row of each id."""
    different = ids.unique(maintain_order=True)
    table = pl.DataFrame({"id": different, "row": np.arange(len(different), dtype=np.int64)})
    rows = ids.to_frame("id").join(table, on="id", how="left", maintain_order="left")
    return different, rows["row"].to_numpy()


def _stable_order(rows: Ints) -> Ints:
    """Sort rows, keeping the order of equal ones: a radix sort of 16 bits at a time.

    NumPy sorts 16-bit integers by radix, which is three times as fast here as its merge sort.
    """
    order = np.argsort(rows.astype(np.uint16), kind="stable")
    shift = 16
    while int(rows.max(initial=0)) >> shift:
        part = (rows >> shift).astype(np.uint16)
        order = order[np.argsort(part[order], kind="stable")]
        shift += 16
    return order


def _first(rows: Ints, n_rows: int) -> Ints:
    first = np.empty(n_rows, dtype=np.int64)
    positions = np.arange(len(rows))
    first[rows[::-1]] = positions[::-1]  # the last write stays: the smallest position
    return first


def _log_histogram(values: Floats, n_bins: int, unit: float) -> tuple[Floats, Ints]:
    """Count values in bins that widen evenly on a log scale, none narrower than the unit.

    Narrower bins would show gaps that come from the resolution of the clock, not from people.
    """
    if not len(values):
        return np.array([1.0, 10.0]), np.zeros(1, dtype=np.int64)
    low, high = max(1.0, float(values.min()) // unit), float(values.max()) // unit + 1
    edges = np.unique(np.floor(np.geomspace(low, high + 1, n_bins + 1)))
    counts, _ = np.histogram(values, bins=(edges - 0.5) * unit)
    return (edges - 0.5) * unit, counts
