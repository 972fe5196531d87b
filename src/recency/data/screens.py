"""Screens: which users and items pass, decided on one log and applied to others.

Decisions: bots and the k-core are statistics, so they are decided on the training log alone. A log
that comes later is screened by the same decision; users and items that the decision never saw stay
by default, because they are cold, not bad.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.data.log import Log
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataError, raise_all

Unseen = Literal["keep", "drop"]


@dataclass(frozen=True)
class Removal:
    """Count what one step took out.

    Attributes:
        step: Name of the step.
        n_events: Events removed.
        n_users: Users that have no event any more.
        n_items: Items that have no event any more.
        n_before: Events before the step.
    """

    step: str
    n_events: int
    n_users: int
    n_items: int
    n_before: int

    def __str__(self) -> str:
        share = self.n_events / max(self.n_before, 1)
        return (
            f"{self.step}: {self.n_events:,} of {self.n_before:,} events ({share:.2%}), "
            f"{self.n_users:,} users, {self.n_items:,} items removed"
        )


@dataclass(frozen=True)
class Screen:
    """Hold users and items that were kept and dropped, as decided on one log.

    Attributes:
        step: Name of the step that decided.
        kept_users, dropped_users, kept_items, dropped_items: Ids.
    """

    step: str
    kept_users: pl.Series
    dropped_users: pl.Series
    kept_items: pl.Series
    dropped_items: pl.Series

    def apply(self, log: Log, unseen: Unseen = "keep") -> tuple[Log, Removal]:
        """Take the dropped users and items out of a log, and out of its past.

        Args:
            log: Any log with ids of the same type.
            unseen: Whether users and items that the deciding log did not hold stay.

        Raises:
            DataError: the ids are of another type than those of the deciding log.
        """
        self._check_types(log)
        if unseen == "keep":
            stays = ~pl.col("user_id").is_in(self.dropped_users.implode())
            stays &= ~pl.col("item_id").is_in(self.dropped_items.implode())
        else:
            stays = pl.col("user_id").is_in(self.kept_users.implode())
            stays &= pl.col("item_id").is_in(self.kept_items.implode())
        past = self.apply(log.past, unseen)[0] if log.past is not None else None
        return keep(log, stays, self.step, past)

    def _check_types(self, log: Log) -> None:
        pairs = (("user_id", self.kept_users), ("item_id", self.kept_items))
        raise_all(
            [
                f"{self.step} was decided on {name} of type {kept.dtype}, "
                f"found {log.events[name].dtype}; read both logs in the same way."
                for name, kept in pairs
                if log.events[name].dtype != kept.dtype
            ],
            DataError,
        )


def find_bots(
    train: Log, *, max_per_day: int | None = None, max_events: int | None = None
) -> Screen:
    """Select users with no more than so many events on any UTC day, and in all.

    Args:
        train: The log that decides.
        max_per_day: Most events of a user on one day; None sets no bound.
        max_events: Most events of a user in all; None sets no bound.

    Raises:
        ConfigError: neither bound is given.
    """
    if max_per_day is None and max_events is None:
        raise ConfigError("find_bots needs max_per_day or max_events, such as max_per_day=1000.")
    table = _Table(train)
    busy = np.zeros(table.n_users, dtype=bool)
    said = []
    if max_events is not None:
        busy |= np.bincount(table.users, minlength=table.n_users) > max_events
        said.append(f"{max_events:,} events")
    if max_per_day is not None:
        days = train.events.group_by("user_id", pl.col("timestamp").dt.date()).len()
        loud = days.filter(pl.col("len") > max_per_day)["user_id"].unique()
        busy[table.user_ids.rows(loud)] = True
        said.append(f"{max_per_day:,} events a day")
    return table.screen(f"bots (more than {' or '.join(said)})", ~busy, None)


def k_core(train: Log, *, k_users: int = 5, k_items: int = 5) -> Screen:
    """Select the largest part in which every user and every item has enough events.

    Args:
        train: The log that decides. Never the whole log: an item kept for its events after the cut
            tells training about the future.
        k_users: Events that each kept user has at least.
        k_items: Events that each kept item has at least.
    """
    table = _Table(train)
    users, items = table.users, table.items
    while True:
        enough = np.bincount(users, minlength=table.n_users) >= k_users
        stays = enough[users] & (np.bincount(items, minlength=table.n_items) >= k_items)[items]
        if stays.all():
            break
        users, items = users[stays], items[stays]
    return table.screen(
        f"k-core (users {k_users}, items {k_items})",
        np.bincount(users, minlength=table.n_users) > 0,
        np.bincount(items, minlength=table.n_items) > 0,
    )


class _Table:
    """Give the users and items of a log as rows."""

    def __init__(self, log: Log) -> None:
        self.user_ids = Vocab.from_ids(log.events["user_id"])
        self.item_ids = Vocab.from_ids(log.events["item_id"])
        self.n_users, self.n_items = len(self.user_ids), len(self.item_ids)
        self._log = log

    @cached_property
    def users(self) -> npt.NDArray[np.int64]:
        return self.user_ids.rows(self._log.events["user_id"])

    @cached_property
    def items(self) -> npt.NDArray[np.int64]:
        return self.item_ids.rows(self._log.events["item_id"])

    def screen(
        self, step: str, users: npt.NDArray[np.bool_], items: npt.NDArray[np.bool_] | None
    ) -> Screen:
        """Name the users and items marked as kept; None keeps all items."""
        kept_items = np.ones(self.n_items, dtype=bool) if items is None else items
        user_ids, item_ids = self.user_ids.ids, self.item_ids.ids
        return Screen(
            step,
            kept_users=user_ids.filter(pl.Series(users)),
            dropped_users=user_ids.filter(pl.Series(~users)),
            kept_items=item_ids.filter(pl.Series(kept_items)),
            dropped_items=item_ids.filter(pl.Series(~kept_items)),
        )


def keep(log: Log, stays: pl.Expr, step: str, past: Log | None) -> tuple[Log, Removal]:
    """Keep the rows where an expression holds, and count the others."""
    rest = Log(log.events.filter(stays), past)
    if rest.n_events == log.n_events:
        return Log(log.events, past), Removal(step, 0, 0, 0, log.n_events)
    removal = Removal(
        step,
        n_events=log.n_events - rest.n_events,
        n_users=log.n_users - rest.n_users,
        n_items=log.n_items - rest.n_items,
        n_before=log.n_events,
    )
    return rest, removal
