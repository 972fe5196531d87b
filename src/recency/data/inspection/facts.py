"""Inspection: what is in a log, and what in it will mislead.

Decisions: facts first, then warnings in full sentences, each with its number, so that a reader can
judge whether it matters. Nothing is changed; `recency.data.cleaning` does that, on request.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recency.data.inspection.profile import Distributions, Profile, quantiles
from recency.data.log import OPTIONAL, Log
from recency.errors import DataError
from recency.units import SECOND, Instant, parse_instant

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_EARLY = parse_instant("1990-01-01")
_MOST_NAMED = 12  # event types, domains


@dataclass(frozen=True)
class Counts:
    """Count what is there.

    Attributes:
        events, users, items: Different ones.
        event_types, domains: The commonest with their events; empty without such a column.
        missing: Optional column to number of events without a value in it.
    """

    events: int
    users: int
    items: int
    event_types: dict[str, int]
    domains: dict[str, int]
    missing: dict[str, int]


@dataclass(frozen=True)
class TimeFacts:
    """Tell when things happen.

    Attributes:
        start, end: First event and the instant just after the last, microseconds since 1970 UTC.
        resolution: The coarsest unit in which (nearly) all times are whole.
        n_early: Events before 1990.
        n_future: Events at or after the stated present; None where none was stated.
        tail_seconds: How long the last thousandth of the events takes.
    """

    start: int
    end: int
    resolution: str
    n_early: int
    n_future: int | None
    tail_seconds: float


@dataclass(frozen=True)
class HistoryFacts:
    """Tell about the events of one user.

    Attributes:
        lengths: Quantiles of the number of events a user, and the maximum.
        gaps: Quantiles of the seconds between two consecutive events of a user.
        commonest_gap: The gap longer than 0 that occurs most, seconds; 0 where there is none.
        commonest_gap_share: Its share of all gaps.
        one_event_users: Share of users with a single event.
        tied_events: Share of events that share their instant with another of the same user.
        repeats: Share of events on an item that the user has had before.
    """

    lengths: dict[str, float]
    gaps: dict[str, float]
    commonest_gap: float
    commonest_gap_share: float
    one_event_users: float
    tied_events: float
    repeats: float


@dataclass(frozen=True)
class ItemFacts:
    """Tell about items.

    Attributes:
        top_share: Share of the events on the most popular hundredth of the items (at least one).
        one_event_items: Share of items with a single event.
        new_per_month: Month to number of items whose first event is in it.
    """

    top_share: float
    one_event_items: float
    new_per_month: dict[str, int]


@dataclass(frozen=True)
class AfterCut:
    """Tell what a split at the 0.9 quantile would be asked about.

    Attributes:
        cut: The instant, microseconds since 1970 UTC.
        n_events: Events at or after it.
        n_users: Users with such an event.
        unseen_items: Share of these events on items without an event before the cut.
        unseen_users: Share of these users without an event before the cut.
    """

    cut: int
    n_events: int
    n_users: int
    unseen_items: float
    unseen_users: float


@dataclass(frozen=True)
class Outlier:
    """Name a user with far more events than the others.

    Attributes:
        user_id: The user.
        events: Events in all.
        busiest_day: Events on the user's busiest UTC day.
    """

    user_id: int | str
    events: int
    busiest_day: int


@dataclass(frozen=True)
class Suspicions:
    """Count what looks wrong.

    Attributes:
        n_duplicates: Events with the same user, item, time and type as an earlier one.
        n_repeated_event_ids: Events whose ``event_id`` an earlier one has.
        n_outliers: Users with ten times the 99 % quantile of events, in all or on one day.
        outlier_events: Share of the events that are theirs.
        outliers: The five largest of them.
    """

    n_duplicates: int
    n_repeated_event_ids: int
    n_outliers: int
    outlier_events: float
    outliers: tuple[Outlier, ...]


@dataclass(frozen=True)
class Inspection:
    """Hold what `inspect` found; ``print`` it, or `picture` it.

    Attributes:
        counts, times, histories, items, after_cut, suspicions: The facts.
        warnings: What will mislead, one sentence each.
        distributions: What is drawn.
    """

    counts: Counts
    times: TimeFacts
    histories: HistoryFacts
    items: ItemFacts
    after_cut: AfterCut
    suspicions: Suspicions
    warnings: tuple[str, ...]
    distributions: Distributions = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Give facts and warnings as plain values, ready for JSON; shares lie in [0, 1]."""
        parts = ("counts", "times", "histories", "items", "after_cut", "suspicions")
        plain: dict[str, Any] = {name: asdict(getattr(self, name)) for name in parts}
        return plain | {"warnings": list(self.warnings)}

    def picture(self, path: str | Path, title: str = "") -> Path:
        """Draw six panels and save them as PNG, or as one HTML page with the text.

        Args:
            path: Ends in ``.png``, ``.svg`` or ``.html``.
            title: Stands above the panels, such as the name of the log.

        Raises:
            ConfigError: another suffix.
        """
        from recency.data.inspection.picture import save_picture  # matplotlib is slow to import

        return save_picture(self, Path(path), title)

    def __str__(self) -> str:
        from recency.data.inspection.findings import describe

        return describe(self)


def inspect(log: Log, *, now: Instant | None = None, time_zone: str = "UTC") -> Inspection:
    """Look at a log: counts, times, histories, items, and what will mislead.

    Args:
        log: Any log with events.
        now: The present, to find events in the future; None does not look for them.
        time_zone: IANA zone in which hours and weekdays are counted.

    Raises:
        DataError: the log is empty.
    """
    from recency.data.inspection.findings import warn_of

    if not log.n_events:
        raise DataError("an empty log cannot be inspected; read a log with at least one event.")
    profile = Profile(log)
    facts = Inspection(
        counts=_counts(profile),
        times=_times(profile, now),
        histories=_histories(profile),
        items=_items(profile),
        after_cut=_after_cut(profile),
        suspicions=_suspicions(profile),
        warnings=(),
        distributions=profile.distributions(time_zone),
    )
    return replace(facts, warnings=warn_of(facts))


def _counts(profile: Profile) -> Counts:
    log = profile.log
    optional = [name for name in OPTIONAL if log.has(name)]
    missing = {name: log.events[name].null_count() for name in optional}
    return Counts(
        events=profile.n_events,
        users=profile.n_users,
        items=profile.n_items,
        event_types=_commonest(log, "event_type"),
        domains=_commonest(log, "domain"),
        missing={name: n for name, n in missing.items() if n},
    )


def _commonest(log: Log, column: str) -> dict[str, int]:
    if not log.has(column):
        return {}
    counts = log.events[column].drop_nulls().value_counts(sort=True).head(_MOST_NAMED)
    return dict(counts.iter_rows())


def _times(profile: Profile, now: Instant | None) -> TimeFacts:
    times = profile.times
    late = times[min(int(0.999 * len(times)), len(times) - 1)]
    n_future = None
    if now is not None:
        n_future = len(times) - int(np.searchsorted(times, parse_instant(now)))
    return TimeFacts(
        start=profile.log.start,
        end=profile.log.end,
        resolution=profile.resolution,
        n_early=int(np.searchsorted(times, _EARLY)),
        n_future=n_future,
        tail_seconds=float(times[-1] - late) / SECOND,
    )


def _histories(profile: Profile) -> HistoryFacts:
    lengths = quantiles(profile.lengths, QUANTILES)
    gap, gap_share = profile.commonest_gap()
    return HistoryFacts(
        lengths={**lengths, "max": float(profile.lengths.max())},
        gaps=quantiles(profile.gaps / SECOND, QUANTILES),
        commonest_gap=gap / SECOND,
        commonest_gap_share=gap_share,
        one_event_users=float((profile.lengths == 1).mean()),
        tied_events=float(profile.tied.mean()),
        repeats=1 - profile.n_pairs() / profile.n_events,
    )


def _items(profile: Profile) -> ItemFacts:
    counts = np.sort(profile.item_counts)[::-1]
    top = max(1, len(counts) // 100)
    first = profile.log.events["timestamp"].gather(np.sort(profile.first_of_item))
    months = first.dt.strftime("%Y-%m").value_counts().sort("timestamp")
    return ItemFacts(
        top_share=float(counts[:top].sum() / profile.n_events),
        one_event_items=float((counts == 1).mean()),
        new_per_month=dict(months.iter_rows()),
    )


def _after_cut(profile: Profile) -> AfterCut:
    cut = profile.log.quantile(0.9)
    position = int(np.searchsorted(profile.times, cut))
    users = np.unique(profile.users[position:])
    return AfterCut(
        cut=cut,
        n_events=profile.n_events - position,
        n_users=len(users),
        unseen_items=float((profile.first_of_item[profile.items[position:]] >= position).mean()),
        unseen_users=float((profile.first_of_user[users] >= position).mean()),
    )


def _suspicions(profile: Profile) -> Suspicions:
    most = max(1_000.0, 10 * float(np.quantile(profile.lengths, 0.99)))
    most_a_day = max(200.0, 10 * float(np.quantile(profile.day_counts, 0.99)))
    rows = np.flatnonzero((profile.lengths > most) | (profile.busiest_day > most_a_day))
    largest = rows[np.argsort(-profile.lengths[rows], kind="stable")][:5]
    repeated = 0
    if profile.log.has("event_id"):
        present = profile.log.events["event_id"].drop_nulls()
        repeated = len(present) - present.n_unique()
    return Suspicions(
        n_duplicates=profile.n_duplicates(),
        n_repeated_event_ids=repeated,
        n_outliers=len(rows),
        outlier_events=float(profile.lengths[rows].sum() / profile.n_events),
        outliers=tuple(
            Outlier(
                profile.user_ids[int(row)],
                int(profile.lengths[row]),
                int(profile.busiest_day[row]),
            )
            for row in largest
        ),
    )
