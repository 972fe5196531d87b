"""The assortment of a synthetic shop: what is on sale when, what it pulls, what goes with what.

`Assortment.options` and `Assortment.pull` serve both the draws of the log and the probabilities
that the truth gives, so the two cannot differ.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recency.data.synthetic.words import SHELVES, Shelf, compose_titles
from recency.units import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VIEW, CART, PURCHASE = 0, 1, 2

STAPLE_CHANCE = 0.8  # that a visit starts with the staple that is due
COMPANION_CHANCE = np.array([0.03, 0.12, 0.2])  # after a view, a cart, a purchase
WALK_CHANCE = np.array([0.3, 0.25, 0.2])
STRIDES = np.array([1, 2, 3, 4])  # places onward in the theme
STRIDE_SHARE = np.array([0.4, 0.3, 0.2, 0.1])
THEME_LENGTH = 20  # items; each item is in two themes


@dataclass(frozen=True)
class Assortment:
    """Hold the items; they lie in the order of their shelves, from cheap to dear on each.

    Attributes:
        category: Shelf of each item, ascending.
        shelf_start: First item of each shelf, then the number of items.
        price: Price of each item.
        born, gone: Day it appears (negative: before the log) and day it goes (infinity: never).
        weight: Pull of each item on each day, ``[days, n_items]``; 0 while it is not on sale.
        companion: The item of another shelf that goes with it.
        theme_items: The items of each theme in its order, one theme after the other.
        theme_start: Where each theme begins in ``theme_items``, then the length of that.
        place: Place of each item in each theme, ``[n_themes, n_items]``; -1 where it is not in it.
        staple: Whether it is used up and bought again.
        cycle: Pull of each category by weekday (0 = Monday) and hour UTC, ``[7, 24, categories]``.
    """

    category: Ints
    shelf_start: Ints
    price: Floats
    born: Floats
    gone: Floats
    weight: Floats
    companion: Ints
    theme_items: Ints
    theme_start: Ints
    place: Ints
    staple: npt.NDArray[np.bool_]
    cycle: Floats

    @property
    def n_days(self) -> int:
        """Count the days of the log."""
        return len(self.weight)

    @property
    def n_items(self) -> int:
        """Count the items."""
        return len(self.category)

    def theme_odds(self, taste: Floats, times: Ints) -> Floats:
        """Give how likely each theme is to be what a visit is about, not normalised.

        A theme draws as its items' categories do: by taste, and by the pull that each category has
        at that weekday and hour.

        Args:
            taste: ``[n, categories]``
            times: ``[n]`` microseconds.

        Returns:
            ``[n, n_themes]``
        """
        hours = times // (3_600 * SECOND)
        cycle = self.cycle[(hours // 24 + 3) % 7, hours % 24]  # 1970-01-01 was a Thursday
        odds: Floats = (taste * cycle) @ self._theme_categories
        return odds

    def options(self, due: Ints, theme: Ints, last: Ints, last_kind: Ints) -> tuple[Ints, Floats]:
        """List the particular items that may come next, and their chances.

        What is left to 1, and the chance of any option not on sale, goes to the theme at large.

        Args:
            due: The staple that is due at the visit, -1 for none.
            theme: What the visit is about.
            last: The item before in the visit, -1 at its first event.
            last_kind: The type of that event.

        Returns:
            Items (-1 for none) and chances, both ``[n, 6]``: the due staple, the companion, and
            the next four of the theme.
        """
        first, place = last < 0, self.place[theme, last]
        low = self.theme_start[theme][:, None]
        onward = (place[:, None] + STRIDES) % np.diff(self.theme_start)[theme][:, None]
        items = np.column_stack([due, self.companion[last], self.theme_items[low + onward]])
        walk = np.where(place >= 0, WALK_CHANCE[last_kind], 0.0)[:, None] * STRIDE_SHARE
        staple = np.where(first & (due >= 0), STAPLE_CHANCE, 0.0)
        chances = np.column_stack([staple, COMPANION_CHANCE[last_kind], walk])
        chances[first, 1:] = 0.0
        return np.where(chances > 0, items, -1), chances

    def pull(self, day: Ints, theme: Ints, rng: np.random.Generator) -> Ints:
        """Draw one item a row from a theme by the items' pull on the day."""
        borders = self.theme_start[theme], self.theme_start[theme + 1]
        return self.theme_items[_pick(self._reached, day, *borders, rng)]

    def pull_evenly(self, day: Ints, rng: np.random.Generator) -> Ints:
        """Draw one item a row evenly from all on sale on the day."""
        all_items = np.zeros_like(day), np.full_like(day, self.n_items)
        return _pick(np.cumsum(self.weight > 0, axis=1, dtype=float), day, *all_items, rng)

    @cached_property
    def _reached(self) -> Floats:
        """Give the running sums of the pull along all themes, ``[days, len(theme_items)]``."""
        return np.cumsum(self.weight[:, self.theme_items], axis=1)

    @cached_property
    def _theme_categories(self) -> Floats:
        """Give the share of each category in each theme, ``[categories, n_themes]``."""
        n_themes = len(self.theme_start) - 1
        share = np.zeros((len(self.shelf_start) - 1, n_themes))
        theme = np.repeat(np.arange(n_themes), np.diff(self.theme_start))
        np.add.at(share, (self.category[self.theme_items], theme), 1.0)
        share /= share.sum(axis=0)
        return share


def shelves_for(n_items: int) -> tuple[Shelf, ...]:
    """Choose the shelves of a shop: at least four items on each, twelve shelves at most."""
    return SHELVES[: max(1, min(len(SHELVES), n_items // 4))]


def stock(n_items: int, days: int, rng: np.random.Generator) -> tuple[Assortment, list[str]]:
    """Draw an assortment, and the titles of its items."""
    shelves = shelves_for(n_items)
    category = np.sort(np.arange(n_items) % len(shelves))
    shelf_start = np.searchsorted(category, np.arange(len(shelves) + 1))
    sizes = np.diff(shelf_start).tolist()
    titles = [
        title
        for shelf, size in zip(shelves, sizes, strict=True)
        for title in compose_titles(shelf, size, rng)
    ]
    price = np.concatenate(
        [_prices(shelf, size, rng) for shelf, size in zip(shelves, sizes, strict=True)]
    )
    born, gone = _lifetimes(shelf_start, days, rng)
    evergreen = (born < 0) & np.isinf(gone)
    consumable = np.array([shelf.consumable for shelf in shelves])[category]
    theme_items, theme_start, place = _themes(shelf_start, rng)
    return (
        Assortment(
            category=category,
            shelf_start=shelf_start,
            price=price,
            born=born,
            gone=gone,
            weight=_weights(born, gone, days, rng),
            companion=_companions(category, evergreen, rng),
            theme_items=theme_items,
            theme_start=theme_start,
            place=place,
            staple=evergreen & consumable,
            cycle=_cycle(shelves),
        ),
        titles,
    )


def _prices(shelf: Shelf, n: int, rng: np.random.Generator) -> Floats:
    low, high = np.log(shelf.cheapest), np.log(shelf.dearest)
    return np.sort(np.round(np.exp(rng.uniform(low, high, n)) * 10) / 10)


def _lifetimes(shelf_start: Ints, days: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw the day each item appears (negative: before the log) and goes (or infinity)."""
    n_items = int(shelf_start[-1])
    new = rng.random(n_items) < 0.35
    born = np.where(new, rng.integers(0, days, n_items), -rng.integers(30, 400, n_items))
    expires = rng.random(n_items) < np.where(new, 0.5, 0.12)
    span = rng.integers(14, 60, n_items)
    gone = np.where(expires, np.maximum(born, 0) + span, np.inf)
    # The first item of each shelf is always there, so that no shelf is ever empty.
    born[shelf_start[:-1]] = -365
    gone[shelf_start[:-1]] = np.inf
    return born.astype(float), gone.astype(float)


def _weights(born: Floats, gone: Floats, days: int, rng: np.random.Generator) -> Floats:
    """Give each item's pull on each day: appeal, fading with age; 0 while it is not on sale."""
    day = np.arange(days)[:, None]
    appeal = rng.lognormal(0.0, 0.8, len(born))
    half_life = rng.uniform(4.0, 20.0, len(born))
    age = np.maximum(day - born, 0.0)
    pull = appeal * (0.25 + 1.5 * 0.5 ** (age / half_life))
    on_sale = (born <= day) & (day < gone)
    return np.where(on_sale, pull, 0.0)


def _companions(category: Ints, evergreen: npt.NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """Pair each item with a lasting one of another shelf (of its own where there is no other)."""
    pool = np.flatnonzero(evergreen)
    companion = rng.choice(pool, len(category))
    for _ in range(8):
        same = category[companion] == category
        companion = np.where(same, rng.choice(pool, len(category)), companion)
    return companion


def _themes(shelf_start: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Gather items into themes, such as what a weekend in a tent takes: two shelves each, mixed.

    Each round deals every shelf out in pieces and joins each piece with one of another shelf, so
    that an item is in one theme a round, two in all. The last item does not tell the theme; the
    last two nearly always do.
    """
    n_shelves, n_items = len(shelf_start) - 1, int(shelf_start[-1])
    themes = []
    for _ in range(2):
        pieces = []
        for i in range(n_shelves):
            shelf = rng.permutation(np.arange(shelf_start[i], shelf_start[i + 1]))
            pieces.append(np.array_split(shelf, max(1, round(2 * len(shelf) / THEME_LENGTH))))
        order = rng.permutation(n_shelves)
        dealt = [piece for i in order for piece in pieces[i]]
        half = (len(dealt) + 1) // 2
        for i in range(half):
            # The first item of a shelf is always on sale, so no theme is ever empty.
            theme = np.concatenate(dealt[i::half])
            lasting = shelf_start[np.searchsorted(shelf_start, theme[0], side="right") - 1]
            themes.append(rng.permutation(np.union1d(theme, [lasting])))
    place = np.full((len(themes), n_items), -1)
    for i, theme in enumerate(themes):
        place[i, theme] = np.arange(len(theme))
    start = np.concatenate([[0], np.cumsum([len(theme) for theme in themes])])
    return np.concatenate(themes), start, place


def _cycle(shelves: tuple[Shelf, ...]) -> Floats:
    """Build the pull of each shelf at each weekday and hour, ``[7, 24, n_categories]``."""
    hour = np.array([shelf.hour for shelf in shelves])
    weekday = np.array([shelf.weekday for shelf in shelves])
    by_hour = np.cos((np.arange(24)[:, None] - hour) * 2 * np.pi / 24)
    by_day = np.cos((np.arange(7)[:, None] - weekday) * 2 * np.pi / 7)
    cycle: Floats = np.exp(0.9 * by_hour[None] + 0.6 * by_day[:, None])
    return cycle


def _pick(reached: Floats, day: Ints, low: Ints, high: Ints, rng: np.random.Generator) -> Ints:
    """Draw from ``[low, high)`` by the weights whose running sums are ``reached[day]``."""
    n_days, n_items = reached.shape
    edges = np.concatenate([np.zeros((n_days, 1)), reached], axis=1)
    draw = rng.uniform(edges[day, low], edges[day, high])
    # One search over all days: each day's sums are lifted above those of the day before.
    lift = (reached[:, -1].max() + 1.0) * np.arange(n_days)
    flat = (reached + lift[:, None]).ravel()
    found = np.searchsorted(flat, draw + lift[day], side="right") - day * n_items
    drawn: Ints = np.clip(found, low, high - 1)
    return drawn
