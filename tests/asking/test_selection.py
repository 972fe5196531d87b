import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recency.asking.selection import Selection, best
from recency.data.catalogue import Catalogue
from recency.data.histories import Histories
from recency.data.vocab import Vocab
from recency.errors import ConfigError, DataWarning
from recency.units import parse_instant

ITEMS = Vocab.from_ids(pl.Series(["a", "b", "c", "d"]))
NOW = parse_instant("2026-03-01")


def test_candidates_and_exclusions() -> None:
    assert Selection().allowed(ITEMS, None, NOW).tolist() == [True] * 4
    chosen = Selection(candidates=["c", "a"], exclude=["a", "unheard of"])
    assert chosen.allowed(ITEMS, None, NOW).tolist() == [False, False, True, False]
    with pytest.warns(DataWarning, match="1 of 2 candidates were never seen and are left out"):
        Selection(candidates=["c", "?"]).allowed(ITEMS, None, NOW)


def test_categories_and_availability() -> None:
    catalogue = Catalogue.from_frame(
        pl.DataFrame(
            {
                "item_id": ["a", "b", "c"],
                "categories": [["tea"], ["tea", "cup"], ["pot"]],
                "expires_at": [None, NOW, NOW + 1],
            },
            schema_overrides={"expires_at": pl.Datetime("us", "UTC")},
        )
    )
    assert Selection().allowed(ITEMS, catalogue, NOW).tolist() == [True, False, True, True]
    tea = Selection(categories=["tea"]).allowed(ITEMS, catalogue, NOW - 1)
    assert tea.tolist() == [True, True, False, False]
    with pytest.raises(ConfigError, match="has no catalogue; pass items=read_items"):
        Selection(categories=["tea"]).allowed(ITEMS, None, NOW)


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.integers(1, 6),
)
def test_best_is_a_stable_sort_cut_at_k(
    scores: list[list[int]], allowed: list[bool], k: int
) -> None:
    lists, values = best(np.array(scores, np.float32), k, np.array(allowed), None)
    for row, found, own in zip(scores, lists, values, strict=True):
        order = sorted((i for i in range(6) if allowed[i]), key=lambda i: (-row[i], i))
        assert found.tolist() == order[:k]
        assert own.tolist() == [row[i] for i in order[:k]]


def test_what_was_seen_is_not_given_again() -> None:
    seen = Histories(np.array([0, 2, 2]), np.array([1, -1], np.int32), np.array([0, 0]))
    lists, _ = best(np.array([[0, 9, 5], [0, 9, 5]], np.float32), 2, np.ones(3, bool), seen)
    assert [one.tolist() for one in lists] == [[2, 0], [1, 2]]


def test_more_than_the_catalogue_has() -> None:
    with pytest.warns(DataWarning, match="k=9 is more than the catalogue's 2 items"):
        lists, _ = best(np.zeros((1, 2), np.float32), 9, np.ones(2, bool), None)
    assert [one.tolist() for one in lists] == [[0, 1]]


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_impossible_k(k: int) -> None:
    with pytest.raises(ConfigError, match="expected k as a whole number of at least 1"):
        best(np.zeros((1, 2), np.float32), k, np.ones(2, bool), None)
