"""Foretelling: what the heads of a model are asked, as tables for people.

Every question takes its own instant: ``at`` is one for all, or one for each row, so that a test of
many events is one call.
"""

import warnings
from collections.abc import Sequence
from typing import Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from recency.data.histories import Ints
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataWarning
from recency.live.live_model import LiveModel
from recency.live.told import Told, told
from recency.nn.heads import head_named
from recency.nn.horizon_head import HorizonHead
from recency.nn.rating_head import RatingHead
from recency.nn.time_head import TimeHead
from recency.nn.type_head import TypeHead
from recency.units import Instant, format_duration, parse_duration, parse_instant

At = Instant | Sequence[Instant] | Ints
_FOREVER = 3.2e9  # seconds, a century: no wait is told to be longer
_HALVINGS = 50


class Propensity(TypedDict, total=False):
    """Say what `propensity` is asked."""

    event_type: str | None
    horizon: str | float | None
    given: str | None
    at: At | None


class NextTime(TypedDict, total=False):
    """Say what `next_time` is asked."""

    horizons: Sequence[str | float]
    quantiles: Sequence[float]


class Foretelling(Protocol):
    """What is asked: a fitted model; see `recency.SequenceRecommender`."""

    @property
    def live(self) -> object:
        """Give the live model; an ensemble's has no heads."""
        ...


def rate(
    model: Foretelling, users: Sequence[Id], items: Sequence[Id], at: At | None = None
) -> pl.DataFrame:
    """Tell how users would rate items, pair by pair.

    Args:
        model: Fitted with a `recency.RatingHead`.
        users: [n] ids; strangers are answered by the item alone.
        items: [n] ids; those never seen are answered by the user alone.
        at: Instant of all questions, or of each: only events strictly before it count. None: just
            after the newest event known.

    Returns:
        ``user_id``, ``item_id``, ``rating`` inside the scale, and ``fallback``: whether the user
        had no event by then or the item has no vector.

    Raises:
        ConfigError: the model has no such head, or there are not as many users as items.
    """
    live = single(model)
    head = head_named(live.model, "rating")
    assert isinstance(head, RatingHead)
    rows, columns = _pairs(live, users, items)
    read = told(live, head, rows, columns, instants_of(live, at, len(rows)))
    with torch.no_grad():
        ratings = head.rate(read.outputs, read.vectors, read.facts).cpu().numpy()
    return pl.DataFrame(
        {"user_id": users, "item_id": items, "rating": ratings, "fallback": read.strange},
        strict=False,
    )


def propensity(
    model: Foretelling,
    users: Sequence[Id] | None = None,
    items: Sequence[Id] | None = None,
    *,
    event_type: str | None = None,
    horizon: str | float | None = None,
    given: str | None = None,
    at: At | None = None,
) -> pl.DataFrame:
    """Tell how likely an event is of a type, or how likely it comes within a horizon.

    Args:
        model: Fitted with a `recency.TypeHead` of the type, or, where ``horizon`` is asked, with a
            `recency.HorizonHead` of both; a `recency.TimeHead` answers for any event at all within
            any horizon.
        users: [n] ids; None asks about every user known, where ``horizon`` is said.
        items: [n] ids, where a type is asked about.
        event_type: The type; None: any event. A head of several types is asked by all of them,
            such as ``"like|bookmark"``.
        horizon: Seconds, or as ``"30d"``.
        given: As the head was made, where several tell the type.
        at: As in `rate`.

    Returns:
        ``user_id``, ``item_id`` where items are asked about, ``probability``, and ``fallback`` as
        in `rate`.

    Raises:
        ConfigError: the model has no such head, or the question is of neither kind.
    """
    live = single(model)
    if horizon is None:
        if users is None or items is None or event_type is None:
            raise ConfigError(
                "propensity: expected users, items and event_type, or a horizon; found neither."
            )
        head = _type_head(live, event_type, given)
        rows, columns = _pairs(live, users, items)
        read = told(live, head, rows, columns, instants_of(live, at, len(rows)))
        with torch.no_grad():
            chances = head.chances(read.outputs, read.vectors, read.facts)
        names = {"user_id": users, "item_id": items}
    else:
        if items is not None:
            raise ConfigError("propensity: expected no items with a horizon; it asks about users.")
        users = live.vocabs.users.named.to_list() if users is None else users
        read, chances = _within(live, users, event_type, parse_duration(horizon), at)
        names = {"user_id": users}
    columns_ = {**names, "probability": chances.cpu().numpy(), "fallback": read.strange}
    return pl.DataFrame(columns_, strict=False)


def next_time(
    model: Foretelling,
    users: Sequence[Id],
    at: At | None = None,
    *,
    horizons: Sequence[str | float] = ("1d", "7d", "30d"),
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
) -> pl.DataFrame:
    """Tell when users come back, counted from the instant of the question.

    That a user has not come since the newest event is known too, and conditioned on.

    Args:
        model: Fitted with a `recency.TimeHead`.
        users: [n] ids. One without events by then is answered as if one had just happened.
        at: As in `rate`.
        horizons: Seconds, or as ``"7d"``.
        quantiles: Of the wait, in (0, 1).

    Returns:
        ``user_id``; ``wait_50`` and the like, seconds from ``at`` by which the next event has come
        with such a probability; ``within_7d`` and the like, the probability that it comes by then;
        and ``fallback`` as in `rate`.

    Raises:
        ConfigError: the model has no such head, or a quantile is impossible.
    """
    wrong = [one for one in quantiles if not 0 < one < 1]
    if wrong:
        raise ConfigError(f"next_time(quantiles={list(quantiles)}): expected numbers in (0, 1).")
    head, read, gone = _waiting(single(model), users, at)
    ahead = [parse_duration(one) for one in horizons]
    _warn_beyond(head, max(ahead, default=0.0))
    columns: dict[str, object] = {"user_id": users}
    with torch.no_grad():
        for one in quantiles:
            columns[f"wait_{100 * one:g}"] = wait_at(head, read, gone, one).cpu().numpy()
        for said, seconds in zip(horizons, ahead, strict=True):
            name = said if isinstance(said, str) else f"{said:g}s"
            columns[f"within_{name}"] = _by(head, read, gone, seconds).cpu().numpy()
    return pl.DataFrame({**columns, "fallback": read.strange}, strict=False)


def wait_nats(
    model: Foretelling,
    users: Sequence[Id],
    waits: Sequence[float],
    at: At,
    ended: Sequence[bool] | None = None,
) -> npt.NDArray[np.float64]:
    """Give what waits cost under the model: -log density of their logarithms, in nats.

    Args:
        model: Fitted with a `recency.TimeHead`.
        users: [n] ids.
        waits: [n] seconds from the user's newest event strictly before ``at``.
        at: As in `rate`; a microsecond after that event, to judge the wait from it on.
        ended: [n] whether the event came; else the wait was at least so long. None: all did.

    Returns:
        [n].
    """
    head, read, _ = _waiting(single(model), users, at)
    came = np.ones(len(users)) if ended is None else np.asarray(ended, np.float64)
    labels = torch.from_numpy(np.stack((np.asarray(waits, np.float64), came), axis=1)).float()
    with torch.no_grad():
        nats = head.nats(read.outputs, read.facts, labels.to(read.facts.device), read.tempo)
    return nats.double().cpu().numpy()


def lasting_at(head: TimeHead, read: Told, waits: Tensor) -> Tensor:
    """Give the probability [n, m] that waits [n, m] last longer, at the tempo of the instant."""
    return head.survival(read.outputs, read.facts, waits, read.tempo)


def wait_at(head: TimeHead, read: Told, gone: Tensor, share: float) -> Tensor:
    """Find the seconds [n] by which an event has come with a probability, by halving."""
    low, high = gone.clone(), torch.full_like(gone, _FOREVER)
    target = (1 - share) * lasting_at(head, read, gone[:, None])
    for _ in range(_HALVINGS):
        middle = torch.exp((torch.log1p(low) + torch.log1p(high)) / 2) - 1
        lasting = lasting_at(head, read, middle[:, None]) > target
        low = torch.where(lasting[:, 0], middle, low)
        high = torch.where(lasting[:, 0], high, middle)
    return high - gone


def _by(head: TimeHead, read: Told, gone: Tensor, seconds: float) -> Tensor:
    """Give the probability [n] of an event within seconds, none having come so far."""
    lasting = lasting_at(head, read, torch.stack((gone, gone + seconds), dim=1))
    return 1 - lasting[:, 1] / lasting[:, 0].clamp(min=1e-12)


def _waiting(live: LiveModel, users: Sequence[Id], at: At | None) -> tuple[TimeHead, Told, Tensor]:
    """Give the head, what it reads, and the seconds [n] since each user's newest event."""
    head = head_named(live.model, "time")
    assert isinstance(head, TimeHead)
    instants = instants_of(live, at, len(users))
    read = told(live, head, rows_of_ids(live.vocabs.users, users), None, instants)
    gone = np.where(read.since < 0, 0, instants - read.since) / 1e6
    return head, read, torch.from_numpy(gone).to(read.facts.device)


def _within(
    live: LiveModel, users: Sequence[Id], event_type: str | None, horizon: float, at: At | None
) -> tuple[Told, Tensor]:
    """Ask the head of a type and horizon, or for any event the head of time."""
    wanted = HorizonHead(event_type, horizon).name
    heads = [one for one in live.model.heads if isinstance(one, HorizonHead)]
    found = next((one for one in heads if one.name == wanted), None)
    with torch.no_grad():
        if found is not None:
            rows = rows_of_ids(live.vocabs.users, users)
            read = told(live, found, rows, None, instants_of(live, at, len(rows)))
            return read, found.chances(read.outputs, read.facts)
        has_time = any(isinstance(one, TimeHead) for one in live.model.heads)
        if event_type is None and has_time:
            head, read, gone = _waiting(live, users, at)
            _warn_beyond(head, horizon)
            return read, _by(head, read, gone, horizon)
    known = ", ".join(one.name for one in heads) or "none"
    raise ConfigError(
        f"the model has no head for {wanted!r}, found {known}; fit one with "
        f"heads=[HorizonHead({event_type!r}, {format_duration(horizon)!r})]."
    )


def _type_head(live: LiveModel, event_type: str, given: str | None) -> TypeHead:
    heads = [one for one in live.model.heads if isinstance(one, TypeHead)]
    for one in heads:
        if event_type == "|".join(one.event_types) and given in (None, one.given):
            return one
    known = ", ".join(one.name for one in heads) or "none"
    raise ConfigError(
        f"the model has no head for events of type {event_type!r}, found {known}; fit one with "
        f"heads=[TypeHead({event_type!r})]."
    )


def _warn_beyond(head: TimeHead, horizon: float) -> None:
    longest = float(head.longest)
    if horizon > longest:
        warnings.warn(
            f"a horizon of {format_duration(horizon)} lies beyond what training saw: waits of up "
            f"to {format_duration(longest)}; what is told beyond is the tail of a curve.",
            DataWarning,
            stacklevel=4,
        )


def single(model: Foretelling) -> LiveModel:
    """Give the live model that is asked.

    Raises:
        ConfigError: it is an ensemble's.
    """
    live = model.live
    if not isinstance(live, LiveModel):
        raise ConfigError("an ensemble has no heads; ask one of its models.")
    return live


def _pairs(live: LiveModel, users: Sequence[Id], items: Sequence[Id]) -> tuple[Ints, Ints]:
    if len(users) != len(items):
        raise ConfigError(
            f"expected as many items as users, one pair a row, found {len(users)} users and "
            f"{len(items)} items."
        )
    return rows_of_ids(live.vocabs.users, users), rows_of_ids(live.vocabs.items, items)


def rows_of_ids(vocab: Vocab, ids: Sequence[Id]) -> Ints:
    """Give the row [n] of each id, `UNKNOWN` for strangers."""
    return vocab.rows(ids if isinstance(ids, pl.Series) else [vocab.coerce(one) for one in ids])


def instants_of(live: LiveModel, at: At | None, n: int) -> Ints:
    """Give the instant of each of n questions in microseconds."""
    if at is None:
        return np.full(n, live.now)
    if isinstance(at, np.ndarray):
        found: Ints = at.astype(np.int64)
    elif isinstance(at, Sequence) and not isinstance(at, str):
        found = np.array([parse_instant(one) for one in at], np.int64)
    else:
        return np.full(n, parse_instant(at))
    if len(found) != n:
        raise ConfigError(f"at: expected one instant, or one for each of {n}, found {len(found)}.")
    return found
