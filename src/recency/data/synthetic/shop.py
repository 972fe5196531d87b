"""A synthetic shop whose truth is known: what every visitor was after, and why each item came next.

How a visit comes about:

- A user has a taste over the shelves (categories) that drifts from one anchor to the next, joins
  on some day, may leave, and visits at a personal rate, by the cycles of the week and the day.
- A visit has an intent: one theme, some twenty items of two shelves in a certain order, chosen by
  taste and by the hours its shelves have. Every item is in two themes, so the item before leaves
  the theme open, and the last two or three tell it: this is what a longer memory is for.
- It starts with a staple that is due again (coffee every three weeks), or with an item of the theme
  by appeal. Appeal fades with the item's age; items appear and expire.
- Each next item is a companion of the one before (likely after a cart or a purchase), one of the
  next few of the theme, or any other of the theme by appeal.

The draws are vectorised over visits; the only loop is over the position within a visit.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from recency.data.log import TIME, Log
from recency.data.synthetic.assortment import (
    CART,
    PURCHASE,
    VIEW,
    Assortment,
    Floats,
    Ints,
    shelves_for,
    stock,
)
from recency.data.synthetic.truth import Truth
from recency.data.synthetic.visits import LONGEST_VISIT, Users, Visits, draw_users, draw_visits
from recency.data.synthetic.words import slug
from recency.errors import ConfigError, raise_all
from recency.units import DAY, parse_instant

EVENT_TYPES = ("view", "cart", "purchase")


@dataclass(frozen=True)
class Shop:
    """Hold a synthetic shop.

    Attributes:
        log: Its events, with ``event_type`` (view, cart, purchase) and ``session_id``.
        items: Its items: ``item_id``, ``title``, ``categories`` (department, shelf), ``price``,
            ``available_from``, ``expires_at`` (null = never).
        truth: What the generator knew at each event.
    """

    log: Log
    items: pl.DataFrame
    truth: Truth


def shop(
    n_users: int = 2_000,
    n_items: int = 240,
    days: int = 120,
    seed: int = 0,
    *,
    events_per_user: float = 40.0,
    noise: float = 0.0,
    end: str | datetime | date | int = "2026-03-01",
) -> Shop:
    """Make a synthetic shop with a known truth.

    Args:
        n_users: Number of users; each visits at least once unless its visit falls off the end.
        n_items: Number of items over at most 12 shelves.
        days: Length of the log.
        seed: Same seed, same shop.
        events_per_user: Rough mean.
        noise: Share of the events in [0, 1] whose item is drawn evenly from all that are on sale;
            1 gives a log in which nothing but the times can be learned.
        end: Every event happens strictly before this instant.

    Raises:
        ConfigError: a number is out of its range; all faults together.
    """
    raise_all(_faults(n_users, n_items, days, events_per_user, noise), ConfigError)
    # Separate streams: another number of users leaves the assortment as it is.
    streams = np.random.default_rng(seed).spawn(4)
    start = parse_instant(end) - days * DAY
    assortment, titles = stock(n_items, days, streams[0])
    users = draw_users(n_users, days, events_per_user, assortment, streams[1])
    visits, times = draw_visits(users, assortment, start, days, streams[2])
    truth = _walk(users, assortment, visits, times, noise, streams[3])
    return Shop(_log(truth, titles), _items(assortment, titles, start), truth)


def _faults(
    n_users: int, n_items: int, days: int, events_per_user: float, noise: float
) -> list[str]:
    whole = {"n_users": n_users, "n_items": n_items, "days": days}
    faults = [f"expected {name} of 1 or more, found {n}." for name, n in whole.items() if n < 1]
    if not 1 <= events_per_user < float("inf"):
        faults.append(f"expected events_per_user of 1 or more, found {events_per_user}.")
    if not 0 <= noise <= 1:
        faults.append(f"expected noise between 0 and 1, found {noise}.")
    return faults


def _walk(
    users: Users,
    assortment: Assortment,
    visits: Visits,
    times: Ints,
    noise: float,
    rng: np.random.Generator,
) -> Truth:
    """Draw item and type of every event, position by position over all visits at once."""
    n_visits = len(visits.user)
    items, kinds = np.full((2, n_visits, LONGEST_VISIT), -1)
    day = np.clip((times - visits.start) // DAY, 0, assortment.n_days - 1)
    for i in range(LONGEST_VISIT):
        on = np.flatnonzero(times[:, i] >= 0)
        last = items[on, i - 1] if i else np.full(len(on), -1)
        last_kind = kinds[on, i - 1] if i else np.zeros(len(on), np.int64)
        options = assortment.options(visits.due[on], visits.intent[on], last, last_kind)
        items[on, i] = _draw(assortment, options, day[on, i], visits.intent[on], noise, rng)
        kinds[on, i] = _kinds(assortment, items[on, i], rng)
    visit, position = np.nonzero(times >= 0)
    order = np.argsort(times[visit, position], kind="stable")
    visit, position = visit[order], position[order]
    before = np.maximum(position - 1, 0)
    first = position == 0
    return Truth(
        users=users,
        assortment=assortment,
        visits=visits,
        noise=noise,
        times=times[visit, position],
        items=items[visit, position],
        kinds=kinds[visit, position],
        visit=visit,
        last=np.where(first, -1, items[visit, before]),
        last_kind=np.where(first, VIEW, kinds[visit, before]),
    )


def _draw(
    assortment: Assortment,
    options: tuple[Ints, Floats],
    day: Ints,
    intent: Ints,
    noise: float,
    rng: np.random.Generator,
) -> Ints:
    """Draw items as `Truth.probabilities` says: an option, else any of the theme."""
    items, chances = options
    none = np.full((len(items), 1), -1)
    choice = (np.cumsum(chances, axis=1) <= rng.random((len(items), 1))).sum(axis=1)
    drawn = np.take_along_axis(np.hstack([items, none]), choice[:, None], axis=1)[:, 0]
    on_sale = (drawn >= 0) & (assortment.weight[day, drawn] > 0)
    drawn = np.where(on_sale, drawn, assortment.pull(day, intent, rng))
    even = assortment.pull_evenly(day, rng) if noise else drawn
    return np.where(rng.random(len(items)) < noise, even, drawn)


def _kinds(assortment: Assortment, items: Ints, rng: np.random.Generator) -> Ints:
    """Draw whether an item was viewed, put in the cart or bought: cheap things and staples sell."""
    cheap = 1 / (1 + assortment.price[items] / 40)
    buy = np.where(assortment.staple[items], 0.4, 0.03 + 0.1 * cheap)
    draw = rng.random(len(items))
    return np.where(draw < buy, PURCHASE, np.where(draw < buy + 0.1, CART, VIEW))


def _log(truth: Truth, titles: list[str]) -> Log:
    ids = pl.Series([slug(title) for title in titles], dtype=pl.String)
    user = truth.visits.user[truth.visit]
    width = len(str(len(truth.users.joined) - 1))
    names = pl.Series([f"u{i:0{width}}" for i in range(len(truth.users.joined))], dtype=pl.String)
    frame = pl.DataFrame(
        {
            "user_id": names.gather(user),
            "item_id": ids.gather(truth.items),
            "timestamp": pl.Series(truth.times).cast(TIME),
            "event_type": pl.Series(EVENT_TYPES).gather(truth.kinds),
            "session_id": pl.Series(truth.visit).cast(pl.String),
        }
    )
    return Log.from_frame(frame)


def _items(assortment: Assortment, titles: list[str], start: int) -> pl.DataFrame:
    shelves = shelves_for(len(titles))
    never = np.isinf(assortment.gone)
    gone = start + (np.where(never, 0, assortment.gone) * DAY).astype(np.int64)
    return pl.DataFrame(
        {
            "item_id": [slug(title) for title in titles],
            "title": titles,
            "categories": [
                [shelves[c].department, shelves[c].name] for c in assortment.category.tolist()
            ],
            "price": assortment.price,
            "available_from": pl.Series(start + (assortment.born * DAY).astype(np.int64)).cast(
                TIME
            ),
            "expires_at": pl.Series(gone)
            .cast(TIME)
            .zip_with(pl.Series(~never), pl.Series([None] * len(titles), dtype=TIME)),
        }
    )
