"""Splits: which events are learned from, and which are asked about.

Decisions: a split is by time, for everybody at once, because that is how a model meets the future.
`Log.split_at` does it for given cuts; `rolling_splits` repeats it for a time-series
cross-validation. `leave_last_out` exists for comparison with papers, and warns, because it lets a
model learn from events that happen after those it is asked about.
"""

import warnings
from dataclasses import dataclass

import polars as pl

from recency.data.log import Log
from recency.errors import ConfigError, DataError, LeakWarning, raise_all
from recency.units import SECOND, format_duration, format_instant, parse_duration


@dataclass(frozen=True)
class Split:
    """Hold a log to learn from and a log to be asked about.

    Attributes:
        train: Events before the cut.
        test: Events at or after it; ``test.past`` is ``train``.
        cut: Microseconds since 1970 UTC; None where there is no single instant (`leave_last_out`).
    """

    train: Log
    test: Log
    cut: int | None


def rolling_splits(log: Log, n: int = 3, horizon: str | float = "7d") -> list[Split]:
    """Cut the end of a log into ``n`` test windows that follow each other.

    The last window ends with the log; each is learned for from everything before it, so training
    grows from split to split. Windows are half-open.

    Args:
        log: The whole log.
        n: Number of windows.
        horizon: Length of each window, ``"7d"`` or seconds.

    Returns:
        Splits, the earliest first.

    Raises:
        ConfigError: ``n`` or ``horizon`` is not positive.
        DataError: the windows reach back to the log's start, or one of them holds no event.
    """
    seconds = parse_duration(horizon)
    faults = [] if n >= 1 else [f"expected n of at least 1 window, found {n}."]
    if seconds <= 0:
        faults.append(f"expected a horizon longer than 0 s, found {horizon!r}.")
    raise_all(faults, ConfigError)
    length = round(seconds * SECOND)
    cuts = [log.end - length * back for back in range(n, 0, -1)]
    if cuts[0] <= log.start:
        raise DataError(
            f"{n} windows of {format_duration(seconds)} need more than the log's span of "
            f"{format_duration((log.end - log.start) / SECOND)} "
            f"({format_instant(log.start)} to {format_instant(log.end - 1)}); "
            f"take fewer or shorter windows."
        )
    splits = [
        Split(train=log.before(cut), test=log.between(cut, cut + length), cut=cut) for cut in cuts
    ]
    empty = [one.cut for one in splits if not one.test.n_events and one.cut is not None]
    raise_all(
        [
            f"no event lies in the window from {format_instant(cut)} to "
            f"{format_instant(cut + length)}; take longer windows."
            for cut in empty
        ],
        DataError,
    )
    return splits


def leave_last_out(log: Log, n: int = 1) -> Split:
    """Take the last ``n`` events of each user as test, for comparison with published numbers.

    It leaks: other users' later events are learned from. Prefer `Log.split_at`. Users with no
    more than ``n`` events stay in training altogether.

    Args:
        log: The whole log.
        n: Events per user to ask about.

    Returns:
        A split without a single cut.

    Raises:
        ConfigError: ``n`` is below 1.
        DataError: no user has more than ``n`` events.

    Warns:
        LeakWarning: always, with the share of training events that come after the median target.
    """
    if n < 1:
        raise ConfigError(f"expected n of at least 1 event per user, found {n}.")
    from_end = pl.int_range(pl.len(), 0, -1).over("user_id")
    is_last = (from_end <= n) & (pl.len().over("user_id") > n)
    marked = log.events.with_columns(is_last.alias("__last__"))
    train, test = (
        marked.filter(pl.col("__last__") == last).drop("__last__") for last in (False, True)
    )
    if not test.height:
        raise DataError(
            f"leave_last_out with n={n} leaves no test event: no user has more than {n} events."
        )
    past = Log(train)
    late = int((train["timestamp"] >= test["timestamp"].median()).sum())
    warnings.warn(
        f"leave_last_out leaks: {late / train.height:.0%} of the training events happen at or "
        f"after the median event asked about, so the model knows its future. "
        f"Use log.split_at(cut) for numbers that hold in use.",
        LeakWarning,
        stacklevel=2,
    )
    return Split(train=past, test=Log(test, past=past), cut=None)
