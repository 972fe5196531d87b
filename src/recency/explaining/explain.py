"""Explain: ask why a recommendation is what it is, and what it would be otherwise.

How much an event counts is found by asking again without it, with no approximation. Left out one
by one, events that say the same hide each other, and to take them away in that order has been
measured to say less than recency does; so items go in turn, which asks more often. What is exact
without asking again, the shares of the experts and of content, is told beside it. Integrated
gradients are there to compare (`recency.explaining.integrated`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from recency.asking.asking import Asking, refuse_strangers
from recency.data.histories import Histories
from recency.data.intake import EventRow
from recency.data.log import TIME
from recency.data.outside import frame_of
from recency.data.vocab import Id
from recency.errors import ConfigError, raise_all
from recency.explaining.content import content_of
from recency.explaining.contributions import METHODS, Contributions, Method, contributions
from recency.explaining.explanation import Explanation, Otherwise
from recency.explaining.heard import Heard
from recency.explaining.what_if import WhatIf
from recency.live.live_model import LiveModel
from recency.ranking.topk import top_k
from recency.recommender import SequenceRecommender
from recency.units import Instant

Doubles = npt.NDArray[np.float64]


def explain(
    model: Asking,
    user: Id,
    item: Id,
    at: Instant | None = None,
    *,
    without: Sequence[int] = (),
    method: Method = "in_turn",
    repeats: bool = True,
    window: int = 50,
    k: int = 10,
) -> Explanation:
    """Tell what an item's place in a user's list rests on.

    Args:
        model: Fitted: a recommender or an ensemble.
        user: Id. One without events before ``at`` is answered with what is popular.
        item: Id, recommended or not.
        at: Instant of the question, as of `recommend`. None: just after the newest event known.
        without: Events to leave out together, by how many events ago they are: 1 is the newest.
        method: How it is found what an event brings. ``"in_turn"`` leaves items out one after
            another, all events on one together, always the one that then counts most: events that
            say the same do not hide each other. ``"leave_one_out"`` asks again without each alone:
            n times, where the first asks about m * m / 2 times for m items among n events.
            ``"gradients"`` and ``"integrated_gradients"`` only approximate: the first for long
            windows, the second, which needs the extra ``explain``, to compare.
        repeats: Whether the list may have items of the history as well, as of `recommend`.
        window: Newest events looked at one by one; older ones count together.
        k: Length of the lists.

    Raises:
        ConfigError: an argument is impossible, or ``method="gradients"`` of an ensemble.
        UnknownIdError: the user or the item was never seen.
    """
    row = model.users.rows([model.users.coerce(user)])
    refuse_strangers([user], row)
    instant = model.instant(at)
    history = model.live.seen(row, instant)
    why = _Why(model, user, history, instant, window, k, repeats)
    return why.explanation(item, method, without)


def explain_after(
    model: Asking,
    history: Sequence[EventRow],
    item: Id,
    at: Instant | None = None,
    *,
    without: Sequence[int] = (),
    method: Method = "in_turn",
    repeats: bool = True,
    window: int = 50,
    k: int = 10,
) -> Explanation:
    """Tell what an item's place rests on for somebody without a name; see `explain`.

    Args:
        model: As of `explain`.
        history: As of `recency.SequenceRecommender.recommend_after`.
        item: As of `explain`.
        at: As of `recommend_after`.
        without: As of `explain`.
        method: As of `explain`.
        repeats: As of `explain`.
        window: As of `explain`.
        k: As of `explain`.
    """
    events = model.live.histories_of(history)
    instant = model.instant(at)
    if at is None and events.n_events:
        instant = max(instant, int(events.times.max()) + 1)
    seen = events.cut(events.stops_before(np.arange(1), np.array([instant])))
    why = _Why(model, None, seen, instant, window, k, repeats)
    return why.explanation(item, method, without)


@dataclass
class _Why:
    """One question, and all that is asked to explain its answer."""

    model: Asking
    user: Id | None
    history: Histories
    at: int
    window: int
    k: int
    repeats: bool

    def explanation(self, item: Id, method: Method, without: Sequence[int]) -> Explanation:
        """Explain one item."""
        model = self.model
        row = int(model.items.rows([model.items.coerce(item)])[0])
        refuse_strangers([item], np.array([row]))
        self._check(method, without)
        asked = WhatIf(model.live, self.history, self.at, self.window, self.repeats)
        logs = asked.logs(asked.all)[0]
        heard = None
        if isinstance(model.live, LiveModel) and asked.n:
            heard = Heard.of(asked, model.live)
        uses = heard is not None and heard.model.question is not None
        plain = self._otherwise("as asked", logs, row)
        return Explanation(
            user=self.user,
            item=item,
            title=self._titles([item])[0],
            at=self.at,
            model_version=model.model_version,
            score=float(asked.served()[row]),
            chance=plain.chance,
            rank=plain.rank,
            items=plain.items,
            method=method,
            events=self._events(asked, heard, row, method, float(logs[row])),
            older=self._older(asked, row, float(logs[row])),
            voices=_voices(heard, row),
            time=self._times(asked, row, uses),
            without=self._counterfactual(asked, row, without),
            content=self._content(heard, row),
            uses_instant=uses,
        )

    def _check(self, method: str, without: Sequence[int]) -> None:
        """Refuse impossible arguments, all together."""
        n = min(self.history.n_events, self.window)
        faults = []
        if method not in METHODS:
            known = ", ".join(map(repr, METHODS))
            faults.append(f"method: expected one of {known}, found {method!r}.")
        elif "gradients" in method and not isinstance(self.model.live, LiveModel):
            faults.append(
                f"method={method!r}: expected one model, found an ensemble; its members have "
                f"gradients of their own. Use method='leave_one_out'."
            )
        if self.k < 1:
            faults.append(f"k: expected 1 or more, found {self.k!r}.")
        wrong = [one for one in without if isinstance(one, bool) or not 1 <= one <= n]
        if wrong:
            faults.append(
                f"without: expected numbers of events ago from 1 (the newest) to {n}, "
                f"found {', '.join(map(repr, wrong[:5]))}."
            )
        raise_all(faults, ConfigError)

    def _events(
        self, asked: WhatIf, heard: Heard | None, item: int, method: Method, base: float
    ) -> pl.DataFrame:
        """List the newest events with what each brings, newest first."""
        n = asked.n
        frame = frame_of(self.history, self.model.live.vocabs).tail(n)
        found = Contributions.by_size(np.full(n, np.nan))
        if np.isfinite(base):
            found = contributions(asked, item, method, heard)
        parts, ranks = found.parts, found.ranks
        turns = np.empty(n, np.int64)
        turns[found.order] = np.arange(1, n + 1)
        own, pair = _exact(heard, item, n)
        frame = frame.with_columns(
            ago=pl.Series(np.arange(n, 0, -1)),
            title=pl.Series(self._titles(frame["item_id"].to_list()), dtype=pl.String),
            contribution=pl.Series(np.where(np.isfinite(parts), parts, np.nan)).fill_nan(None),
            turn=pl.Series(turns),
            rank_without=pl.Series([None] * n if ranks is None else ranks, dtype=pl.Int64),
            own=pl.Series(own, dtype=pl.Float64),
            pair=pl.Series(pair, dtype=pl.Float64),
        )
        first = ["ago", "item_id", "title"]
        return frame.select(*first, pl.exclude(first)).cast({"timestamp": TIME}).reverse()

    def _older(self, asked: WhatIf, item: int, base: float) -> float | None:
        """Give what all events before the newest bring together."""
        if not asked.first or not np.isfinite(base):
            return None
        positions = self.history.offsets[:-1] + asked.first
        newest = _behind(self.history, int(positions[0]))
        alone = WhatIf(asked.live, newest, self.at, self.window, self.repeats)
        return base - float(alone.logs_of(alone.all, item)[0][0])

    def _times(self, asked: WhatIf, item: int, uses: bool) -> list[Otherwise]:
        """Ask at other times."""
        found = []
        if uses:
            logs = asked.logs(asked.all, at=asked.last + 1)[0]
            found.append(self._otherwise("Asked right after the newest event", logs, item))
        if asked.n > 2:  # two events lie evenly however far apart
            logs = asked.logs(asked.all, even=True)[0]
            found.append(self._otherwise("With its events evenly spaced in time", logs, item))
        return found

    def _counterfactual(self, asked: WhatIf, item: int, without: Sequence[int]) -> Otherwise | None:
        """Ask without some events."""
        if not without:
            return None
        kept = asked.all
        kept[0, [asked.n - ago for ago in without]] = False
        which = ", ".join(str(ago) for ago in sorted(set(without)))
        what = f"Without the event{'s' if len(set(without)) > 1 else ''} {which} ago"
        return self._otherwise(what, asked.logs(kept)[0], item)

    def _otherwise(self, what: str, logs: Doubles, item: int) -> Otherwise:
        rows, _ = top_k(logs[None].astype(np.float32), min(self.k, len(logs)))
        best = [one for one in rows[0].tolist() if one >= 0 and logs[one] > -np.inf]
        rank = 1 + int((logs > logs[item]).sum())
        items = self.model.items.take(np.array(best, np.int64))
        return Otherwise(what, float(np.exp(logs[item])), rank, items)

    def _content(self, heard: Heard | None, item: int) -> dict[str, float] | None:
        adaptor = self.model.adaptor if isinstance(self.model, SequenceRecommender) else None
        if heard is None or adaptor is None:
            return None
        return content_of(heard, adaptor, item, self.model.items.id_of(item))

    def _titles(self, items: Sequence[Id]) -> list[str | None]:
        catalogue = self.model.catalogue
        return [None] * len(items) if catalogue is None else catalogue.titles(items)


def _voices(heard: Heard | None, item: int) -> dict[str, float] | None:
    """Give the share of an item's chance that each voice brings."""
    shares = None if heard is None else heard.shares(np.array([item]))
    if shares is None:
        return None
    return dict(zip(shares.names, shares.voices(0).tolist(), strict=True))


def _exact(heard: Heard | None, item: int, n: int) -> tuple[list[float | None], list[float | None]]:
    """Give the shares of an item's chance that events bring by own and by pair, oldest first."""
    shares = None if heard is None else heard.shares(np.array([item]))
    if shares is None:
        return [None] * n, [None] * n
    columns = []
    for part in shares.events(0):
        newest_first = np.zeros(n)
        newest_first[: min(n, len(part))] = part[:n]
        columns.append(newest_first[::-1].tolist())
    return columns[0], columns[1]


def _behind(history: Histories, start: int) -> Histories:
    """Keep one user's events from a position on."""
    part = slice(start, None)
    return replace(
        history,
        offsets=np.array([0, history.n_events - start]),
        items=history.items[part],
        times=history.times[part],
        types=None if history.types is None else history.types[part],
        values=None if history.values is None else history.values[part],
    )
