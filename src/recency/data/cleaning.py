"""Cleaning: taking events out of a log, on request only, and counting each one.

Decisions: what looks at a row and the user's own past (duplicates, repeats, impossible times) may
run on any log. What is decided from statistics (bots, k-core) is decided on the training log and
then applied to others, because deciding it on the whole log would tell training which users and
items have a future. Users and items that training never saw stay by default: they are cold, and
`recency.evaluate` counts them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from recency.data.log import Log
from recency.data.screens import Removal, Screen, Unseen, find_bots, k_core, keep
from recency.errors import ConfigError, DataError, raise_all
from recency.units import Instant, format_instant, parse_instant


@dataclass(frozen=True)
class CleaningConfig:
    """Say what to take out.

    Attributes:
        duplicates: Drop events with the same user, item, time and type as an earlier row, and
            those with an ``event_id`` that an earlier row has.
        repeats: Drop an event whose item is that of the user's event before.
        earliest: Drop events before this instant; None keeps all.
        latest: Drop events at or after this instant, such as the present; None keeps all.
        max_per_day: Drop users with more events than this on one UTC day.
        max_events: Drop users with more events than this in all.
        k_users: Keep users with at least this many events (k-core, together with ``k_items``).
        k_items: Keep items with at least this many events.
    """

    duplicates: bool = True
    repeats: bool = False
    earliest: Instant | None = "1990-01-01"
    latest: Instant | None = None
    max_per_day: int | None = None
    max_events: int | None = None
    k_users: int = 1
    k_items: int = 1

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("max_per_day", "max_events")}
        counts |= {"k_users": self.k_users, "k_items": self.k_items}
        raise_all(
            [
                f"expected {name} of at least 1, found {value}."
                for name, value in counts.items()
                if value is not None and value < 1
            ],
            ConfigError,
        )


@dataclass(frozen=True)
class Cleaned:
    """Hold a cleaned log, the counts, and what to apply to later logs.

    Attributes:
        log: What is left.
        removals: One count a step, in the order taken.
        screens: Decisions from statistics of this log.
        config: What was asked for.
    """

    log: Log
    removals: tuple[Removal, ...]
    screens: tuple[Screen, ...]
    config: CleaningConfig

    def apply(self, log: Log, unseen: Unseen = "keep") -> "Cleaned":
        """Clean a later log, such as the test log, by the decisions taken on this one."""
        past = self.apply(log.past, unseen).log if log.past is not None else None
        cleaned, removals = _clean_rows(Log(log.events), self.config)
        for screen in self.screens:
            cleaned, removal = screen.apply(cleaned, unseen)
            removals.append(removal)
        _require_rest(cleaned, removals)
        return Cleaned(Log(cleaned.events, past), tuple(removals), self.screens, self.config)

    def __str__(self) -> str:
        return "\n".join(str(removal) for removal in self.removals)


def clean(train: Log, config: CleaningConfig | None = None) -> Cleaned:
    """Take out what the configuration names, and count it.

    Bots and the k-core are decided from all events given, so give the training log, and use
    ``Cleaned.apply`` for the test log.

    Args:
        train: The log to clean.
        config: What to take out; None takes out duplicates and times before 1990.

    Raises:
        DataError: no event is left.
    """
    config = config or CleaningConfig()
    log, removals = _clean_rows(train, config)
    screens: list[Screen] = []
    if config.max_per_day is not None or config.max_events is not None:
        screens.append(find_bots(log, max_per_day=config.max_per_day, max_events=config.max_events))
        log, removal = screens[-1].apply(log)
        removals.append(removal)
    if config.k_users > 1 or config.k_items > 1:
        screens.append(k_core(log, k_users=config.k_users, k_items=config.k_items))
        log, removal = screens[-1].apply(log)
        removals.append(removal)
    _require_rest(log, removals)
    return Cleaned(log, tuple(removals), tuple(screens), config)


def drop_duplicates(log: Log) -> tuple[Log, Removal]:
    """Keep the first of the events with the same user, item, time and type, or the same event_id.

    Events without an ``event_id`` are only compared by the other columns.
    """
    same = [name for name in ("user_id", "item_id", "timestamp", "event_type") if log.has(name)]
    stays = pl.struct(same).is_first_distinct()
    if log.has("event_id"):
        one = pl.col("event_id")
        stays &= one.is_null() | one.is_first_distinct()
    return keep(log, stays, "duplicates", log.past)


def drop_repeats(log: Log) -> tuple[Log, Removal]:
    """Drop each event whose item is that of the same user's event before."""
    before = pl.col("item_id").shift(1).over("user_id")
    stays = (pl.col("item_id") != before).fill_null(True)
    return keep(log, stays, "repeats", log.past)


def drop_bad_times(
    log: Log, *, earliest: Instant | None = "1990-01-01", latest: Instant | None = None
) -> tuple[Log, Removal]:
    """Keep the events in ``[earliest, latest)``; None leaves a side open."""
    start, end = 0, log.n_events
    said = []
    if earliest is not None:
        start = int(np.searchsorted(log.times, parse_instant(earliest)))
        said.append(f"before {format_instant(parse_instant(earliest))}")
    if latest is not None:
        end = int(np.searchsorted(log.times, parse_instant(latest)))
        said.append(f"from {format_instant(parse_instant(latest))} on")
    row = pl.int_range(pl.len())
    step = f"times {' or '.join(said)}" if said else "times"
    return keep(log, (row >= start) & (row < end), step, log.past)


def _clean_rows(log: Log, config: CleaningConfig) -> tuple[Log, list[Removal]]:
    """Take the steps that need no statistics."""
    steps: list[Callable[[Log], tuple[Log, Removal]]] = []
    if config.duplicates:
        steps.append(drop_duplicates)
    if config.earliest is not None or config.latest is not None:
        steps.append(
            lambda log: drop_bad_times(log, earliest=config.earliest, latest=config.latest)
        )
    if config.repeats:
        steps.append(drop_repeats)
    removals = []
    for step in steps:
        log, removal = step(log)
        removals.append(removal)
    return log, removals


def _require_rest(log: Log, removals: list[Removal]) -> None:
    if log.n_events:
        return
    listed = "".join(f"\n  - {removal}" for removal in removals)
    raise DataError(f"cleaning leaves no event; ask for less. Steps taken:{listed}")
