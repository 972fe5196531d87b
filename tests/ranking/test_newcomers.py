"""Newcomers follow the shelf: what they score hangs on what is known, not on how it came to be."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recency.data.appearances import Appearances
from recency.data.catalogue import Catalogue
from recency.data.vocab import Vocab
from recency.ranking.newcomers import Newcomers
from recency.ranking.pool import Pool

N_LEARNED = 5
steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "event", "ask"]),
        st.integers(0, 9),
        st.lists(st.sampled_from("abc"), max_size=2),
    ),
    max_size=12,
)


def scores_of(newcomers: Newcomers, n_items: int, short: bool) -> dict[int, float]:
    """What each item scores after newcomers joined a pool, all of whose learned items score."""
    known = np.linspace(0, -2, N_LEARNED).astype(np.float32)
    if short:
        pool = Pool(known[None].copy(), np.arange(N_LEARNED)[None])
    else:
        wide = np.full((1, n_items), -np.inf, np.float32)
        wide[0, :N_LEARNED] = known
        pool = Pool(wide)
    newcomers.join(pool, None)
    items, values = pool.best(n_items)
    there = items[0] >= 0
    return dict(zip(items[0][there].tolist(), values[0][there].tolist(), strict=True))


@settings(deadline=None)
@given(steps)
def test_the_way_here_does_not_matter(plan: list[tuple[str, int, list[str]]]) -> None:
    vocab = Vocab.from_ids(pl.Series([f"i{n}" for n in range(N_LEARNED)]))
    catalogue = Catalogue(pl.DataFrame(schema={"item_id": pl.String}))
    appearances = Appearances()
    followed: Newcomers | None = None
    for kind, n, categories in plan:
        row: dict[str, Any] = {"item_id": f"i{n}", "categories": categories}
        if kind == "put":
            catalogue = catalogue.upsert([row])
            vocab.extend([row["item_id"]])
        elif kind == "event":
            appearances.add(vocab.extend([f"i{n}"]), np.array([0]))
        else:
            shelf = catalogue.shelf(vocab)
            if followed is None or followed.shelf is not shelf:
                followed = Newcomers(shelf, N_LEARNED, appearances)
            anew = Newcomers(Catalogue(catalogue.frame).shelf(vocab), N_LEARNED, appearances)
            assert len(followed) == len(anew)
            told = scores_of(followed, len(vocab), short=False)
            assert told == scores_of(anew, len(vocab), short=False)
            assert told == scores_of(followed, len(vocab), short=True)


def test_what_nothing_is_known_of_comes_last() -> None:
    vocab = Vocab.from_ids(pl.Series(["a", "b", "new"]))
    catalogue = Catalogue(pl.DataFrame(schema={"item_id": pl.String}))
    catalogue = catalogue.upsert(
        [{"item_id": "b", "categories": ["x"]}, {"item_id": "new", "categories": ["x"]}]
    )
    one = Newcomers(catalogue.shelf(vocab), 2, Appearances())
    one.appearances.add(np.array([0, 1]), np.array([0, 0]))
    pool = Pool(np.array([[3.0, -np.inf, -np.inf]], np.float32))
    one.join(pool, None)
    assert pool.scores.tolist() == [[3.0, -np.inf, 2.0]]
    pool = Pool(np.full((1, 3), -np.inf, np.float32))
    one.join(pool, np.array([True, True, False]))
    assert np.isneginf(pool.scores).all()
