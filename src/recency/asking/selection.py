"""Which items may be recommended, what is to weigh in, and the best of them."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, cast

import numpy as np

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.shelf import Shelf
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataWarning, raise_all
from recency.ranking.filters import Mask
from recency.ranking.pool import Pool
from recency.ranking.ranks import Scores
from recency.units import parse_duration

Boost = Mapping[Id, float] | Sequence[tuple[Id, float]]
Price = tuple[float | None, float | None]
Weights = tuple[tuple[str, float], ...]


class SelectionArgs(TypedDict, total=False):
    """Name the keywords of `Selection`."""

    repeats: bool
    candidates: Sequence[Id] | None
    exclude: Sequence[Id]
    categories: Sequence[str] | str | None
    exclude_categories: Sequence[str] | str
    domain: Sequence[str] | str | None
    price: Price | None
    out_of_stock: bool
    boost: Boost
    rotation: float
    rotation_time: str | float
    counts_as_shown: bool
    diversity: float
    max_per_category: int | None
    explore: float
    explore_age: str | float
    objective: str | Mapping[str, float] | Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Selection:
    """Choose which items may be recommended, and what else weighs in.

    Rules act before the best are taken, so k stay k. Items that the catalogue says are hidden, out
    of stock or of time are never given. Sequences become tuples, so that a selection can be a key.

    Attributes:
        repeats: Whether items of the user's history may come again; shops of daily goods say yes,
            newsrooms no.
        candidates: Only these; None allows all.
        exclude: Never these.
        categories: Only items of at least one of these categories; None allows all.
        exclude_categories: No item of any of these.
        domain: Only items of one of these domains; None allows all.
        price: Lowest and highest price, both allowed, None for no bound. Items without a price
            are left out.
        out_of_stock: Whether what is out of stock may be given.
        boost: Factors on the chance of items or of whole categories, above 0. A name stands for
            the category if there is one; ``item:name`` and ``category:name`` leave no doubt.
        rotation: How far what the user was shown steps back, in [0, 1]; see
            `recency.ranking.rotation`.
        rotation_time: Half-life of being shown; seconds or text such as ``"2h"``.
        counts_as_shown: Whether an answer with rotation counts as shown; say no where events
            tell what was.
        diversity: How much lists avoid items alike, in [0, 1]: ``1 - l`` of the formula in
            `recency.ranking.diversity`.
        max_per_category: Most items of one category in a list; None for any number.
        explore: Share of the places that goes to new or little seen items, in [0, 1].
        explore_age: From which age on an item is no more explored; seconds or text such as
            ``"30d"``.
        objective: Event type that lists are for, such as ``"purchase"``, or several with weights
            (``{"click": 0.7, "purchase": 0.3}``); the model needs a head for each. See
            `recency.asking.objectives`.

    Raises:
        ConfigError: a value is out of its range; all faults together.
    """

    repeats: bool = True
    candidates: Sequence[Id] | None = None
    exclude: Sequence[Id] = ()
    categories: Sequence[str] | str | None = None
    exclude_categories: Sequence[str] | str = ()
    domain: Sequence[str] | str | None = None
    price: Price | None = None
    out_of_stock: bool = False
    boost: Boost = ()
    rotation: float = 0.0
    rotation_time: str | float = "2h"
    counts_as_shown: bool = True
    diversity: float = 0.0
    max_per_category: int | None = None
    explore: float = 0.0
    explore_age: str | float = "30d"
    objective: str | Mapping[str, float] | Sequence[tuple[str, float]] = ()

    def __post_init__(self) -> None:
        for name in ("candidates", "exclude", "categories", "exclude_categories", "domain"):
            object.__setattr__(self, name, _as_tuple(getattr(self, name)))
        pairs = self.boost.items() if isinstance(self.boost, Mapping) else self.boost
        object.__setattr__(self, "boost", tuple((name, float(by)) for name, by in pairs))
        object.__setattr__(self, "objective", _weights(self.objective))
        if self.price is not None:
            object.__setattr__(self, "price", tuple(self.price))
        for name in ("rotation_time", "explore_age"):
            object.__setattr__(self, name, parse_duration(getattr(self, name)))
        raise_all(self._faults(), ConfigError)

    @property
    def names(self) -> tuple[str, ...]:
        """Give the categories asked for."""
        return cast(tuple[str, ...], self.categories or ())

    @property
    def boosts(self) -> tuple[tuple[Id, float], ...]:
        """Give names and factors."""
        return cast(tuple[tuple[Id, float], ...], self.boost)

    @property
    def weights(self) -> Weights:
        """Give the event types of the objective, and weights."""
        return cast(Weights, self.objective)

    @property
    def rearranges(self) -> bool:
        """Tell whether lists are more than the best k in order."""
        return bool(self.diversity or self.explore or self.max_per_category is not None)

    @property
    def hangs_on_k(self) -> bool:
        """Tell whether the first items of a longer list may be others than a shorter list's."""
        return self.rearranges or bool(self.rotation)

    def keywords(self) -> SelectionArgs:
        """Give the keywords that differ from the defaults."""
        differ = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != getattr(_PLAIN, one.name)
        }
        return cast(SelectionArgs, differ)

    def allowed(self, items: Vocab, catalogue: Catalogue | None, at: int) -> Mask:
        """Tell for each item row whether it may be given at an instant; see `mask`."""
        found = self.mask(items, catalogue, at)
        return np.ones(len(items), dtype=bool) if found is None else found

    def mask(self, items: Vocab, catalogue: Catalogue | None, at: int) -> Mask | None:
        """Tell for each item row whether it may be given at an instant (microseconds).

        Warns of candidates never seen: they cannot be ranked.

        Returns:
            [n_items], shared, not to be written to; None where all may.

        Raises:
            ConfigError: rules read the catalogue, but the model has none; or it knows no such
                category or domain. All faults together.
        """
        mask = self._of_catalogue(items, catalogue, at)
        if self.candidates is not None:
            rows = items.rows([items.coerce(one) for one in self.candidates])
            if n_unknown := int((rows < 0).sum()):
                warnings.warn(
                    f"{n_unknown} of {len(rows)} candidates were never seen and are left out.",
                    DataWarning,
                    stacklevel=4,
                )
            only = np.zeros(len(items), dtype=bool)
            only[rows[rows >= 0]] = True
            mask = only if mask is None else only & mask
        excluded = items.rows([items.coerce(one) for one in self.exclude])
        excluded = excluded[excluded >= 0]
        if len(excluded):
            mask = np.ones(len(items), dtype=bool) if mask is None else mask.copy()
            mask[excluded] = False
        return mask

    def _of_catalogue(self, items: Vocab, catalogue: Catalogue | None, at: int) -> Mask | None:
        asked = {
            "categories": self.categories is not None,
            "exclude_categories": self.exclude_categories,
            "domain": self.domain is not None,
            "price": self.price is not None,
        }
        if catalogue is None:
            if any(asked.values()):
                raise ConfigError(
                    f"{', '.join(name for name in asked if asked[name])} were asked for, but the "
                    f"model has no catalogue; pass items=read_items(...) to fit."
                )
            return None
        shelf = catalogue.shelf(items)
        offered = shelf.offered(at, out_of_stock=self.out_of_stock)
        if not any(asked.values()):
            return offered
        categories, domains = self.names, cast(tuple[str, ...], self.domain or ())
        faults = catalogue.unknown_categories((*categories, *self.exclude_categories))
        raise_all(faults + catalogue.unknown_domains(domains), ConfigError)
        key = (self.categories, self.exclude_categories, self.domain, self.price)
        chosen = shelf.kept(key, lambda: self._chosen(shelf))
        return chosen if offered is None else chosen & offered

    def _chosen(self, shelf: Shelf) -> Mask:
        mask = np.ones(len(shelf), dtype=bool)
        if self.categories is not None:
            mask &= shelf.in_any(self.names)
        if self.exclude_categories:
            mask &= ~shelf.in_any(self.exclude_categories)
        if self.domain is not None:
            mask &= shelf.in_domains(cast(tuple[str, ...], self.domain))
        if self.price is not None:
            mask &= shelf.priced(*self.price)
        return mask

    def _faults(self) -> list[str]:
        faults = [
            f"{name}={value!r}: expected a number from 0 to 1."
            for name in ("rotation", "diversity", "explore")
            if not _is_share(value := getattr(self, name))
        ]
        for name in ("rotation_time", "explore_age"):
            if not getattr(self, name) > 0:
                faults.append(f"{name}={getattr(self, name)!r}: expected more than 0 seconds.")
        for what, by in self.boosts:
            if not 0 < by < np.inf:
                faults.append(
                    f"boost of {what!r}: expected a factor above 0, found {by!r}; "
                    f"exclude and exclude_categories leave items out."
                )
        for what, by in self.weights:
            if not 0 < by < np.inf:
                faults.append(f"objective {what!r}: expected a weight above 0, found {by!r}.")
        most = self.max_per_category
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            faults.append(f"max_per_category={most!r}: expected a whole number of at least 1.")
        if self.price is not None:
            faults += _price_faults(self.price)
        return faults


def best(
    scores: Scores, k: int, allowed: Mask | None, seen: Histories | None
) -> tuple[list[Ints], list[Scores]]:
    """Rank the best allowed items of each row; ties go to the smaller item row.

    Args:
        scores: [n, n_items]; written to.
        k: Most items a row.
        allowed: [n_items]; None for all.
        seen: n histories whose items may not come again; None lets them.

    Returns:
        Item rows and scores of each list, best first; shorter than k where fewer can be given.
        If the catalogue itself is smaller than k, a `DataWarning` says so.

    Raises:
        ConfigError: k is no whole number of at least 1.
    """
    check_k(k, scores.shape[1])
    pool = Pool(scores)
    if allowed is not None:
        pool.keep(allowed)
    if seen is not None:
        pool.drop(seen)
    return best_of(pool, min(k, max(1, scores.shape[1])))


def best_of(pool: Pool, k: int) -> tuple[list[Ints], list[Scores]]:
    """Take the k best of each list of a pool; shorter where fewer can be given."""
    items, values = pool.best(k)
    given = (items >= 0).sum(axis=1).tolist()
    return (
        [row[:n] for row, n in zip(items, given, strict=True)],
        [row[:n] for row, n in zip(values, given, strict=True)],
    )


def check_k(k: int, n_items: int) -> None:
    """Refuse an impossible k, and warn of one larger than the catalogue.

    Raises:
        ConfigError: k is no whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"expected k as a whole number of at least 1, found {k!r}.")
    if k > n_items:
        warnings.warn(
            f"k={k} is more than the catalogue's {n_items:,} items; lists are shorter.",
            DataWarning,
            stacklevel=3,
        )


def _as_tuple(values: Any) -> tuple[Any, ...] | None:
    if values is None:
        return None
    return (values,) if isinstance(values, str) else tuple(cast(Iterable[Any], values))


def _weights(objective: Any) -> Weights:
    if isinstance(objective, str):
        return ((objective, 1.0),)
    pairs = objective.items() if isinstance(objective, Mapping) else objective
    return tuple((str(name), float(by)) for name, by in pairs)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _price_faults(price: tuple[Any, ...]) -> list[str]:
    numbers = [one for one in price if one is not None]
    if len(price) != 2 or not all(isinstance(one, int | float) for one in numbers):
        return [f"price={price!r}: expected (least, most), each a number or None."]
    if len(numbers) == 2 and not numbers[0] <= numbers[1]:
        return [f"price={price!r}: the least is more than the most."]
    return []


_PLAIN = Selection()
