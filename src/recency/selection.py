"""Which items may be recommended, and the best of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from recency.data.catalogue import Catalogue
from recency.data.histories import Histories, Ints
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataWarning
from recency.ranking.filters import Mask, drop_history, keep_items
from recency.ranking.ranks import Scores
from recency.ranking.topk import top_k


class SelectionArgs(TypedDict, total=False):
    """Name the keywords of `Selection`."""

    repeats: bool
    candidates: Sequence[Id] | None
    exclude: Sequence[Id]
    categories: Sequence[str] | None


@dataclass(frozen=True)
class Selection:
    """Choose which items may be recommended. Rules act before the ranking, so k stay k.

    Attributes:
        repeats: Whether items of the user's history may come again; shops of daily goods say yes,
            newsrooms no.
        candidates: Only these; None allows all.
        exclude: Never these.
        categories: Only items of at least one of these categories; None allows all.
    """

    repeats: bool = True
    candidates: Sequence[Id] | None = None
    exclude: Sequence[Id] = ()
    categories: Sequence[str] | None = None

    def allowed(self, items: Vocab, catalogue: Catalogue | None, at: int) -> Mask:
        """Tell for each item row whether it may be given at an instant (microseconds).

        Warns of candidates never seen: they cannot be ranked.

        Raises:
            ConfigError: categories are asked for, but the model has no catalogue.
        """
        mask = np.ones(len(items), dtype=bool)
        if self.candidates is not None:
            rows = items.rows([items.coerce(one) for one in self.candidates])
            if n_unknown := int((rows < 0).sum()):
                warnings.warn(
                    f"{n_unknown} of {len(rows)} candidates were never seen and are left out.",
                    DataWarning,
                    stacklevel=3,
                )
            mask[:] = False
            mask[rows[rows >= 0]] = True
        excluded = items.rows([items.coerce(one) for one in self.exclude])
        mask[excluded[excluded >= 0]] = False
        if catalogue is not None:
            mask &= catalogue.available(items, at)
        if self.categories is not None:
            if catalogue is None:
                raise ConfigError(
                    "categories were asked for, but the model has no catalogue; "
                    "pass items=read_items(...) to fit."
                )
            mask &= catalogue.in_categories(items, self.categories)
        return mask


def best(
    scores: Scores, k: int, allowed: Mask, seen: Histories | None
) -> tuple[list[Ints], list[Scores]]:
    """Rank the best allowed items of each row; ties go to the smaller item row.

    Args:
        scores: [n, n_items]; written to.
        k: Most items a row.
        allowed: [n_items].
        seen: n histories whose items may not come again; None lets them.

    Returns:
        Item rows and scores of each list, best first; shorter than k where fewer can be given.
        If the catalogue itself is smaller than k, a `DataWarning` says so.

    Raises:
        ConfigError: k is no whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"expected k as a whole number of at least 1, found {k!r}.")
    keep_items(scores, allowed)
    if seen is not None:
        drop_history(scores, seen, seen.offsets[:-1], seen.offsets[1:])
    if k > (n_items := scores.shape[1]):
        warnings.warn(
            f"k={k} is more than the catalogue's {n_items:,} items; lists are shorter.",
            DataWarning,
            stacklevel=3,
        )
    items, values = top_k(scores, min(k, max(1, n_items)))
    given = (items >= 0).sum(axis=1).tolist()
    return (
        [row[:n] for row, n in zip(items, given, strict=True)],
        [row[:n] for row, n in zip(values, given, strict=True)],
    )
